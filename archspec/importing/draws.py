"""What random numbers are drawn for: a share of the samples that a residual branch is kept for."""

from __future__ import annotations

from archspec.importing.lifting import Lifter
from archspec.importing.trace import BATCH, Call, Value, cannot


def kept_share(lift: Lifter, drawn: Value, x: Value) -> tuple[float, str]:
    """The probability with which samples are dropped, and the mode, of a mask that multiplies `x`.

    A mask is drawn by `bernoulli_(1 - p)` for each sample, or once, and divided by `1 - p`.
    """
    calls: list[Call] = []
    value = drawn
    while value.source is not None:
        calls.append(value.source)
        before = [each for each in value.source.reads if each.kind != "data"]
        if not before:
            break
        value = before[0]
    names = [call.name for call in reversed(calls)]
    kept = 1.0
    scaled = False
    for call in reversed(calls):
        if call.name == "Tensor.bernoulli_":
            kept = float(call.args[1] if len(call.args) > 1 else call.kwargs.get("p", 0.5))
        elif call.name in ("Tensor.div_", "Tensor.div", "Tensor.__truediv__"):
            scaled = abs(float(lift.number(call.args[1])) - kept) < 1e-9
    known = {
        "empty",
        "zeros",
        "Tensor.bernoulli_",
        "Tensor.div_",
        "Tensor.div",
        "Tensor.__truediv__",
    }
    if not scaled or not set(names) <= known:
        raise cannot(
            "random numbers are drawn here in a way that no op of the language does",
            help="dropout is known, and stochastic depth by `bernoulli_(1 - p)` divided by `1 - p`",
        )
    mode = "row" if drawn.shape[:1] == (BATCH,) and set(drawn.shape[1:]) <= {1} else "batch"
    if mode == "batch" and set(drawn.shape) - {1}:
        raise cannot("a mask of stochastic depth is for whole samples")
    return round(1 - kept, 12), mode
