"""Functions of two tensors, or of a tensor and a number, element by element."""

from __future__ import annotations

from typing import Any

from archspec.importing.broadcasting import together
from archspec.importing.draws import mask_of
from archspec.importing.functions import handles
from archspec.importing.functions.elementwise import as_float, cast, each
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.masks import shifted_windows
from archspec.importing.trace import CONSTANT, DRAWN, Value, cannot


def pair(lift: Lifter, op: str, *values: Value | Lifted, **args: Any) -> Lifted:
    """A node of an op that broadcasts what it reads."""
    aligned, axes = together(lift, [lift(value) for value in values])
    made: Lifted = lift.node(op, *aligned, axes=axes, **args)
    return made


def _floats(lift: Lifter, x: Lifted) -> Lifted:
    """What a function with a number reads: floats, where its result is of floats."""
    return as_float(lift, x) if lift.call.made[0].dtype.is_floating_point else x


def with_number(lift: Lifter, op: str, x: Value | Lifted, number: Any, **args: Any) -> Lifted:
    return each(lift, op, _floats(lift, lift(x)), other=lift.number(number), **args)


def constant(lift: Lifter, number: Any) -> Lifted:
    """A node that is a number."""
    made: Lifted = lift.node("constant", axes=(), value=lift.number(number))
    return made._replace(dtype="float32" if isinstance(number, float) else "int64")


@handles("add", "__add__", "__radd__")
def add(lift: Lifter, input: Any, other: Any, alpha: Any = 1, out: Any = None) -> Lifted:
    if lift.is_number(input):
        input, other = other, input
    if alpha != 1:
        other = with_number(lift, "mul", other, alpha) if _is_tensor(other) else other * alpha
    if lift.is_number(other):
        return with_number(lift, "add", input, other)
    return _masked(lift, input, other) or pair(lift, "add", input, other)


def _masked(lift: Lifter, x: Value | Lifted, other: Value | Lifted) -> Lifted | None:
    """Logits of windows with the mask of a cyclic shift; None where the second is no such mask."""
    if not isinstance(other, Value) or other.kind != CONSTANT or len(other.shape) != 5:
        return None
    if other.shape[0] != 1 or other.shape[-1] != other.shape[-2] or lift(x).axes[:1] != ((None,),):
        return None
    found = shifted_windows(lift.real(other)[0])
    return each(lift, "shifted_window_mask", x, **found) if found else None


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Value | Lifted)


@handles("sub", "subtract", "__sub__")
def sub(lift: Lifter, input: Any, other: Any, alpha: Any = 1, out: Any = None) -> Lifted:
    if alpha != 1:
        raise cannot("sub with `alpha` is not known", help="multiply before subtracting")
    if lift.is_number(other):
        return with_number(lift, "sub", input, other)
    if lift.is_number(input):
        return rsub(lift, other, input)
    return pair(lift, "sub", input, other)


@handles("rsub", "__rsub__")
def rsub(lift: Lifter, input: Any, other: Any, alpha: Any = 1) -> Lifted:
    if lift.is_number(other):
        return with_number(lift, "add", each(lift, "neg", _floats(lift, lift(input))), other)
    return pair(lift, "sub", other, input)


@handles("mul", "multiply", "__mul__", "__rmul__")
def mul(lift: Lifter, input: Any, other: Any, out: Any = None) -> Lifted:
    for x, drawn in ((input, other), (other, input)):
        if isinstance(drawn, Value) and drawn.kind == DRAWN and isinstance(x, Value):
            mask = mask_of(lift, drawn, x)
            branch = lift.plain(mask.value)
            return each(lift, "stochastic_depth", branch, p=mask.p, mode=mask.mode)
    if lift.is_number(input):
        input, other = other, input
    if lift.is_number(other):
        return with_number(lift, "mul", input, other)
    return pair(lift, "mul", input, other)


@handles("div", "divide", "true_divide", "__truediv__", "__div__")
def div(lift: Lifter, input: Any, other: Any, rounding_mode: Any = None, out: Any = None) -> Lifted:
    if lift.is_number(input):
        return rdiv(lift, other, input)
    if isinstance(other, Value) and other.kind == DRAWN:
        raise cannot("random numbers are drawn here in a way that no op of the language does")
    if rounding_mode is None:
        input = as_float(lift, lift(input))
    if lift.is_number(other):
        return with_number(lift, "div", input, other, rounding_mode=rounding_mode)
    if rounding_mode is None:
        other = as_float(lift, lift(other))
    return pair(lift, "div", input, other, rounding_mode=rounding_mode)


@handles("__rtruediv__", "__rdiv__")
def rdiv(lift: Lifter, input: Any, other: Any) -> Lifted:
    return pair(lift, "div", constant(lift, float(lift.number(other))), as_float(lift, lift(input)))


@handles("reciprocal")
def reciprocal(lift: Lifter, input: Value) -> Lifted:
    return rdiv(lift, input, 1.0)


@handles("floor_divide", "__floordiv__")
def floor_divide(lift: Lifter, input: Any, other: Any) -> Lifted:
    return div(lift, input, other, rounding_mode="floor")


@handles("pow", "__pow__", "float_power")
def pow_(lift: Lifter, input: Any, exponent: Any, out: Any = None) -> Lifted:
    if lift.is_number(input):
        return pair(lift, "pow", constant(lift, input), exponent)
    if lift.is_number(exponent):
        return with_number(lift, "pow", input, exponent)
    return pair(lift, "pow", input, exponent)


@handles("__rpow__")
def rpow(lift: Lifter, input: Any, other: Any) -> Lifted:
    return pow_(lift, other, input)


def _compared(op: str, *names: str) -> None:
    def handler(lift: Lifter, input: Any, other: Any, out: Any = None) -> Lifted:
        if lift.is_number(other):
            return each(lift, op, input, other=lift.number(other))
        return pair(lift, op, input, other)

    handles(*names)(handler)


_compared("eq", "eq", "__eq__")
_compared("ne", "ne", "not_equal", "__ne__")
_compared("lt", "lt", "less", "__lt__")
_compared("le", "le", "less_equal", "__le__")
_compared("gt", "gt", "greater", "__gt__")
_compared("ge", "ge", "greater_equal", "__ge__")
_compared("maximum", "maximum")
_compared("minimum", "minimum")


@handles("logical_and", "__and__", "bitwise_and", "__rand__")
def logical_and(lift: Lifter, input: Any, other: Any) -> Lifted:
    return _truths(lift, "logical_and", input, other)


@handles("logical_or", "__or__", "bitwise_or", "__ror__")
def logical_or(lift: Lifter, input: Any, other: Any) -> Lifted:
    return _truths(lift, "logical_or", input, other)


def _truths(lift: Lifter, op: str, input: Any, other: Any) -> Lifted:
    if lift.call.made[0].dtype_name != "bool":
        raise cannot("bits of whole numbers are combined here; the language has truth values alone")
    if not _is_tensor(other):
        other = constant(lift, other)
    return pair(lift, op, input, other)


@handles("where")
def where(lift: Lifter, condition: Value, input: Any, other: Any) -> Lifted:
    reads: list[Any] = [condition]
    args: dict[str, Any] = {}
    for name, value in (("input", input), ("other", other)):
        if lift.is_number(value):
            args[name] = lift.number(value)
        else:
            reads.append(value)
    return pair(lift, "where", *reads, **args)


@handles("Tensor.where")
def where_method(lift: Lifter, input: Value, condition: Value, other: Any) -> Lifted:
    return where(lift, condition, input, other)


@handles("masked_fill")
def masked_fill(lift: Lifter, input: Value, mask: Value, value: Any) -> Lifted:
    x = lift(input)
    if lift(mask).dtype != "bool":
        raise cannot("masked_fill with a mask that is not of truth values is not known")
    if not lift.is_number(value):
        return pair(lift, "where", mask, value, x)
    return pair(lift, "where", mask, x, input=lift.number(value))


@handles("addcmul")
def addcmul(lift: Lifter, input: Value, tensor1: Value, tensor2: Value, value: Any = 1) -> Lifted:
    product = pair(lift, "mul", tensor1, tensor2)
    if value != 1:
        product = each(lift, "mul", product, other=lift.number(value))
    return pair(lift, "add", input, product)


@handles("addcdiv")
def addcdiv(lift: Lifter, input: Value, tensor1: Value, tensor2: Value, value: Any = 1) -> Lifted:
    share = pair(lift, "div", tensor1, tensor2)
    if value != 1:
        share = each(lift, "mul", share, other=lift.number(value))
    return pair(lift, "add", input, share)


@handles("lerp")
def lerp(lift: Lifter, input: Value, end: Value, weight: Any) -> Lifted:
    raise cannot("lerp is not known", help="write it as `input + weight * (end - input)`")


@handles("type_promoted")
def promoted(lift: Lifter, input: Value, dtype: Any) -> Lifted:
    return cast(lift, lift(input), dtype)
