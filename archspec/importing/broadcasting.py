"""Our values laid out so that they broadcast as the real tensors do."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.importing.axes import Axes, Axis, has_batch, our_shape, real_shape
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import BATCH, cannot


def aligned_axes(several: Sequence[Axes], rank: int) -> Axes:
    """The axes of the broadcast result of tensors with these ones."""
    padded = [((1,),) * (rank - len(axes)) + tuple(axes) for axes in several]
    return tuple(_joint(axes) for axes in zip(*padded, strict=True))


def _joint(axes: Sequence[Axis]) -> Axis:
    wide = [axis for axis in axes if axis != (1,)]
    if not wide:
        return (1,)
    if any(axis != wide[0] for axis in wide):
        sizes = {real_shape((axis,)) for axis in wide}
        if len(sizes) == 1 and any(axis == (None,) for axis in wide):
            return max(wide, key=len)
        raise cannot("two tensors hold the batch in different places of the same axis")
    return wide[0]


def together(
    lift: Lifter, values: Sequence[Lifted], target: Axes | None = None
) -> tuple[list[Lifted], Axes]:
    """The values laid out to broadcast with each other, or to `target`; the axes of the result."""
    rank = max(len(value.axes) for value in values)
    axes = target or aligned_axes([value.axes for value in values], rank)
    batched = any(value.batched for value in values) or (target is not None and has_batch(target))
    return [_laid_out(lift, value, axes, batched) for value in values], axes


def _laid_out(lift: Lifter, x: Lifted, axes: Axes, batched: bool) -> Lifted:
    own = ((1,),) * (len(axes) - len(x.axes)) + x.axes
    wanted: list[int] = []
    for mine, theirs in zip(own, axes, strict=True):
        parts = [part for part in theirs if part is not None or not batched]
        if mine == (1,):
            wanted += [1] * len(parts)
        else:
            kept = [part or 1 for part in mine if part is not None or not batched]
            wanted += kept + [1] * (len(parts) - len(kept))
    if x.batched:
        if list(x.ours) == wanted:
            return x
        made = tuple((size,) for size in wanted)
        return lift.regroup(x, ((None,), *made))
    if len(x.ours) <= len(wanted) + batched and _bare(x.ours) == _bare(wanted):
        return x
    return lift.unbatched_as(x, tuple(_bare(wanted)) or (1,))


def _bare(sizes: Sequence[int]) -> list[int]:
    """Sizes without the ones in front, which broadcasting adds by itself."""
    found = list(sizes)
    while found and found[0] == 1:
        del found[0]
    return found


def spread_to(lift: Lifter, x: Lifted, shape: Sequence[int]) -> Lifted:
    """`x.expand(shape)`: axes of size 1 repeated. For the batch nothing is repeated."""
    own = ((1,),) * (len(shape) - len(x.axes)) + x.axes
    axes: list[Axis] = []
    for axis, size in zip(own, shape, strict=True):
        if axis != (1,) or size in (-1, 1):
            axes.append(axis)
        elif size % BATCH == 0:
            if size != BATCH:
                raise cannot("a tensor is repeated for the batch and another axis at once")
            axes.append((None,))
        else:
            axes.append((size,))
    repeats = x.batched and (None,) in [a for a, o in zip(axes, own, strict=True) if a != o]
    if repeats and has_batch(x.axes):
        raise cannot("a tensor that has a batch is repeated for the batch")
    if len(shape) > len(x.axes) and x.batched:
        x = lift.regroup(x, own)
    if repeats:  # it is computed once for each sample
        own = tuple(a if a == (None,) else o for a, o in zip(axes, own, strict=True))
        x = lift.regroup(x, own)
    new, old = our_shape(tuple(axes), x.batched), our_shape(own, x.batched)
    if new == old:
        if len(own) != len(x.axes) and not x.batched and len(x.ours) != len(new):
            return lift.unbatched_as(x, new)._replace(axes=tuple(axes))
        return x._replace(axes=tuple(axes))
    sizes = [n if n != o else -1 for n, o in zip(new, old, strict=True)]
    padding = len(new) - len(x.ours)
    sizes[:padding] = new[:padding]
    made: Lifted = lift.node("expand", x, axes=tuple(axes), size=sizes)
    return made
