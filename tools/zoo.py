"""Compares a spec with its reference: what tools/parity.py does beyond torchvision's 80.

* the reference's state dict loads into the compiled module with `strict=True`;
* all its parameters and buffers are filled from a seeded generator, none with zeros, and two inputs
  give clearly different outputs;
* outputs in `eval()` have equal bits; or, where both compute the same in another order, are equal
  in double precision but for its rounding (1e-9 of the largest), and nearly in single precision:
  then the cell says `rounding`;
* outputs, gradients and moving statistics of a step in `train()` likewise, with one seed;
* the outputs depend on each tensor of the state dict, and not on those that are said to be inert;
* parameters and MACs are those of the reference, whole. No spec uses `module:`.
"""

from __future__ import annotations

import copy
import fnmatch
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from comparing import NORMS, SEED, count_lines, fill, one_deterministic_thread, settle, unfilled
from references import Reference
from torch import Tensor, nn

import archspec
from archspec.runtime.measure import measure_macs

CHECKS = ("keys", "outputs", "train", "tensors", "figures")
BATCH = 2
NEAR = 1e-9
"""Largest relative difference in double precision of what is computed in another order."""
SINGLE = 1e-4
"""The same in single precision, where a difference in double precision could be lost."""
ZERO = 0.0
"""A gradient counts as 0 where it is at most this part of the largest one, in double precision."""


@dataclass
class Comparison:
    """What was found for one network. `failures` maps names in `CHECKS` to what disagrees."""

    name: str
    kind: str
    parameters: int
    macs: int | None
    yaml_lines: int
    python_lines: int
    failures: dict[str, list[str]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def expect(self, check: str, holds: bool, message: str) -> bool:
        """Notes `message` as a failure of `check` unless it holds."""
        if not holds:
            self.failures.setdefault(check, []).append(message)
        return holds

    def verdict(self, check: str) -> str:
        """`equal`, or what else is to be said of a check."""
        return "FAILED" if check in self.failures else self.said.get(check, "equal")


def compare(reference: Reference) -> Comparison:
    """Compares the spec of one network."""
    path = str(reference.spec)
    arch = archspec.load(path, params=reference.arguments, warn=False)
    with unfilled():
        module = reference.make()
    counted = sum(each.numel() for each in module.parameters())
    found = Comparison(
        *(reference.name, reference.kind, arch.num_parameters, arch.macs),
        *(count_lines(reference.spec), source_lines(module)),
    )
    found.expect(
        "figures", arch.num_parameters == counted, f"parameters of the reference: {counted}"
    )
    small = arch
    if reference.sizes:
        small = archspec.load(path, reference.arguments, sizes=reference.sizes, warn=False)
    generator = torch.Generator().manual_seed(SEED)
    fill(module, generator)
    inputs = drawn(small, BATCH, generator)
    settle(module, lambda: applied(reference, module, inputs), generator)
    compare_macs(found, reference, module, arch, small)
    # Built for the spec's own sizes, it runs at the small ones too: one module serves all.
    with unfilled():
        net = arch.build()
    try:
        net.load_state_dict(module.state_dict(), strict=True)
    except RuntimeError as error:
        found.expect("keys", False, str(error))
        return found
    with one_deterministic_thread():
        compare_outputs(found, reference, module, net, inputs)
        compare_training(found, reference, module, net, inputs)
        compare_tensors(found, reference, net, inputs)
    return found


def drawn(arch: archspec.Architecture, batch: int, generator: torch.Generator) -> list[Tensor]:
    """Random inputs, whole numbers within their bounds."""
    graph, made = arch.graph, []
    for shape, kind in zip(graph.inputs, graph.input_types, strict=True):
        sizes = [batch, *shape[1:]]
        if kind.is_float:
            made.append(torch.randn(sizes, generator=generator))
        elif kind.name == "bool":
            made.append(torch.rand(sizes, generator=generator) < 0.5)
        else:
            drawn = torch.randint(kind.below or 100, sizes, generator=generator)
            made.append(drawn.to(getattr(torch, kind.name)))
    return made


def applied(reference: Reference, module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that the reference returns, in order."""
    call = reference.call or (lambda net, *values: net(*values))
    return list(tensors(call(module, *inputs)))


def tensors(result: Any) -> Iterator[Tensor]:
    """All tensors within, in order."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from tensors(value)
    elif isinstance(result, (tuple, list)):
        for value in result:
            yield from tensors(value)


def compare_macs(
    found: Comparison,
    reference: Reference,
    module: nn.Module,
    arch: archspec.Architecture,
    small: archspec.Architecture,
) -> None:
    """MACs of one sample at the small sizes, where the reference really runs.

    What is done once for any batch counts once, so the cost at N = 1 is on the line through the
    costs at 2 and 3.
    """

    def macs(batch: int) -> int:
        inputs = drawn(small, batch, torch.Generator().manual_seed(SEED))
        return measure_macs(lambda: applied(reference, module.eval(), inputs))

    total = 2 * macs(2) - macs(3)
    found.expect(
        "figures", small.macs == total, f"MACs of the reference: {total}, not {small.macs}"
    )


def compare_outputs(
    found: Comparison,
    reference: Reference,
    module: nn.Module,
    net: nn.Module,
    inputs: Sequence[Tensor],
) -> None:
    """Outputs in `eval()`."""
    with torch.no_grad():
        expected = applied(reference, module.eval(), inputs)
        result = list(tensors(net.eval()(*inputs)))
    for number, value in enumerate(expected):
        spread = value.float().std()
        distance = (value[0] - value[1]).float().square().mean().sqrt()
        if not (value.isfinite().all() and spread > 1e-6 and distance > 0.02 * spread):
            raise AssertionError(
                f"{reference.name}: output {number} shows nothing: two inputs must give clearly "
                f"different values: spread {spread:.3g}, distance {distance:.3g}"
            )
    if same(expected, result) or len(expected) != len(result):
        found.expect("outputs", len(expected) == len(result), f"{len(result)} outputs")
        return
    with torch.no_grad(), wide():
        exact = applied(reference, copy.deepcopy(module).double().eval(), doubled(inputs))
        ours = list(tensors(copy.deepcopy(net).double().eval()(*doubled(inputs))))
    found.said["outputs"] = "rounding"
    found.expect("outputs", near(exact, ours), f"they differ by {apart(exact, ours):.2g}")
    single = apart(expected, result)
    found.expect("outputs", single <= SINGLE, f"in single precision they differ by {single:.2g}")


def doubled(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The inputs in double precision."""
    return [each.double() if each.is_floating_point() else each for each in inputs]


@contextmanager
def wide() -> Iterator[None]:
    """Modules that ask for float32, whatever their own precision, get float64 inside."""
    with (
        patch.multiple(torch, float32=torch.float64, float=torch.float64),
        patch.object(Tensor, "float", Tensor.double),
    ):
        yield


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def near(a: Sequence[Tensor], b: Sequence[Tensor], least: float = 1e-30) -> bool:
    """Equal in double precision, but for its rounding."""
    return [each.shape for each in a] == [each.shape for each in b] and apart(a, b, least) <= NEAR


def apart(a: Sequence[Tensor], b: Sequence[Tensor], least: float = 1e-30) -> float:
    """The largest difference, relative to the largest value of its tensor or to `least`."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x.shape == y.shape and x.numel()]
    return max(
        (float((x - y).abs().max() / x.abs().max().clamp(min=least)) for x, y in pairs), default=0.0
    )


def compare_training(
    found: Comparison,
    reference: Reference,
    module: nn.Module,
    net: nn.Module,
    inputs: Sequence[Tensor],
) -> None:
    """Outputs, gradients and moving statistics of one step, with one seed."""

    def step(model: nn.Module, call: Any, dtype: torch.dtype) -> dict[str, Tensor]:
        model = copy.deepcopy(model).to(dtype).train()
        given = [each.to(dtype) if each.is_floating_point() else each for each in inputs]
        torch.manual_seed(SEED)
        outputs = list(tensors(call(model, *given)))
        generator = torch.Generator().manual_seed(SEED + 2)
        loss = [each for each in outputs if each.requires_grad]
        cotangents = [torch.randn(each.shape, generator=generator).to(dtype) for each in loss]
        torch.autograd.backward(loss, cotangents)
        gradients = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
        named = {f"output {i}": each.detach() for i, each in enumerate(outputs)}
        kept = model.state_dict().keys()
        buffers = {key: each for key, each in model.named_buffers() if key in kept}
        return named | gradients | buffers

    call = reference.call or (lambda model, *values: model(*values))
    plain = lambda model, *values: model(*values)  # noqa: E731
    expected, result = step(module, call, torch.float32), step(net, plain, torch.float32)
    odd = sorted(expected.keys() ^ result.keys())
    if not found.expect("train", not odd, f"of one alone: {', '.join(odd[:5])}"):
        return
    unequal = [key for key in expected if not torch.equal(expected[key], result[key])]
    if not unequal:
        return
    with wide():
        exact, ours = step(module, call, torch.float64), step(net, plain, torch.float64)
    # Of a bias of keys in attention, the gradient is 0 but for rounding.
    least = 1e-6 * max(float(each.abs().max()) for each in exact.values())
    zero = vanished(module, exact) & vanished(module, ours)
    wrong = [key for key in exact if key not in zero and not near([exact[key]], [ours[key]], least)]
    found.said["train"] = "rounding"
    found.expect("train", not wrong, f"differ: {', '.join(wrong[:5])}")


def vanished(module: nn.Module, step: Mapping[str, Tensor]) -> set[str]:
    """The parameters whose gradients are 0 but for the rounding of double precision."""
    keys = {key for key, _ in module.named_parameters()} & step.keys()
    sizes = {key: float(step[key].abs().max()) for key in keys}
    return {key for key, size in sizes.items() if size <= ZERO * max(sizes.values())}


def compare_tensors(
    found: Comparison, reference: Reference, net: nn.Module, inputs: Sequence[Tensor]
) -> None:
    """Whether the outputs depend on each tensor of the state dict, except those that are inert.

    In double precision, where rounding alone is far below `NEAR`: what has no effect in exact
    arithmetic, as a bias of keys in attention, still changes the last bits.

    One backward pass shows it for almost all; what it does not show is changed, one at a time.
    """
    net, given = copy.deepcopy(net).double().eval(), doubled(inputs)
    with wide():
        moved = moved_by_gradients(net, given)
        with torch.no_grad():
            before = list(tensors(net(*given)))
            for key, tensor in net.state_dict().items():
                inert = any(fnmatch.fnmatchcase(key, pattern) for pattern in reference.inert)
                if not tensor.is_floating_point() or (key in moved and not inert):
                    continue
                kept = tensor.clone()
                tensor.mul_(1.5).add_(0.25)
                changes = apart(before, list(tensors(net(*given)))) > NEAR
                tensor.copy_(kept)
                message = f"{key} changes {'something, and is said not to' if inert else 'nothing'}"
                found.expect("tensors", changes is not inert, message)


def moved_by_gradients(net: nn.Module, inputs: Sequence[Tensor]) -> set[str]:
    """Keys of the tensors that the outputs depend on, as one backward pass shows it.

    Moving statistics have no gradient in torch. Their derivatives are those of the shift and the
    scale of the same norm, times numbers that are nowhere 0.
    """
    norms = [k for k, m in net.named_modules(remove_duplicate=False) if isinstance(m, NORMS)]
    moving = {f"{norm}.{each}" for norm in norms for each in ("running_mean", "running_var")}
    watched = {
        key: tensor.requires_grad_()
        for key, tensor in net.state_dict(keep_vars=True).items()
        if tensor.is_floating_point() and key not in moving
    }
    loss = list(tensors(net(*inputs)))
    generator = torch.Generator().manual_seed(SEED + 3)
    cotangents = [torch.randn(each.shape, generator=generator).to(each) for each in loss]
    torch.autograd.backward(loss, cotangents)
    sizes = {
        k: float(each.grad.abs().max()) for k, each in watched.items() if each.grad is not None
    }
    moved = {key for key, size in sizes.items() if size > NEAR * max(sizes.values())}
    moved |= {f"{norm}.running_mean" for norm in norms if f"{norm}.bias" in moved}
    moved |= {f"{norm}.running_var" for norm in norms if f"{norm}.weight" in moved}
    return moved


def source_lines(module: nn.Module) -> int:
    """Lines, not blank, of the classes that a module is made of, but for torch's own."""
    classes = {
        type(each) for each in module.modules() if not type(each).__module__.startswith("torch.")
    }
    return sum(
        bool(line.strip()) for cls in classes for line in inspect.getsource(cls).splitlines()
    )


def cells(found: Comparison) -> tuple[str, ...]:
    """What is said of a network: its figures, its lengths and the verdict of each check."""
    macs = "not counted" if found.macs is None else f"{found.macs:,}"
    lengths = (f"{found.yaml_lines}", f"{found.python_lines}")
    return (found.name, f"{found.parameters:,}", macs, *lengths, *map(found.verdict, CHECKS))


def row(found: Comparison) -> tuple[str, ...]:
    """The cells of its line for a terminal."""
    name, parameters, macs, yaml, python, *verdicts = cells(found)
    figures = (parameters.rjust(12), macs.rjust(15), yaml.rjust(4), python.rjust(5))
    checks = [f"{check} {said}" for check, said in zip(CHECKS, verdicts, strict=True)]
    return (name.ljust(30), *figures, *checks)
