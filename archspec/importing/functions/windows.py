"""Elements repeated in place, and overlapping windows of an axis."""

from __future__ import annotations

from typing import Any

from archspec.importing.axes import Axes
from archspec.importing.functions import handles
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value, cannot


@handles("repeat_interleave")
def repeat_interleave(
    lift: Lifter, input: Value, repeats: Any, dim: int | None = None, output_size: Any = None
) -> Lifted:
    x = lift(input)
    if dim is None:
        raise cannot("repeat_interleave without `dim` mixes the samples of a batch")
    if isinstance(repeats, Value):
        raise cannot("repeat_interleave with a number for each element is not known")
    dim %= len(x.axes)
    axis = (*x.axes[dim], repeats)
    apart: Axes = (*x.axes[:dim], x.axes[dim], (1,), *x.axes[dim + 1 :])
    wide: Axes = (*apart[: dim + 1], (repeats,), *apart[dim + 2 :])
    count = sum(part is not None or not x.batched for part in sum(x.axes[: dim + 1], ()))
    one = lift.node("unsqueeze", x, axes=apart, dim=count + x.batched)
    size = [repeats if place == count else -1 for place in range(len(x.ours) + 1)]
    several: Lifted = lift.node("expand", one, axes=wide, size=size)
    if axis[0] is None:
        return several._replace(axes=(*x.axes[:dim], axis, *x.axes[dim + 1 :]))
    return lift.reshape(several, lift.call.made[0].shape)


@handles("Tensor.unfold")
def unfold(lift: Lifter, input: Value, dimension: int, size: int, step: int) -> Lifted:
    x = lift(input)
    dim = dimension % len(x.axes)
    count = (x.shape[dim] - size) // step + 1
    places = [step * window + place for window in range(count) for place in range(size)]
    number = lift.axis(x, dim)
    if places != list(range(x.shape[dim])):
        index = lift.node("constant", axes=((len(places),),), value=places)
        flat: Axes = (*x.axes[:dim], (len(places),), *x.axes[dim + 1 :])
        x = lift.node("index_select", x, index._replace(dtype="int64"), axes=flat, dim=number)
    windows: Axes = (*x.axes[:dim], (count,), (size,), *x.axes[dim + 1 :])
    apart = lift.regroup(x, windows)
    rank = len(windows)
    order = [*(each for each in range(rank) if each != dim + 1), dim + 1]
    return lift.permute(apart, order)
