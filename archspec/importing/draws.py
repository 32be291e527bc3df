"""What random numbers are drawn for: a share of the samples that a residual branch is kept for."""

from __future__ import annotations

from archspec.importing.lifting import Lifter
from archspec.importing.trace import BATCH, Call, Value, cannot
from archspec.record import Record

_DIVIDING = ("Tensor.div_", "Tensor.div", "Tensor.__truediv__", "div")
_ADDING = ("Tensor.__radd__", "Tensor.__add__", "Tensor.add")
_BERNOULLI = {"empty", "zeros", "Tensor.bernoulli_", *_DIVIDING}
_ROUNDED = {"rand", "Tensor.floor_", "Tensor.floor", *_ADDING}


class Mask(Record):
    """A mask of stochastic depth: the share of samples that it keeps, and where it is divided.

    `value` is what the branch gives before any mask. A mask that is not drawn by `bernoulli_` drops
    other samples than archspec's op does from the same seed.
    """

    kept: float
    mode: str
    value: Value

    @property
    def p(self) -> float:
        """The shortest probability of dropping that keeps this share."""
        found = 1 - self.kept
        for digits in range(1, 17):
            short = round(found, digits)
            if 1 - short == self.kept:
                return short
        return found


def mask_of(lift: Lifter, drawn: Value, x: Value) -> Mask:
    """The mask that multiplies `x`. Refuses other random numbers.

    A mask is drawn by `bernoulli_(1 - p)` for each sample, or once, and divided by `1 - p`; or it
    is `floor(1 - p + rand)`, and what it multiplies is divided.
    """
    mode = "row" if drawn.shape[:1] == (BATCH,) and set(drawn.shape[1:]) <= {1} else "batch"
    calls = _calls(drawn)
    names = {call.name for call in calls}
    if mode == "row" or not set(drawn.shape) - {1}:
        if "Tensor.bernoulli_" in names and names <= _BERNOULLI:
            kept = _number(lift, next(c for c in calls if c.name == "Tensor.bernoulli_"))
            scales = [_number(lift, call) for call in calls if call.name in _DIVIDING]
            if kept is not None and scales == [kept]:
                return Mask(kept, mode, x)
        if "rand" in names and names <= _ROUNDED and x.source is not None:
            kept = next((_number(lift, c) for c in calls if c.name in _ADDING), None)
            divided = _number(lift, x.source) if x.source.name in _DIVIDING else None
            if kept is not None and divided == kept:
                lift.redrawn = True
                return Mask(kept, mode, x.source.args[0])
    raise cannot(
        "random numbers are drawn here in a way that no op of the language does",
        help="dropout is known, and stochastic depth by `bernoulli_(1 - p)` divided by `1 - p`",
    )


def _calls(drawn: Value) -> list[Call]:
    """The calls that made random numbers, the first one first."""
    found: list[Call] = []
    value = drawn
    while value.source is not None:
        found.append(value.source)
        before = [each for each in value.source.reads if each.kind != "data"]
        if not before:
            break
        value = before[0]
    return found[::-1]


def _number(lift: Lifter, call: Call) -> float | None:
    """The number beside the tensor that a call reads."""
    given = [*call.args, *call.kwargs.values()]
    numbers = [float(lift.number(each)) for each in given if isinstance(each, int | float)]
    return numbers[0] if len(numbers) == 1 else None
