"""`x[...]`: whole numbers, slices, new axes and tensors of positions."""

from __future__ import annotations

from typing import Any

from archspec.importing.axes import Axes
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import CONSTANT, Value, cannot


def indexed(lift: Lifter, input: Value, index: tuple[Any, ...]) -> Lifted:
    """A part of a tensor, by nodes for each axis that is cut."""
    entries = _complete(index, len(input.shape))
    tensors = [each for each in entries if isinstance(each, Value | list)]
    if len(tensors) > 1:
        raise cannot("a tensor is indexed by several tensors at once")
    x = lift(input)
    dim = 0
    for entry in entries:
        if entry is None:
            x = _unsqueezed(lift, x, dim)
            dim += 1
        elif isinstance(entry, slice):
            x = _sliced(lift, x, dim, entry)
            dim += 1
        elif isinstance(entry, int):
            x = _taken(lift, x, dim, entry, input)
        else:
            x, rank = _selected(lift, x, dim, entry)
            dim += rank
    return x


def _complete(index: tuple[Any, ...], rank: int) -> list[Any]:
    """The index with full slices in the place of `...` and behind it."""
    used = sum(1 for each in index if each is not None and each is not Ellipsis)
    rest = [slice(None)] * (rank - used)
    if not any(each is Ellipsis for each in index):
        return [*index, *rest]
    place = next(i for i, each in enumerate(index) if each is Ellipsis)
    return [*index[:place], *rest, *index[place + 1 :]]


def _unsqueezed(lift: Lifter, x: Lifted, dim: int) -> Lifted:
    ahead = sum(1 for axis in x.axes[:dim] for part in axis if part is not None or not x.batched)
    axes: Axes = (*x.axes[:dim], (1,), *x.axes[dim:])
    made: Lifted = lift.node("unsqueeze", x, axes=axes, dim=ahead + x.batched)
    return made


def _sliced(lift: Lifter, x: Lifted, dim: int, piece: slice) -> Lifted:
    size = x.shape[dim]
    start, stop, step = (lift.number(e) if isinstance(e, Value) else e for e in
                         (piece.start, piece.stop, piece.step))  # fmt: skip
    first, last, by = slice(start, stop, step).indices(size)
    if (first, last, by) == (0, size, 1):
        return x
    number = lift.axis(x, dim)
    left = len(range(first, last, by))
    axes: Axes = (*x.axes[:dim], (left,), *x.axes[dim + 1 :])
    args: dict[str, Any] = {"dim": number}
    if first:
        args["start"] = start if start is not None and start < 0 else first
    if last != size:
        args["end"] = stop if stop is not None and stop < 0 else last
    if by != 1:
        args["step"] = by
    made: Lifted = lift.node("slice", x, axes=axes, **args)
    return made


def _taken(lift: Lifter, x: Lifted, dim: int, entry: int, input: Value) -> Lifted:
    """One index of an axis, which goes. Where all are taken one by one, `unbind` gives them."""
    size = x.shape[dim]
    entry %= size
    number = lift.axis(x, dim)
    rest: Axes = (*x.axes[:dim], *x.axes[dim + 1 :])
    if size == 1:
        made: Lifted = lift.node("squeeze", x, axes=rest, dim=number)
        return made
    if x == lift.values.get(input) and _taken_of(lift, input, dim) == set(range(size)):
        key = (input, f"unbind {dim}")
        if key not in lift.parts:
            lift.parts[key] = lift.node("unbind", x, axes=[rest] * size, dim=number)
        return lift.parts[key][entry]
    one: Axes = (*x.axes[:dim], (1,), *x.axes[dim + 1 :])
    end = {"end": entry + 1} if entry + 1 != size else {}
    start = {"start": entry if entry + 1 != size else -1} if entry else {}
    part = lift.node("slice", x, axes=one, dim=number, **start, **end)
    made = lift.node("squeeze", part, axes=rest, dim=number)
    return made


def _taken_of(lift: Lifter, input: Value, dim: int) -> set[int]:
    """The numbers by which axis `dim` of a value is indexed in the whole trace."""
    found = set()
    for call in lift.trace.calls:
        if call.name == "Tensor.__getitem__" and call.args[0] is input:
            index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
            if any(isinstance(each, Value | list) for each in index):
                continue
            entries = _complete(index, len(input.shape))
            if sum(each is not None for each in entries[: dim + 1]) == dim + 1 and isinstance(
                entries[dim], int
            ):
                found.add(entries[dim] % input.shape[dim])
        elif call.name in ("Tensor.select", "select") and call.args[0] is input:
            if len(call.args) == 3 and call.args[1] % len(input.shape) == dim:
                found.add(call.args[2] % input.shape[dim])
    return found


def _selected(lift: Lifter, x: Lifted, dim: int, entry: Any) -> tuple[Lifted, int]:
    """The elements of an axis at given positions, and how many axes these have."""
    if isinstance(entry, list):
        shape: tuple[int, ...] = (len(entry),)
        places: Lifted = lift.node("constant", axes=(shape,), value=entry)
        places = places._replace(dtype="int64")
    else:
        if entry.dtype_name == "bool":
            raise cannot(
                "a tensor is indexed by truth values: how many elements it gives depends on them"
            )
        shape = entry.shape
        places = lift(entry)
        if entry.kind != CONSTANT and places.batched:
            raise cannot("a tensor is indexed by positions that differ from sample to sample")
        if entry.kind == CONSTANT and len(shape) > 1:
            places = lift.reshape(places, [-1])
    number = lift.axis(x, dim)
    count = 1
    for size in shape:
        count *= size
    flat: Axes = (*x.axes[:dim], (count,), *x.axes[dim + 1 :])
    made: Lifted = lift.node("index_select", x, places, axes=flat, dim=number)
    if len(shape) == 1:
        return made, 1
    axes: Axes = (*x.axes[:dim], *((size,) for size in shape), *x.axes[dim + 1 :])
    return lift.regroup(made, axes), len(shape)
