"""Functions of each element of one tensor: activations, roots, signs, casts, dropout."""

from __future__ import annotations

from typing import Any

from archspec.importing.functions import handles
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.literals import TYPES, type_of
from archspec.importing.trace import Value, cannot


def each(lift: Lifter, op: str, input: Value | Lifted, **args: Any) -> Lifted:
    """A node of an op that keeps the axes of what it reads."""
    x = lift(input)
    made: Lifted = lift.node(op, x, axes=x.axes, **args)
    return made


@handles(
    "identity", "contiguous", "clone", "detach", "Tensor.requires_grad_", "alias", "view_as_real"
)
def same(lift: Lifter, input: Value, memory_format: Any = None) -> Lifted:
    return lift(input)


@handles("Tensor.data.__get__")
def data(lift: Lifter, input: Value) -> Lifted:
    return lift(input)


def _simple(name: str, op: str | None = None, *aliases: str) -> None:
    def handler(lift: Lifter, input: Value, inplace: bool = False) -> Lifted:
        return each(lift, op or name, input)

    handles(name, *aliases)(handler)


for _name in (
    *("relu", "relu6", "sigmoid", "tanh", "silu", "mish", "hardswish", "hardsigmoid", "selu"),
    *("exp", "log", "sqrt", "rsqrt", "abs", "sin", "cos", "floor", "logical_not", "softsign"),
    *("tanhshrink", "logsigmoid"),
):
    _simple(_name)
_simple("neg", None, "negative", "__neg__")
_simple("__invert__", "logical_not")
_simple("expit", "sigmoid", "special_expit")


@handles("gelu")
def gelu(lift: Lifter, input: Value, approximate: str = "none") -> Lifted:
    return each(lift, "gelu", input, approximate=approximate)


@handles("leaky_relu")
def leaky_relu(
    lift: Lifter, input: Value, negative_slope: float = 0.01, inplace: bool = False
) -> Lifted:
    return each(lift, "leaky_relu", input, negative_slope=float(negative_slope))


@handles("elu")
def elu(lift: Lifter, input: Value, alpha: float = 1.0, inplace: bool = False) -> Lifted:
    return each(lift, "elu", input, alpha=float(alpha))


@handles("celu")
def celu(lift: Lifter, input: Value, alpha: float = 1.0, inplace: bool = False) -> Lifted:
    return each(lift, "celu", input, alpha=float(alpha))


@handles("softplus")
def softplus(lift: Lifter, input: Value, beta: float = 1, threshold: float = 20) -> Lifted:
    return each(lift, "softplus", input, beta=float(beta), threshold=float(threshold))


@handles("hardtanh")
def hardtanh(
    lift: Lifter,
    input: Value,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Lifted:
    if (min_val, max_val) == (0, 6):  # what nn.ReLU6 calls
        return each(lift, "relu6", input)
    return each(lift, "hardtanh", input, min_val=float(min_val), max_val=float(max_val))


@handles("hardshrink", "softshrink")
def shrink(lift: Lifter, input: Value, lambd: float = 0.5) -> Lifted:
    return each(lift, lift.call.name.removeprefix("Tensor."), input, lambd=float(lambd))


@handles("threshold")
def threshold(
    lift: Lifter, input: Value, threshold: float, value: float, inplace: bool = False
) -> Lifted:
    return each(lift, "threshold", input, threshold=float(threshold), value=float(value))


@handles("prelu")
def prelu(lift: Lifter, input: Value, weight: Value) -> Lifted:
    x = lift(input)
    count = weight.shape[0]
    made: Lifted = lift.weighted(
        "prelu",
        lift.plain(x) if count > 1 else x,
        weights={"weight": weight},
        axes=x.axes,
        num_parameters=count,
    )
    return made


@handles("rrelu")
def rrelu(
    lift: Lifter,
    input: Value,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Lifted:
    return each(lift, "rrelu", input, lower=lower, upper=upper)


@handles("clamp", "clip")
def clamp(lift: Lifter, input: Value, min: Any = None, max: Any = None) -> Lifted:
    return each(
        lift,
        "clamp",
        input,
        min=None if min is None else lift.number(min),
        max=None if max is None else lift.number(max),
    )


@handles("clamp_min")
def clamp_min(lift: Lifter, input: Value, min: Any) -> Lifted:
    return each(lift, "clamp", input, min=lift.number(min))


@handles("clamp_max")
def clamp_max(lift: Lifter, input: Value, max: Any) -> Lifted:
    return each(lift, "clamp", input, max=lift.number(max))


@handles("square")
def square(lift: Lifter, input: Value) -> Lifted:
    return each(lift, "pow", input, other=2)


@handles("round")
def round_(lift: Lifter, input: Value, decimals: int = 0) -> Lifted:
    return each(lift, "round", input, decimals=decimals)


@handles("softmax", "Tensor.softmax", "special_softmax")
def softmax(
    lift: Lifter, input: Value, dim: Any = None, _stacklevel: int = 3, dtype: Any = None
) -> Lifted:
    return _along(lift, "softmax", input, dim, dtype)


@handles("log_softmax", "special_log_softmax")
def log_softmax(
    lift: Lifter, input: Value, dim: Any = None, _stacklevel: int = 3, dtype: Any = None
) -> Lifted:
    return _along(lift, "log_softmax", input, dim, dtype)


def _along(lift: Lifter, op: str, input: Value, dim: int | None, dtype: Any) -> Lifted:
    if dim is None:
        raise cannot("softmax without `dim` guesses the axis", help="state `dim`")
    x = lift(input) if dtype is None else cast(lift, lift(input), dtype)
    return each(lift, op, x, dim=lift.axis(x, dim))


@handles("glu")
def glu(lift: Lifter, input: Value, dim: int = -1) -> Lifted:
    x = lift(input)
    dim %= len(x.axes)
    number = lift.axis(x, dim)
    axes = (*x.axes[:dim], (x.shape[dim] // 2,), *x.axes[dim + 1 :])
    made: Lifted = lift.node("glu", x, axes=axes, dim=number)
    return made


@handles("normalize")
def normalize(
    lift: Lifter, input: Value, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Lifted:
    if p != 2:
        raise cannot(f"normalize with p={p} is not known", help="p=2, the Euclidean length, is")
    x = lift(input)
    return each(lift, "normalize", x, dim=lift.axis(x, dim), eps=eps)


def cast(lift: Lifter, x: Lifted, dtype: Any) -> Lifted:
    """The value as another type; itself where it is of that type."""
    if str(dtype).removeprefix("torch.") == x.dtype:
        return x
    made = each(lift, "to", x, dtype=type_of(dtype))
    return made._replace(dtype=str(dtype).removeprefix("torch."))


@handles("to", "type", "float", "long", "int", "bool", "type_as", "double", "half")
def to(lift: Lifter, input: Value, *args: Any, **kwargs: Any) -> Lifted:
    return cast(lift, lift(input), lift.call.made[0].dtype)


def as_float(lift: Lifter, x: Lifted) -> Lifted:
    """The value as floats, as torch's arithmetic makes of whole numbers and truth values."""
    import torch

    return x if x.dtype not in _WHOLE else cast(lift, x, torch.float32)


_WHOLE = {str(dtype).removeprefix("torch.") for dtype, word in TYPES.items() if word != "float"}


@handles("dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(
    lift: Lifter, input: Value, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Lifted:
    return each(lift, lift.call.name.removeprefix("Tensor.").rstrip("_"), input, p=float(p))


@handles("dropout1d", "dropout2d", "dropout3d", "feature_dropout")
def spatial_dropout(
    lift: Lifter, input: Value, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Lifted:
    x = lift.plain(input)
    name = f"dropout{max(1, len(x.axes) - 2)}d"
    return each(lift, name, x, p=float(p))
