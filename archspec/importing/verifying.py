"""A module and its spec side by side: keys, and results in `eval()` and `train()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from archspec.architecture import Architecture
from archspec.importing.copying import random_state_kept
from archspec.importing.outputs import named_values
from archspec.record import Record

TOLERANCE = 1e-4
"""By how much results may differ, as a share of their largest element: sums in another order."""


class Comparison(Record):
    """What was compared, line by line, and what differs."""

    lines: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        return "\n".join(self.differences or self.lines)


def compared(
    net: nn.Module,
    given: Mapping[str, Tensor],
    arch: Architecture,
    *,
    by_name: bool = False,
    others: Sequence[Mapping[str, Sequence[int]]] = (),
    redrawn: bool = False,
) -> Comparison:
    """Load the module's weights into the spec's network and compare results of both modes.

    Where random numbers are `redrawn`, `train()` is compared with every sample kept.
    """
    lines: list[str] = []
    wrong: list[str] = []
    state = net.state_dict()
    built = arch.build(weights=None)
    mine, theirs = list(built.state_dict()), list(state)
    if set(mine) != set(theirs):
        for title, keys in (
            ("only the module has", [k for k in theirs if k not in set(mine)]),
            ("only the spec has", [k for k in mine if k not in set(theirs)]),
        ):
            if keys:
                more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
                wrong.append(f"{title} {', '.join(keys[:5])}{more}")
        return Comparison((), ("the keys of the state dict differ", *wrong))
    order = "in the same order" if mine == theirs else "in another order"
    lines.append(f"{len(mine)} keys of the state dict, {order}")
    built.load_state_dict(state, strict=True)
    stated: Mapping[str, Sequence[int]] = {
        name: list(tensor.shape[1:]) for name, tensor in given.items()
    }
    cases = [(training, batch, stated) for training in (False, True) for batch in (2, 3)]
    cases += [(training, 2, shapes) for training in (False, True) for shapes in others]
    for training, batch, shapes in cases:
        mode = "train()" if training else "eval()"
        mode += " with nothing dropped" if training and redrawn else ""
        at = f" at {_shown(shapes)}" if shapes != stated else ""
        inputs = drawn(given, shapes, arch, batch, seed=batch)
        with _NothingDropped() if training and redrawn else nullcontext():
            expected = _run(net, inputs, training, not by_name)
            found = _run_spec(built, inputs, training)
        worst = _difference(expected, found)
        if isinstance(worst, str) or worst > TOLERANCE:
            what = worst if isinstance(worst, str) else f"results differ by {worst:.2g}"
            wrong.append(f"in {mode} with a batch of {batch}{at} {what}")
        else:
            lines.append(f"{mode}, batch {batch}{at}: largest difference {worst:.2g}")
    return Comparison(tuple(lines), tuple(wrong))


class _NothingDropped(TorchFunctionMode):
    """Random numbers that keep every sample, and dropout that drops nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name == "dropout":
            return args[0]
        out = func(*args, **(kwargs or {}))
        if name == "rand":
            return out.fill_(0.999)
        return out.fill_(1) if name == "bernoulli_" else out


def _shown(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes.values())


def drawn(
    given: Mapping[str, Tensor],
    shapes: Mapping[str, Sequence[int]],
    arch: Architecture,
    batch: int,
    seed: int,
) -> dict[str, Tensor]:
    """Random inputs of these sizes; whole numbers below what the spec says."""
    generator = torch.Generator().manual_seed(seed)
    below = {
        name: kind.below
        for name, kind in zip(arch.graph.input_names, arch.graph.input_types, strict=True)
    }
    made = {}
    for name, tensor in given.items():
        shape = (batch, *shapes[name])
        bound = next(iter(below.values())) if len(given) == 1 else below[name]
        if tensor.dtype.is_floating_point:
            made[name] = torch.randn(shape, generator=generator, dtype=tensor.dtype)
        elif tensor.dtype == torch.bool:
            made[name] = torch.rand(shape, generator=generator) < 0.5
        else:
            most = int(bound or int(tensor.max()) + 1)
            made[name] = torch.randint(0, most, shape, generator=generator, dtype=tensor.dtype)
    return made


@contextmanager
def mode_kept(net: nn.Module) -> Iterator[None]:
    """The mode of every module, and its buffers, as they were when it began."""
    modes = [(module, module.training) for module in net.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in net.buffers()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def _run(
    net: nn.Module, inputs: Mapping[str, Tensor], training: bool, by_position: bool
) -> dict[str, Tensor]:
    device = next((tensor.device for tensor in net.state_dict().values()), torch.device("cpu"))
    placed = {name: tensor.to(device) for name, tensor in inputs.items()}
    with random_state_kept(), torch.no_grad(), mode_kept(net):
        net.train(training)
        torch.manual_seed(1)
        output = net(*placed.values()) if by_position else net(**placed)
    return {name: each.detach().cpu() for name, each in named_values(_plain(output))}


def _plain(output: Any) -> Any:
    return dict(output) if isinstance(output, Mapping) else output


def _run_spec(built: nn.Module, inputs: Mapping[str, Tensor], training: bool) -> dict[str, Tensor]:
    with random_state_kept(), torch.no_grad(), mode_kept(built):
        built.train(training)
        torch.manual_seed(1)
        return dict(named_values(built(*inputs.values())))


def _difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float | str:
    """The largest difference as a share of the largest element; or what is not comparable."""
    if len(expected) != len(found):
        return f"the module returns {', '.join(expected)} and the spec {', '.join(found)}"
    worst = 0.0
    for (name, theirs), mine in zip(expected.items(), found.values(), strict=True):
        if theirs.shape != mine.shape:
            return f"{name} is {tuple(theirs.shape)}, and {tuple(mine.shape)} of the spec"
        if theirs.numel() == 0:
            continue
        scale = float(theirs.double().abs().max()) or 1.0
        gap = (theirs.double() - mine.double()).abs().max() / scale
        if not bool(torch.isfinite(gap)):
            same = torch.equal(torch.nan_to_num(theirs.double()), torch.nan_to_num(mine.double()))
            if not same:
                return f"{name} is not finite"
            continue
        worst = max(worst, float(gap))
    return worst
