"""Compares specs with the modules of PyTorch that they reproduce.

    python tools/parity.py                      torchvision's 80, at their full input size
    python tools/parity.py --small              the real passes at 64x64
    python tools/parity.py --models resnet18 gpt2
    python tools/parity.py --zoo                all networks beyond the 80 (see tools/references/)
    python tools/parity.py --zoo --state FILE   keeps what is done in FILE, and goes on from there
    python tools/parity.py --eject              ejected files of all bundled specs (tools/eject.py)
    python tools/parity.py --write              also put the rows into docs/zoo.md

The largest model needs about 9 GB. With --write the rows of other models stay, so the work can be
done in parts. `--zoo` needs `pip install timm transformers`; without them their networks are left
out, and it says so. tools/zoo.py says what is compared there.

For torchvision's 80, nothing is mapped or renamed, and nothing is compared within a tolerance:

* the reference's state dict loads into the compiled module with `strict=True`;
* every parameter and buffer of the reference is first filled from a seeded generator, so that the
  logits of two images differ clearly (with torchvision's own initialisation they are almost equal
  for some models, and a comparison of them would show nothing);
* the logits in `eval()` are bit-identical, and with one seed also the outputs in `train()` (so
  dropout draws the same numbers), all gradients and all running statistics;
* the static parameters, output shapes and MACs equal those measured on the reference, for the
  model and for each of its modules.

The exit status is 1 if anything disagrees.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import eject
import parity_page
import references
import torch
import torchvision
from comparing import (
    SEED,
    count_lines,
    fill,
    one_deterministic_thread,
    patterns,
    settle,
    training_step,
    unfilled,
)
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import archspec
import zoo
from archspec.analyses.layers import Layer
from archspec.emit.initialize import SkipFilling

SPECS = Path(__file__).resolve().parent.parent / "specs" / "torchvision"
OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
}
"""Arguments of torchvision's constructors that avoid a warning. They change no result."""

IMAGE_SIZE = {"vit": "image_size", "maxvit": "input_size"}
"""The constructor argument of a family that is the size of its images."""

SMALL = 64
"""Image size of `--small`: the smallest at which most models run."""

LEAST = {"inception_v3": 299, "maxvit_t": 224, "vit_h_14": 56}
"""Image sizes for `--small` of models that do not run at `SMALL`."""

BATCH = 3
LARGE_BATCH = 2
"""Images in one pass. `LARGE_BATCH` is for models of `--small` that do not run at `SMALL`."""

CHECKS = ("keys", "logits", "train", "parameters", "shapes", "MACs")


@dataclass
class Report:
    """What was found for one model. `failures` maps names in `CHECKS` to what disagrees."""

    model: str
    parameters: int
    macs: int
    yaml_lines: int
    torchvision_lines: int
    size: int
    failures: dict[str, list[str]] = field(default_factory=dict)

    def expect(self, check: str, holds: bool, message: str) -> None:
        """Note `message` as a failure of `check` unless it holds."""
        if not holds:
            self.failures.setdefault(check, []).append(message)


def names() -> list[str]:
    """The models that have a spec."""
    return sorted(path.stem for path in SPECS.glob("*.yaml"))


def compare(name: str, size: int | None = None) -> Report:
    """Compare one spec with its model. The real passes use `size` instead of the spec's own."""
    spec = SPECS / f"{name}.yaml"
    arch = archspec.load(str(spec))
    assert isinstance(arch.input_shape, tuple), "a classification model has one input"
    shape = arch.input_shape[1:]
    reference = on_meta(name, shape)
    lines = count_lines(spec), source_lines(reference)
    report = Report(name, arch.num_parameters, arch.macs, *lines, shape[-1])
    compare_figures(report, arch, reference, shape)

    if size is not None:
        shape = (shape[0], *[LEAST.get(name, size)] * 2)
        arch = archspec.load(str(spec), input_shape=shape)
        report.size = shape[-1]
    # Both get every value from the generator, so nothing is initialised in between.
    with unfilled():
        reference = torchvision_model(name, shape)
    generator = torch.Generator().manual_seed(SEED)
    is_large = size is not None and shape[-1] > size
    images = patterns((LARGE_BATCH if is_large else BATCH, *shape))
    fill(reference, generator)
    settle(reference, lambda: reference(images), generator)
    net = arch.build(device="meta").to_empty(device="cpu")
    if compare_keys(report, net, reference):
        with one_deterministic_thread():
            compare_logits(report, net, reference, images)
            compare_training(report, net, reference, images)
    return report


def on_meta(name: str, shape: Sequence[int]) -> nn.Module:
    """The reference without memory for its weights."""
    if name.startswith("regnet"):  # its constructor computes the widths with tensors
        with SkipFilling():
            return torchvision_model(name, shape).to("meta")
    with torch.device("meta"), unfilled():
        return torchvision_model(name, shape)


def torchvision_model(name: str, shape: Sequence[int]) -> nn.Module:
    """The reference for images of `shape`, which is (channels, size, size)."""
    options = dict(OPTIONS.get(name, {}))
    family = name.partition("_")[0]
    if family in IMAGE_SIZE:
        options[IMAGE_SIZE[family]] = shape[-1] if family == "vit" else shape[-2:]
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model


def compare_figures(
    report: Report, arch: archspec.Architecture, reference: nn.Module, shape: Sequence[int]
) -> None:
    """Static parameters, output shapes and MACs against the reference's own modules.

    The reference runs on the meta device: it computes shapes and counts, not values.
    """
    total = sum(p.numel() for p in reference.parameters())
    report.expect("parameters", arch.num_parameters == total, f"the whole: {total}")
    total = measure_batch(reference.eval(), shape, 1)[1][""]
    report.expect("MACs", arch.macs == total, f"the whole in eval(): {total}")
    shapes, macs = measure(reference.train(), shape)
    nodes = {node.path: node for node in arch.nodes}
    for path, module in reference.named_modules():
        count = sum(p.numel() for p in module.parameters())
        node = nodes.get(path)
        if path and is_inside_op(nodes, path):
            continue
        if node is None:
            # A module without parameters may go by another name: it has no key.
            report.expect("keys", not path or count == 0, f"{path}: no such node")
            continue
        report.expect("parameters", node.num_parameters == count, f"{path}: {count}")
        if path not in shapes:
            continue  # torchvision reads its weights and never calls it
        report.expect("shapes", node.output_shape[1:] == shapes[path], f"{path}: {shapes[path]}")
        cost = macs.get(path, 0)
        report.expect("MACs", node.training_macs == cost, f"{path}: {cost}")


def is_inside_op(nodes: Mapping[str, Layer], path: str) -> bool:
    """Whether torchvision's module at `path` is part of a single op of the spec."""
    parent = path.rpartition(".")[0]
    node = nodes.get(parent)
    return node is not None and not node.is_block


def measure(
    reference: nn.Module, shape: Sequence[int]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Output shapes without N, and MACs for one sample, by module path. "" is the whole.

    A batch of one cannot always train, and work on learned tensors is done once for any batch. So
    the cost at N = 1 is on the line through the costs at 2 and 3.
    """
    shapes, two = measure_batch(reference, shape, 2)
    _, three = measure_batch(reference, shape, 3)
    return shapes, {path: 2 * cost - three[path] for path, cost in two.items()}


def measure_batch(
    reference: nn.Module, shape: Sequence[int], batch: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Output shapes without their first axis, and MACs of the whole batch."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = []
    for path, module in reference.named_modules():

        def note(module: nn.Module, inputs: Any, output: Any, path: str = path) -> None:
            # torchvision calls some modules several times; a node is the first call of its module.
            if isinstance(output, Tensor):
                shapes.setdefault(path, tuple(output.shape[1:]))

        hooks.append(module.register_forward_hook(note))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        reference(torch.empty(batch, *shape, device="meta"))
    for hook in hooks:
        hook.remove()
    root = type(reference).__name__
    macs = {
        path.removeprefix(root).removeprefix("."): sum(flops.values()) // 2
        for path, flops in counter.get_flop_counts().items()
        if path.partition(".")[0] == root
    }
    return shapes, macs


def compare_keys(report: Report, net: nn.Module, reference: nn.Module) -> bool:
    """Load the reference's state dict strictly. Returns whether that succeeded."""
    try:
        net.load_state_dict(reference.state_dict(), strict=True)
    except RuntimeError as error:
        report.expect("keys", False, str(error))
        return False
    return True


def compare_logits(report: Report, net: nn.Module, reference: nn.Module, images: Tensor) -> None:
    """Logits in `eval()`, bit for bit."""
    with torch.no_grad():
        expected: Tensor = reference.eval()(images)
        found: Tensor = net.eval()(images)
    spread = expected.std(dim=1).mean()
    distance = (expected[0] - expected[1]).std()
    if not (expected.isfinite().all() and 1e-3 < spread < 1e3 and distance > 0.05 * spread):
        raise AssertionError(
            f"{report.model}: two images must give clearly different logits for a comparison to "
            f"mean anything: spread {spread:.3g}, distance {distance:.3g}"
        )
    report.expect("logits", torch.equal(found, expected), "they differ")


def compare_training(report: Report, net: nn.Module, reference: nn.Module, images: Tensor) -> None:
    """Outputs, gradients and running statistics of one training step, bit for bit."""
    before = {key: buffer.clone() for key, buffer in reference.named_buffers()}
    expected = training_step(reference, images)
    reference.to("meta")  # all that is compared is in `expected`: large models leave no more room
    found = training_step(net, images)
    still = [key for key, gradient in expected.gradients.items() if not gradient.any()]
    if 4 * len(still) > len(expected.gradients):  # stochastic depth drops some branches
        raise AssertionError(f"{report.model}: gradients are 0 and show nothing: {still}")
    for key, buffer in before.items():
        is_statistic = key.endswith(("running_mean", "running_var", "num_batches_tracked"))
        if is_statistic and torch.equal(buffer, expected.buffers[key]):
            raise AssertionError(f"{report.model}: {key} did not move and shows nothing")
    for what in ("outputs", "gradients", "buffers"):
        a, b = getattr(expected, what), getattr(found, what)
        odd = sorted(a.keys() ^ b.keys())
        report.expect("train", not odd, f"{what} of one alone: {', '.join(odd)}")
        unequal = [key for key in a if key in b and not torch.equal(a[key], b[key])]
        report.expect("train", not unequal, f"{what} differ: {', '.join(unequal)}")


def source_lines(reference: nn.Module) -> int:
    """Lines, not blank, of the torchvision classes that the model is made of."""
    classes = {type(m) for m in reference.modules() if type(m).__module__.startswith("torchvision")}
    return sum(
        bool(line.strip()) for cls in classes for line in inspect.getsource(cls).splitlines()
    )


COLUMNS = ("model", *CHECKS[:3], "parameters", "shapes", "MACs", "YAML", "torchvision")
WIDTHS = (20, 6, 6, 6, 18, 6, 21, 4, 11)


def row(report: Report) -> tuple[str, ...]:
    """The cells of a line of the table."""
    state = {check: verdict(report, check) for check in CHECKS}
    state["parameters"] += f" {report.parameters:,}"
    state["MACs"] += f" {report.macs:,}"
    lines = (f"{report.yaml_lines}", f"{report.torchvision_lines}")
    return (report.model, *(state[check] for check in CHECKS), *lines)


def verdict(report: Report, *checks: str) -> str:
    """`FAILED` if one of these checks found a difference, else `equal`."""
    return "FAILED" if report.failures.keys() & set(checks) else "equal"


def aligned(cells: Sequence[str]) -> str:
    """One line of the table. Its columns are fixed, so that a line can be printed at once."""
    return "  ".join(
        cell.rjust(width) if cell[-1:].isdigit() and column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ).rstrip()


def page_row(report: Report) -> tuple[str, ...]:
    """A row of docs/zoo.md, in the order of its columns."""
    return (
        report.model,
        f"{report.parameters:,}",
        f"{report.macs:,}",
        f"{report.yaml_lines}",
        *(verdict(report, check) for check in CHECKS[:3]),
        verdict(report, *CHECKS[3:]),
        f"{report.size}",
    )


def digest(reference: references.Reference) -> str:
    """Changes with the spec of a network, and with how it is compared."""
    made = hashlib.sha256(reference.spec.read_bytes())
    made.update(inspect.getsource(inspect.getmodule(reference.make)).encode())  # type: ignore[arg-type]
    return made.hexdigest()


def compare_zoo(
    wanted: Sequence[references.Reference], state: Path | None, *, write: bool
) -> list[str]:
    """Compares the networks beyond the 80, a line each; returns what disagrees."""
    done = json.loads(state.read_text()) if state is not None and state.exists() else {}
    found = []
    for reference in wanted:
        entry = done.get(reference.name)
        if entry is None or entry["digest"] != digest(reference):
            compared = zoo.compare(reference)
            entry = done[reference.name] = {"digest": digest(reference), **asdict(compared)}
            if state is not None:
                partial = state.with_suffix(".partial")
                partial.write_text(json.dumps(done, indent=1))
                os.replace(partial, state)
        found.append(zoo.Comparison(**{k: v for k, v in entry.items() if k != "digest"}))
        print("  ".join(zoo.row(found[-1])), flush=True)
    if write:
        kept = parity_page.kept_rows(table="beyond", head=parity_page.BEYOND)
        rows = kept | {each.name: tuple(map(str.strip, zoo.cells(each))) for each in found}
        parity_page.rewrite("beyond", parity_page.beyond_lines(rows))
    for kind, package in references.MISSING.items():
        print(f"left out, since {package} is not installed: {kind}")
    equal = sum(not each.failures for each in found)
    print(f"{equal} of {len(found)} beyond torchvision's classifiers agree in everything.")
    return [
        f"{each.name}: {check}: {message}"
        for each in found
        for check, messages in each.failures.items()
        for message in messages
    ]


def compare_classifiers(wanted: Sequence[str], size: int | None, *, write: bool) -> list[str]:
    """Compares torchvision's classifiers, a line each; returns what disagrees."""
    print(aligned(COLUMNS))
    reports = []
    for name in wanted:
        reports.append(compare(name, size))
        print(aligned(row(reports[-1])), flush=True)
        if write:
            rows = parity_page.kept_rows() | {name: page_row(reports[-1])}
            parity_page.rewrite("models", parity_page.model_lines(rows))
    if write:
        parity_page.rewrite("families", parity_page.family_lines())
    print("YAML and torchvision: lines of the spec's own file and of torchvision's classes.")
    equal = sum(not report.failures for report in reports)
    print(f"{equal} of {len(reports)} are equal in everything.")
    return [
        f"{report.model}: {check}: {message}"
        for report in reports
        for check, messages in report.failures.items()
        for message in messages
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    beyond = references.load()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    every = [*names(), *beyond]
    parser.add_argument("--models", nargs="+", choices=every, metavar="MODEL")
    parser.add_argument("--zoo", action="store_true", help="all networks beyond the 80")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keeps what is done of the zoo")
    parser.add_argument("--small", action="store_true", help=f"real passes at {SMALL}x{SMALL}")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/zoo.md")
    parser.add_argument("--eject", action="store_true", help="compare ejected files instead")
    options = parser.parse_args(arguments)
    if options.eject:
        bundled = [*sorted(SPECS.parent.glob("*.yaml")), *sorted(SPECS.glob("*.yaml"))]
        return eject.main([*map(str, bundled), *["--size", str(SMALL)] * options.small])
    wanted = options.models or (list(beyond) if options.zoo else names())
    failures = []
    if classifiers := [name for name in wanted if name not in beyond]:
        size = SMALL if options.small else None
        failures += compare_classifiers(classifiers, size, write=options.write)
    if further := [beyond[name] for name in wanted if name in beyond]:
        failures += compare_zoo(further, options.state, write=options.write)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
