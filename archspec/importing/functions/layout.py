"""The same elements under other axes, parts of a tensor, and tensors side by side."""

from __future__ import annotations

from typing import Any

from archspec.importing.axes import Axes
from archspec.importing.broadcasting import spread_to
from archspec.importing.functions import handles
from archspec.importing.functions.elementwise import cast
from archspec.importing.indexing import filled, indexed, replaced
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import BATCH, Value, cannot
from archspec.ir.op import MAX_FLOAT


def _sizes(sizes: tuple[Any, ...]) -> list[Any]:
    """Sizes that come one by one or as one list."""
    return list(sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes)


@handles("reshape", "view", "_unsafe_view", "_reshape_alias")
def reshape(lift: Lifter, input: Value, *shape: Any, **kwargs: Any) -> Lifted:
    return lift.reshape(lift(input), lift.call.made[0].shape)


@handles("view_as", "reshape_as")
def view_as(lift: Lifter, input: Value, other: Value) -> Lifted:
    return lift.reshape(lift(input), other.shape)


@handles("flatten", "ravel")
def flatten(lift: Lifter, input: Value, start_dim: int = 0, end_dim: int = -1) -> Lifted:
    return lift.reshape(lift(input), lift.call.made[0].shape)


@handles("unflatten")
def unflatten(lift: Lifter, input: Value, dim: int, sizes: Any) -> Lifted:
    return lift.reshape(lift(input), lift.call.made[0].shape)


@handles("permute")
def permute(lift: Lifter, input: Value, *several: Any, dims: Any = None) -> Lifted:
    return lift.permute(lift(input), _sizes(several or (dims,)))


@handles("transpose", "swapaxes", "swapdims")
def transpose(lift: Lifter, input: Value, dim0: int, dim1: int) -> Lifted:
    x = lift(input)
    order = list(range(len(x.axes)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return lift.permute(x, order)


@handles("t", "Tensor.T.__get__", "Tensor.mT.__get__", "Tensor.H.__get__", "adjoint")
def transposed(lift: Lifter, input: Value) -> Lifted:
    x = lift(input)
    order = list(range(len(x.axes)))
    if lift.call.name == "Tensor.T.__get__":
        order.reverse()
    elif len(order) > 1:
        order[-1], order[-2] = order[-2], order[-1]
    return lift.permute(x, order)


@handles("movedim", "moveaxis")
def movedim(lift: Lifter, input: Value, source: Any, destination: Any) -> Lifted:
    x = lift(input)
    rank = len(x.axes)
    sources = [each % rank for each in ([source] if isinstance(source, int) else source)]
    places = [
        each % rank for each in ([destination] if isinstance(destination, int) else destination)
    ]
    rest = [axis for axis in range(rank) if axis not in sources]
    placed = dict(zip(places, sources, strict=True))
    order = [placed[place] if place in placed else rest.pop(0) for place in range(rank)]
    return lift.permute(x, order)


@handles("unsqueeze")
def unsqueeze(lift: Lifter, input: Value, dim: int) -> Lifted:
    x = lift(input)
    dim %= len(x.axes) + 1
    axes: Axes = (*x.axes[:dim], (1,), *x.axes[dim:])
    return lift.regroup(x, axes)


@handles("squeeze")
def squeeze(lift: Lifter, input: Value, dim: Any = None) -> Lifted:
    x = lift(input)
    rank = len(x.axes)
    dims = range(rank) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = sorted({each % rank for each in dims if x.axes[each] == (1,)})
    if not gone:
        return x
    return lift.regroup(x, tuple(a for number, a in enumerate(x.axes) if number not in gone))


def _one_or_list(numbers: list[int]) -> int | list[int]:
    return numbers[0] if len(numbers) == 1 else numbers


@handles("expand", "broadcast_to")
def expand(lift: Lifter, input: Value, *sizes: Any, implicit: bool = False) -> Lifted:
    return spread_to(lift, lift(input), lift.call.made[0].shape)


@handles("expand_as")
def expand_as(lift: Lifter, input: Value, other: Value) -> Lifted:
    return spread_to(lift, lift(input), other.shape)


@handles("repeat", "tile")
def repeat(lift: Lifter, input: Value, *dims: Any) -> Lifted:
    x = lift(input)
    shape = lift.call.made[0].shape
    if len(shape) > len(x.axes):
        x = lift.reshape(x, (*(1,) * (len(shape) - len(x.axes)), *x.shape))
    times = [new // old for new, old in zip(shape, x.shape, strict=True)]
    if BATCH in times:
        place = times.index(BATCH)
        if x.shape[place] != 1:
            raise cannot(
                "a tensor is repeated for the batch along an axis of more than one element"
            )
        x = spread_to(lift, x, [BATCH if i == place else -1 for i in range(len(shape))])
        times[place] = 1
    if all(count == 1 for count in times):
        return x
    numbers = {lift.axis(x, dim): count for dim, count in enumerate(times) if count != 1}
    first = min(numbers)
    last = len(x.ours) + x.batched
    axes = tuple(
        (axis[0] * count,) if count != 1 and axis[0] is not None else axis
        for axis, count in zip(x.axes, times, strict=True)
    )
    made: Lifted = lift.node(
        "tile", x, axes=axes, dims=[numbers.get(number, 1) for number in range(first, last)]
    )
    return made


@handles("roll")
def roll(lift: Lifter, input: Value, shifts: Any, dims: Any = None) -> Lifted:
    if dims is None:
        raise cannot(
            "roll without `dims` moves elements from sample to sample", help="state `dims`"
        )
    x = lift(input)
    several = [dims] if isinstance(dims, int) else list(dims)
    moves = [shifts] if isinstance(shifts, int) else list(shifts)
    numbers = [lift.axis(x, dim) for dim in several]
    made: Lifted = lift.node(
        "roll", x, axes=x.axes, shifts=_one_or_list(moves), dims=_one_or_list(numbers)
    )
    return made


@handles("flip")
def flip(lift: Lifter, input: Value, *several: Any, dims: Any = ()) -> Lifted:
    x = lift(input)
    numbers = [lift.axis(x, dim) for dim in _sizes(several or (dims,))]
    made: Lifted = lift.node("flip", x, axes=x.axes, dims=_one_or_list(numbers))
    return made


@handles("pad")
def pad(lift: Lifter, input: Value, pad: Any, mode: str = "constant", value: Any = None) -> Lifted:
    x = lift(input)
    widths = [int(each) for each in pad]
    if not any(widths):
        return x
    axes = list(x.axes)
    last = len(x.ours) + x.batched - 1
    for number in range(len(widths) // 2):
        dim = len(axes) - 1 - number
        before, after = widths[2 * number : 2 * number + 2]
        if (before or after) and lift.axis(x, dim) != last - number:
            raise cannot("pad over an axis that holds the batch")
        if before or after:
            axes[dim] = (x.shape[dim] + before + after,)
    while len(widths) > 2 and widths[-2:] == [0, 0]:
        del widths[-2:]
    # An infinity, around what is pooled by its maxima, is no number of the language.
    margin = min(max(float(value or 0.0), -MAX_FLOAT), MAX_FLOAT)
    made: Lifted = lift.node("pad", x, axes=tuple(axes), pad=widths, mode=mode, value=margin)
    return made


@handles("cat", "concat", "concatenate")
def cat(lift: Lifter, tensors: Any, dim: int = 0, out: Any = None) -> Lifted:
    parts = [lift(each) for each in tensors if 0 not in each.shape]
    if len(parts) == 1:
        return parts[0]
    dim %= len(parts[0].axes)
    ours = {lift.axis(part, dim) for part in parts}
    if any(part.batched for part in parts) and len(ours) > 1:
        parts = [lift.batched(part) for part in parts]
        ours = {lift.axis(part, dim) for part in parts}
    if len(ours) != 1:
        raise cannot("tensors are joined of which some hold the batch in another place")
    whole = next((part for part in parts if part.batched), parts[0])
    total = sum(part.shape[dim] for part in parts)
    axes = tuple((total,) if number == dim else axis for number, axis in enumerate(whole.axes))
    made: Lifted = lift.node("concat", *parts, axes=axes, dim=ours.pop())
    return made


@handles("stack")
def stack(lift: Lifter, tensors: Any, dim: int = 0, out: Any = None) -> Lifted:
    parts = [lift(each) for each in tensors]
    if any(part.batched for part in parts):
        parts = [lift.batched(part) for part in parts]
    first = parts[0]
    dim %= len(first.axes) + 1
    ahead = sum(1 for a in first.axes[:dim] for p in a if p is not None or not first.batched)
    axes: Axes = (*first.axes[:dim], (len(parts),), *first.axes[dim:])
    made: Lifted = lift.node("stack", *parts, axes=axes, dim=ahead + first.batched)
    return made


@handles("chunk")
def chunk(lift: Lifter, input: Value, chunks: int, dim: int = 0) -> Any:
    x = lift(input)
    dim %= len(x.axes)
    made = [value.shape[dim] for value in _results(lift)]
    if len(made) == 1:
        return (x,)
    op = ("chunk", {"chunks": chunks}) if len(made) == chunks else None
    return _parted(lift, x, dim, made, op)


@handles("tensor_split")
def tensor_split(
    lift: Lifter,
    input: Value,
    indices_or_sections: Any = None,
    dim: int = 0,
    indices: Any = None,
    sections: Any = None,
) -> Any:
    made = [value.shape[dim] for value in _results(lift)]
    return _parted(lift, lift(input), dim % len(input.shape), made, None)


@handles("split", "split_with_sizes")
def split(
    lift: Lifter, input: Value, split_size_or_sections: Any = None, dim: int = 0, **names: Any
) -> Any:
    x = lift(input)
    dim %= len(x.axes)
    made = [value.shape[dim] for value in _results(lift)]
    return (x,) if len(made) == 1 else _parted(lift, x, dim, made, None)


def _results(lift: Lifter) -> list[Value]:
    return [each for each in lift.call.results if isinstance(each, Value)]


def _parted(lift: Lifter, x: Lifted, dim: int, sizes: list[int], op: Any) -> Any:
    number = lift.axis(x, dim)
    axes = [(*x.axes[:dim], (size,), *x.axes[dim + 1 :]) for size in sizes]
    same = len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0]
    said = {"split_size_or_sections": sizes[0] if same else sizes}
    name, args = op or ("split", said)
    if name == "split" and len(set(sizes)) == 1:
        name, args = "chunk", {"chunks": len(sizes)}
    return lift.node(name, x, axes=axes, dim=number, **args)


@handles("unbind", "Tensor.__iter__")
def unbind(lift: Lifter, input: Value, dim: int = 0) -> Any:
    x = lift(input)
    dim %= len(x.axes)
    axes = [(*x.axes[:dim], *x.axes[dim + 1 :])] * x.shape[dim]
    if len(axes) == 1:
        return (lift.node("squeeze", x, axes=axes[0], dim=lift.axis(x, dim)),)
    return lift.node("unbind", x, axes=axes, dim=lift.axis(x, dim))


@handles("__getitem__")
def getitem(lift: Lifter, input: Value, index: Any) -> Lifted:
    return indexed(lift, input, index if isinstance(index, tuple) else (index,))


@handles("put", "__setitem__")
def put(lift: Lifter, input: Value, index: Any, value: Any) -> Lifted:
    return replaced(lift, input, index if isinstance(index, tuple) else (index,), value)


@handles("copy")
def copy(lift: Lifter, input: Value, src: Value, non_blocking: bool = False) -> Lifted:
    import torch

    x = cast(lift, lift(src), getattr(torch, input.dtype_name))
    return spread_to(lift, x, input.shape)


@handles("zero", "fill")
def fill(lift: Lifter, input: Value, value: Any = 0) -> Lifted:
    return filled(lift, lift(input), value)


@handles("select")
def select(lift: Lifter, input: Value, dim: int, index: int) -> Lifted:
    return indexed(lift, input, (*(slice(None),) * (dim % len(input.shape)), index))


@handles("narrow")
def narrow(lift: Lifter, input: Value, dim: int, start: int, length: int) -> Lifted:
    piece = slice(start, start + length)
    return indexed(lift, input, (*(slice(None),) * (dim % len(input.shape)), piece))


@handles("index_select")
def index_select(lift: Lifter, input: Value, dim: int, index: Value) -> Lifted:
    return indexed(lift, input, (*(slice(None),) * (dim % len(input.shape)), index))


@handles("meshgrid")
def meshgrid(lift: Lifter, *tensors: Any, indexing: str = "ij") -> Any:
    raise cannot("meshgrid of values that depend on an input is not known")
