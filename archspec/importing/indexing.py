"""`x[...]`: whole numbers, slices, new axes and tensors of positions."""

from __future__ import annotations

from math import prod
from typing import Any

from archspec.importing.axes import BATCH_AXIS, Axes
from archspec.importing.broadcasting import spread_to
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.literals import type_of_name
from archspec.importing.masks import relative_window
from archspec.importing.memory import WHOLE
from archspec.importing.trace import BATCH, CONSTANT, Value, cannot


def indexed(lift: Lifter, input: Value, index: tuple[Any, ...]) -> Lifted:
    """A part of a tensor, by nodes for each axis that is cut."""
    entries = _complete(index, len(input.shape))
    tensors = [each for each in entries if isinstance(each, Value | list)]
    x = lift(input)
    if len(tensors) > 1:
        return _paired(lift, x, entries)
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


def _paired(lift: Lifter, x: Lifted, entries: list[Any]) -> Lifted:
    """The elements at pairs of positions: one of each sample, or those that constants name."""
    first, second, *rest = entries
    if any(each != slice(None) for each in rest) or not all(
        isinstance(each, Value) for each in (first, second)
    ):
        raise cannot("a tensor is indexed by several tensors at once")
    if first.kind == CONSTANT and first.shape == (BATCH,) == second.shape:
        return _one_of_each(lift, x, lift.real(first), lift.plain(second))
    if {first.kind, second.kind} != {CONSTANT} or first.shape != second.shape or x.batched:
        raise cannot("a tensor is indexed by several tensors at once")
    rows, columns = x.shape[:2]
    places = lift.real(first) % rows * columns + lift.real(second) % columns
    flat = lift.regroup(x, ((rows * columns,), *x.axes[2:]))
    index = lift.table(places.flatten())._replace(dtype="int64")
    several: Axes = ((places.numel(),), *x.axes[2:])
    made = lift.node("index_select", flat, index, axes=several, dim=0)
    return lift.regroup(made, (*((size,) for size in places.shape), *x.axes[2:]))


def _one_of_each(lift: Lifter, x: Lifted, samples: Any, places: Lifted) -> Lifted:
    """For each sample the element of axis 1 at a position of its own."""
    if x.axes[0] != BATCH_AXIS or samples.tolist() != list(range(BATCH)):
        raise cannot("samples of a batch are put in another order here")
    where = lift.regroup(places, (*places.axes, *((1,) for _ in x.axes[1:])))
    axes: Axes = (BATCH_AXIS, (1,), *x.axes[2:])
    one = lift.node("take_along_dim", x, where, axes=axes, dim=1)
    return lift.regroup(one, (BATCH_AXIS, *x.axes[2:]))


def _complete(index: tuple[Any, ...], rank: int) -> list[Any]:
    """The index with full slices in the place of `...` and behind it."""
    used = sum(1 for each in index if each is not None and each is not Ellipsis)
    rest = [slice(None)] * (rank - used)
    if not any(each is Ellipsis for each in index):
        return [*index, *rest]
    place = next(i for i, each in enumerate(index) if each is Ellipsis)
    return [*index[:place], *rest, *index[place + 1 :]]


def _unsqueezed(lift: Lifter, x: Lifted, dim: int) -> Lifted:
    return lift.regroup(x, (*x.axes[:dim], (1,), *x.axes[dim:]))


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
    if left == 0:  # `cat` leaves it out, and nothing else takes it
        return x._replace(axes=axes)
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
        return lift.regroup(x, rest)
    if x == lift.values.get(input) and _taken_of(lift, input, dim) == set(range(size)):
        key = (input, f"unbind {dim}")
        if key not in lift.parts:
            lift.parts[key] = lift.node("unbind", x, axes=[rest] * size, dim=number)
        return lift.parts[key][entry]
    one: Axes = (*x.axes[:dim], (1,), *x.axes[dim + 1 :])
    ends: dict[str, Any] = {"end": entry + 1} if entry + 1 != size else {}
    if entry:
        ends["start"] = entry if entry + 1 != size else -1
    part = lift.node("slice", x, axes=one, dim=number, **ends)
    return lift.regroup(part, rest)


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
        elif call.name in ("Tensor.select", "select") and call.args[:1] == (input,):
            place, number = call.args[1:3] if len(call.args) == 3 else (dim + 1, 0)
            found |= {number % input.shape[dim]} if place % len(input.shape) == dim else set()
    return found


def _selected(lift: Lifter, x: Lifted, dim: int, entry: Any) -> tuple[Lifted, int]:
    """The elements of an axis at given positions, and how many axes these have."""
    if isinstance(entry, list):
        shape: tuple[int, ...] = (len(entry),)
        places: Lifted = lift.node("constant", axes=(shape,), value=entry)
        places = places._replace(dtype="int64")
    else:
        bias = _relative(lift, x, dim, entry)
        if bias is not None:
            return bias, len(entry.shape)
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


def _relative(lift: Lifter, x: Lifted, dim: int, entry: Value) -> Lifted | None:
    """Rows of a table for each pair of cells in a window; None where it is something else.

    The op keeps their numbers under the path of the module's buffer, so there must be one.
    """
    buffer, tokens = _buffer_of(entry)
    named = buffer in lift.keys and lift.is_persistent(buffer)
    if dim or x.batched or len(x.axes) != 2 or not named or entry.kind != CONSTANT:
        return None
    window = relative_window(lift.real(buffer))
    if window is None:
        return None
    count, heads = prod(window), x.axes[1]
    axes: Axes = ((1,), heads, (count,), (count,))
    made = lift.node(
        "relative_position_bias",
        x,
        axes=axes,
        owner=lift.keys[buffer][0],
        window=window,
        flat=len(buffer.shape) == 1,
    )
    if tokens is not None and tokens < count:  # the first cells alone
        for axis in (2, 3):
            made = _sliced(lift, made, axis, slice(0, tokens))
    made = lift.permute(lift.regroup(made, made.axes[1:]), (1, 2, 0))
    return lift.regroup(made, (*((size,) for size in entry.shape), heads))


def _buffer_of(entry: Value) -> tuple[Value, int | None]:
    """The buffer that positions are read from, and of how many cells where it is not all."""
    buffer, tokens = entry, None
    while buffer.source is not None:
        call = buffer.source
        if call.name == "Tensor.__getitem__" and tokens is None:
            index = call.args[1]
            cut = index[0] if isinstance(index, tuple) and len(index) == 2 else None
            if not isinstance(cut, slice) or index[1] != cut or cut.start or cut.step:
                break
            tokens = cut.stop
        elif call.name not in WHOLE:
            break
        buffer = call.args[0]
    return buffer, tokens


def filled(lift: Lifter, x: Lifted, number: Any) -> Lifted:
    """A constant of one number with the axes of `x`."""
    sizes = [part or 1 for axis in x.axes for part in axis]
    word = type_of_name(x.dtype)
    kinds = {"float": float, "bool": bool}
    value = kinds.get(word, int)(lift.number(number))
    made: Lifted = lift.node("constant", axes=x.axes, full=sizes, value=value, dtype=word)
    return made._replace(dtype=x.dtype)


def replaced(lift: Lifter, input: Value, index: tuple[Any, ...], value: Any) -> Lifted:
    """`input` with `value` in the place of `input[index]`: its parts, joined again."""
    entries = _complete(index, len(input.shape))
    if any(not (e is None or isinstance(e, int | slice)) for e in entries):
        raise cannot("elements at the positions that a tensor names are written here")
    x = lift(input)
    part = x
    cuts = []
    for dim, entry in enumerate(each for each in entries if each is not None):
        size = x.shape[dim]
        piece = entry if isinstance(entry, slice) else slice(entry % size, entry % size + 1)
        start, stop, step = piece.indices(size)
        if step != 1:
            raise cannot("every other element is written here", help="write them all")
        if (start, stop) != (0, size):
            cuts.append((dim, start, stop))
            part = _sliced(lift, part, dim, slice(start, stop))
    shape = [stop - start for _, start, stop in cuts]
    whole = list(x.shape)
    for (dim, _, _), size in zip(cuts, shape, strict=True):
        whole[dim] = size
    if lift.is_number(value):
        new = filled(lift, part, value)
    else:
        new = lift(value)
        missing = [dim for dim, each in enumerate(e for e in entries if e is not None)
                   if isinstance(each, int)]  # fmt: skip
        if len(new.axes) == len(whole) - len(missing):
            for dim in missing:
                new = _unsqueezed(lift, new, dim)
        new = spread_to(lift, new, whole)
    for number in reversed(range(len(cuts))):
        around = x
        for dim, start, stop in cuts[:number]:
            around = _sliced(lift, around, dim, slice(start, stop))
        dim, start, stop = cuts[number]
        pieces = [new]
        if start:
            pieces.insert(0, _sliced(lift, around, dim, slice(0, start)))
        if stop != x.shape[dim]:
            pieces.append(_sliced(lift, around, dim, slice(stop, None)))
        new = lift.node("concat", *pieces, axes=around.axes, dim=lift.axis(around, dim))
    return new
