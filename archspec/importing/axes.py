"""Of which of our axes each axis of a real tensor is made.

An axis is a tuple of sizes, and None for the batch: `(None, 64)` is B * 64, batch first. Our value
has the batch first and all other sizes behind it, in order. A value without a batch keeps a 1 where
a real tensor repeats it for the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TypeAlias

from archspec.importing.trace import BATCH, cannot

Axis: TypeAlias = tuple[int | None, ...]
Axes: TypeAlias = tuple[Axis, ...]

BATCH_AXIS: Axis = (None,)


def plain_axes(shape: Sequence[int]) -> Axes:
    """The axes of a real shape in which nothing is folded into the batch."""
    return tuple(_plain_axis(size) for size in shape)


def _plain_axis(size: int) -> Axis:
    if size == BATCH:
        return BATCH_AXIS
    if size and size % BATCH == 0:
        raise cannot("the batch is folded with another axis here")
    return (size,)


def real_shape(axes: Axes) -> tuple[int, ...]:
    """The sizes of the real tensor."""
    return tuple(prod(BATCH if part is None else part for part in axis) for axis in axes)


def our_shape(axes: Axes, batched: bool) -> tuple[int, ...]:
    """The sizes of our value, without the batch where it has one."""
    return tuple(part or 1 for axis in axes for part in axis if part is not None or not batched)


def has_batch(axes: Axes) -> bool:
    """Whether one of the axes holds the batch."""
    return any(None in axis for axis in axes)


def our_axis(axes: Axes, dim: int, batched: bool) -> int:
    """Our number of a real axis that is one of ours. Refuses one that holds the batch."""
    axis = axes[dim]
    if len(axis) != 1 or (axis[0] is None and batched):
        raise cannot(f"axis {dim} of this tensor holds the batch, and the function works along it")
    before = sum(1 for each in axes[:dim] for part in each if part is not None or not batched)
    return before + batched


def parts_of(axes: Axes) -> list[tuple[int, int]]:
    """Each part of each axis, by the number of its axis and its own."""
    return [(i, j) for i, axis in enumerate(axes) for j in range(len(axis))]


def our_order(axes: Axes, dims: Sequence[int], batched: bool) -> tuple[int, ...]:
    """The permutation of our axes that reorders the real ones by `dims`."""
    ours = [(i, j) for i, j in parts_of(axes) if axes[i][j] is not None or not batched]
    moved = [(i, j) for i in dims for j in range(len(axes[i])) if (i, j) in set(ours)]
    order = tuple(ours.index(part) + batched for part in moved)
    return (0, *order) if batched else order


def regrouped(axes: Axes, shape: Sequence[int]) -> Axes:
    """The axes of the same elements laid out as `shape`, which has no -1. The batch stays whole."""
    parts = [part for axis in axes for part in axis]
    made: list[Axis] = []
    for old, new in _groups(parts, shape):
        made += _laid_out(old, new) if None in old else [(size,) for size in new]
    return tuple(made)


def _groups(
    parts: Sequence[int | None], shape: Sequence[int]
) -> Iterator[tuple[list[int | None], list[int]]]:
    """Runs of parts and of new sizes that have the same number of elements, as short as can be.

    Parts of size 1 are dropped, and new ones stand alone.
    """
    left, right = [part for part in parts if part != 1], list(shape)
    while left or right:
        if right and right[0] == 1:
            yield [], [right.pop(0)]
            continue
        old, new = [left.pop(0)], [right.pop(0)]
        while _size(old) != prod(new):
            if _size(old) < prod(new):
                old.append(left.pop(0))
            else:
                new.append(right.pop(0))
        yield old, new


def _size(parts: Sequence[int | None]) -> int:
    return prod(BATCH if part is None else part for part in parts)


def _laid_out(old: Sequence[int | None], new: Sequence[int]) -> list[Axis]:
    """The axes of new sizes over old parts of which one is the batch."""
    place = old.index(None)
    ahead, behind = _size(old[:place]), _size(old[place + 1 :])
    before = 1
    for number, size in enumerate(new):
        if ahead % before == 0 and size % (ahead // before * BATCH) == 0:
            first, rest = ahead // before, size // (ahead // before * BATCH)
            if behind % rest:
                break
            axis: list[int | None] = [first] if first != 1 else []
            axis.append(None)
            if rest != 1:
                axis.append(rest)
            return [*((each,) for each in new[:number]), tuple(axis),
                    *((each,) for each in new[number + 1 :])]  # fmt: skip
        before *= size
    raise cannot("elements of different samples are mixed here")


def aligned(axes: Axes, rank: int) -> Axes:
    """The same with axes of size 1 in front, as broadcasting adds them."""
    return ((1,),) * (rank - len(axes)) + axes
