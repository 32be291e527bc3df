"""The numbers of values that depend on no input and on no parameter."""

from __future__ import annotations

from typing import Any

import torch

from archspec.importing.trace import BATCH, CONSTANT, Trace, Value, mapped


class NotConstant(Exception):
    """A value depends on an input, on parameters or on random numbers."""


def evaluate(trace: Trace, value: Value) -> torch.Tensor:
    """The numbers of a constant, on the CPU. Raises `NotConstant`."""
    if value not in trace.real:
        if value.kind != CONSTANT or value.source is None:
            raise NotConstant(value)
        with torch._C.DisableTorchFunction(), torch.no_grad():
            _replay(trace, value.source)
    found: torch.Tensor = trace.real[value]
    return found


def _replay(trace: Trace, call: Any) -> None:
    """Run a call on real numbers, and keep what it makes."""
    written = dict(call.written)
    copies: dict[Value, torch.Tensor] = {}

    def real(each: Any) -> Any:
        if isinstance(each, torch.device):
            return torch.device("cpu")
        if not isinstance(each, Value):
            return each
        if each not in copies:
            found = evaluate(trace, each).detach().to("cpu")
            copies[each] = found.clone() if each in written else found
        return copies[each]

    kwargs = mapped(real, dict(call.kwargs))
    if "device" in kwargs:
        kwargs["device"] = "cpu"
    args = mapped(real, call.args)
    args = tuple("cpu" if each == "meta" else each for each in args)
    out = call.function(*args, **kwargs)
    for before, after in call.written:
        trace.real[after] = copies[before]
    _keep(trace, call.results, out)


def _keep(trace: Trace, results: Any, out: Any) -> None:
    if isinstance(results, Value):
        trace.real.setdefault(results, out)
    elif isinstance(results, tuple | list):
        for each, made in zip(results, out, strict=True):
            _keep(trace, each, made)


def without_batch(value: Value, real: torch.Tensor) -> torch.Tensor | None:
    """The numbers of one sample, where all samples have the same; None where they differ."""
    for axis, size in enumerate(value.shape):
        if size % BATCH == 0:
            first = real.narrow(axis, 0, size // BATCH)
            parts = torch.unflatten(real, axis, (BATCH, size // BATCH)) if size != BATCH else real
            same = bool((parts == (first.unsqueeze(axis) if size != BATCH else first)).all())
            return first if same else None
    return real
