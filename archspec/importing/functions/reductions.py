"""Sums, means, extremes, and elements in order."""

from __future__ import annotations

from typing import Any

from archspec.importing.axes import Axes
from archspec.importing.functions import handles
from archspec.importing.functions.binary import pair
from archspec.importing.functions.elementwise import cast, each
from archspec.importing.functions.layout import _one_or_list
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value, cannot


def _without(lift: Lifter, x: Lifted, dims: Any, keepdim: bool) -> tuple[Axes, Any]:
    """The axes that are left, and our numbers of those that go."""
    rank = len(x.axes)
    if dims is None or dims == () or dims == []:
        dims = range(rank)
    several = {dim % rank for dim in ([dims] if isinstance(dims, int) else dims)}
    numbers = [lift.axis(x, dim) for dim in sorted(several)]
    axes: Axes = tuple(
        (1,) if number in several else axis
        for number, axis in enumerate(x.axes)
        if keepdim or number not in several
    )
    return axes, _one_or_list(numbers)


def _cast(lift: Lifter, input: Value, dtype: Any) -> Lifted:
    """What a reduction reads where it is told the type to count in."""
    return lift(input) if dtype is None else cast(lift, lift(input), dtype)


def reduced(
    lift: Lifter, op: str, input: Value | Lifted, dim: Any, keepdim: bool, **args: Any
) -> Lifted:
    x = lift(input)
    axes, numbers = _without(lift, x, dim, keepdim)
    made: Lifted = lift.node(op, x, axes=axes, dim=numbers, keepdim=keepdim, **args)
    return made


@handles("mean")
def mean(
    lift: Lifter, input: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Lifted:
    return reduced(lift, "mean", _cast(lift, input, dtype), dim, keepdim)


@handles("sum")
def sum_(
    lift: Lifter, input: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Lifted:
    return reduced(lift, "sum", _cast(lift, input, dtype), dim, keepdim)


@handles("amax", "amin", "any", "all", "prod", "argmax", "argmin", "logsumexp")
def plainly(lift: Lifter, input: Value, dim: Any = None, keepdim: bool = False) -> Lifted:
    return reduced(lift, lift.call.name.removeprefix("Tensor."), input, dim, keepdim)


@handles("var", "std")
def variance(
    lift: Lifter,
    input: Value,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    correction: Any = None,
) -> Lifted:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    op = lift.call.name.removeprefix("Tensor.")
    return reduced(lift, op, input, dim, keepdim, correction=int(correction))


@handles("var_mean", "std_mean")
def with_mean(
    lift: Lifter,
    input: Value,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    correction: Any = None,
) -> Any:
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    op = lift.call.name.removesuffix("_mean")
    spread = reduced(lift, op, input, dim, keepdim, correction=int(correction))
    return spread, reduced(lift, "mean", input, dim, keepdim)


@handles("max", "min")
def extreme(lift: Lifter, input: Value, dim: Any = None, keepdim: bool = False) -> Any:
    op = lift.call.name.removeprefix("Tensor.")
    if isinstance(dim, Value):
        return pair(lift, f"{op}imum", input, dim)
    if dim is None:
        raise cannot(f"{op} without `dim` is over all samples", help="state `dim`")
    x = lift(input)
    axes, number = _without(lift, x, dim, keepdim)
    return lift.node(op, x, axes=[axes, axes], dim=number, keepdim=keepdim)


@handles("norm", "vector_norm", "linalg_vector_norm", "linalg_norm")
def norm(
    lift: Lifter,
    input: Value,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: Any = None,
    ord: Any = None,
) -> Lifted:
    order = p if ord is None else ord
    order = 2 if order in (None, "fro") else order
    word = {float("inf"): "inf", -float("inf"): "-inf"}.get(order)
    return reduced(lift, "vector_norm", input, dim, keepdim, ord=word or float(order))


@handles("cumsum")
def cumsum(lift: Lifter, input: Value, dim: int, dtype: Any = None) -> Lifted:
    x = _cast(lift, input, dtype)
    return each(lift, "cumsum", x, dim=lift.axis(x, dim))


@handles("topk")
def topk(
    lift: Lifter, input: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    x = lift(input)
    dim %= len(x.axes)
    axes: Axes = (*x.axes[:dim], (k,), *x.axes[dim + 1 :])
    return lift.node(
        "topk", x, axes=[axes, axes], k=k, dim=lift.axis(x, dim), largest=largest, sorted=sorted
    )


@handles("sort")
def sort(
    lift: Lifter, input: Value, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    x = lift(input)
    number = lift.axis(x, dim)
    return lift.node(
        "sort", x, axes=[x.axes, x.axes], dim=number, descending=descending, stable=bool(stable)
    )


@handles("argsort")
def argsort(
    lift: Lifter, input: Value, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    return sort(lift, input, dim, descending, stable)[1]


@handles("gather")
def gather(lift: Lifter, input: Value, dim: int, index: Value, sparse_grad: bool = False) -> Lifted:
    x, places = lift(input), lift(index)
    made: Lifted = lift.node("gather", x, places, axes=places.axes, dim=lift.axis(x, dim))
    return made


@handles("take_along_dim")
def take_along_dim(lift: Lifter, input: Value, indices: Value, dim: int) -> Lifted:
    x, places = lift(input), lift(indices)
    dim %= len(x.axes)
    axes = tuple(
        place if number == dim or axis == (1,) else axis
        for number, (axis, place) in enumerate(zip(x.axes, places.axes, strict=True))
    )
    made: Lifted = lift.node("take_along_dim", x, places, axes=axes, dim=lift.axis(x, dim))
    return made


@handles("one_hot")
def one_hot(lift: Lifter, input: Value, num_classes: int = -1) -> Lifted:
    if num_classes < 0:
        raise cannot("one_hot without num_classes depends on the numbers", help="state num_classes")
    x = lift(input)
    made: Lifted = lift.node("one_hot", x, axes=(*x.axes, (num_classes,)), num_classes=num_classes)
    return made
