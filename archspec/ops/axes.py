"""Axes added, removed, repeated, reversed and taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Bounds
from archspec.ir.op import Doubt, Example, PositiveInt, ProductFree
from archspec.ir.shape import (
    Dim,
    Shape,
    each,
    expect_at_least,
    is_batched,
    own_axis,
    replaced,
    same_except,
    show,
    total,
)
from archspec.ir.tape import (
    Tape,
    Tensor,
    channels_last_strides,
    contiguous_strides,
    empty_like,
)
from archspec.ir.types import EVERY, INT32, INT64, ValueType, joined, promoted
from archspec.sizes.size import known

Dims: TypeAlias = int | Annotated[tuple[int, ...], Bounds(min_length=1)]

MAX_PARTS = 1_000
"""Outputs of one node."""


class _OfAxes(ProductFree):
    """Base of what gives elements of any type other axes, with a batch or without one."""

    since = "0.2"
    takes: ClassVar[frozenset[str]] = EVERY
    takes_unbatched: ClassVar[bool] = True
    moves_axes = True


class Stack(_OfAxes, name="stack"):
    """Joins values of one shape along a new axis `dim`, by default the one after N.

    Either all of them have a batch or none. Types are promoted as in torch.
    """

    dim: int = 1

    variadic = True
    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 4)]),
        Example({"dim": -1}, inputs=[("N", 3, 4, 5)] * 3),
        Example({"dim": 2}, inputs=[("N", 3, 4, 5)] * 2),
        Example({"dim": 0}, inputs=[(3, 4), (3, 4)]),
        Example(inputs=[("N",), ("N",)], types=[INT32, INT64]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        x = inputs[0]
        if len(set(map(is_batched, inputs))) > 1:
            raise Refusal(
                "values with a batch are stacked with one that has none",
                code=Code.UNBATCHED,
                expected="a batch in all of them, or in none",
                found=" and ".join(map(show, inputs)),
                help="join it to the batch first with add, mul or concat",
            )
        same_except(inputs, -1)
        dim = _new_axis(self.dim, x)
        return (*x[:dim], len(inputs), *x[dim:])

    def result_type(self, *types: ValueType) -> ValueType:
        return joined(types)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        rank = len(inputs[0].shape)
        dim = self.dim % (rank + 1)
        # torch concatenates along the axis before which the new one stands, and takes that apart.
        parts = inputs if dim < rank else tuple(_with_new_axis(x, dim) for x in inputs)
        shape = replaced(parts[0].shape, dim, parts[0].shape[dim] * len(parts))
        channels_last = all(x.prefers_channels_last for x in parts)
        y = tape.new(
            shape,
            requires_grad=any(x.requires_grad for x in parts),
            strides=channels_last_strides(shape) if channels_last else contiguous_strides(shape),
            type=promoted([x.type for x in parts]),
        )
        if dim == rank:
            return y
        size, step = inputs[0].shape[dim], y.strides[dim]
        return y.viewed(
            (*shape[:dim], len(parts), size, *shape[dim + 1 :]),
            (*y.strides[:dim], size * step, step, *y.strides[dim + 1 :]),
        )

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"torch.stack(({', '.join(values)}), dim={self.dim})"


class Unsqueeze(_OfAxes, name="unsqueeze", primary="dim"):
    """A new axis of size 1, `dim` of the result: `unsqueeze: 1` makes (N, 1, 4) of (N, 4)."""

    dim: int

    examples = (
        Example({"dim": 1}, inputs=[("N", 3, 4)]),
        Example({"dim": -1}, inputs=[("N",)]),
        Example({"dim": 0}, inputs=[(3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        dim = _new_axis(self.dim, x)
        return (*x[:dim], 1, *x[dim:])

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return _with_new_axis(x, self.dim % (len(x.shape) + 1))

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]}.unsqueeze({self.dim})"


class Squeeze(_OfAxes, name="squeeze", primary="dim"):
    """Removes the axes `dim`, a number or a list, that have size 1; others stay, as in torch.

    N, which counts as 0, is never removed.
    """

    dim: Dims

    examples = (
        Example({"dim": 1}, inputs=[("N", 1, 4)]),
        Example({"dim": (-2, -1)}, inputs=[("N", 3, 1, 1)]),
        Example({"dim": (1, 2)}, inputs=[("N", 1, 3)]),
        Example({"dim": 0}, inputs=[(1, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        gone = self._gone(x)
        return tuple(size for position, size in enumerate(x) if position not in gone)

    def doubt(self, *inputs: Shape) -> Doubt | None:
        (x,) = inputs
        if self._gone(x):
            return None
        named = show(each(self.dim, 1)) if isinstance(self.dim, tuple) else str(self.dim)
        return Doubt(
            f"squeeze of dim {named} of {show(x)} changes nothing",
            "name an axis of size 1, or remove it",
        )

    def _gone(self, x: Shape) -> list[int]:
        axes = _different_axes(each(self.dim, 1), x)
        return [position for position in axes if x[position] == 1]

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        gone = {dim % len(x.shape) for dim in each(self.dim, 1)}
        kept = [i for i, size in enumerate(x.shape) if i not in gone or size != 1]
        return x.permuted(kept)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]}.squeeze({self.dim})"


class Expand(_OfAxes, name="expand", primary="size"):
    """Repeats axes of size 1 without a copy. `size` leaves N out; -1 keeps an axis as it is.

    (N, 1, 4) becomes (N, 3, 4) with `expand: [3, -1]`. A value without a batch may get new axes in
    front. torch's `sizes` list the batch too.
    """

    size: Annotated[tuple[PositiveInt | Literal[-1], ...], Bounds(min_length=1)]

    follows = True
    examples = (
        Example({"size": (3, -1)}, inputs=[("N", 1, 4)]),
        Example({"size": (2, 4, 3)}, inputs=[("N", 2, 1, 1)]),
        Example({"size": (2, 3, -1)}, inputs=[(1, 4)]),
        Example({"size": (1, 2, 3)}, inputs=[(2, 1)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        own = x[is_batched(x) :]
        new = len(self.size) - len(own)
        if new < 0 or (new and is_batched(x)):
            raise Refusal(
                f"{show(self.size)} does not give a size for each axis of {show(x)}",
                code=Code.RANK,
                expected=f"{len(own)} sizes" + ("" if is_batched(x) else ", or more"),
                found=str(len(self.size)),
                help="N is not among them; -1 keeps an axis as it is",
            )
        if any(size == -1 for size in self.size[:new]):
            raise Refusal(
                "a new axis has no size to keep", expected="a size", found=show(self.size)
            )
        fitted = map(_expanded, own, self.size[new:])
        return (*x[: is_batched(x)], *self.size[:new], *fitted)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        # On the tape the batch is a number; a value without one has as many sizes as axes or more.
        new = max(0, len(self.size) - len(x.shape))
        kept = len(x.shape) - len(self.size) + new
        own = [
            old if size == -1 else size
            for old, size in zip(x.shape[kept:], self.size[new:], strict=True)
        ]
        shape = (*x.shape[:kept], *self.size[:new], *own)
        old = ((1,) * new + x.shape, (0,) * new + x.strides)
        steps = tuple(
            0 if before == 1 and size != 1 else step
            for before, step, size in zip(*old, shape, strict=True)
        )
        return x.viewed(shape, steps)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        sizes = [*([-1] if is_batched(inputs[0]) else []), *self.size]
        return f"{values[0]}.expand({', '.join(map(str, sizes))})"


class Tile(_OfAxes, name="tile", primary="dims"):
    """Repeats the last axes, `dims` times each: the last number is that of the last axis.

    A value without a batch gets new axes in front where `dims` are more than its axes.
    """

    dims: Annotated[tuple[PositiveInt, ...], Bounds(min_length=1)]

    follows = True
    examples = (
        Example({"dims": (2, 1)}, inputs=[("N", 3, 4)]),
        Example({"dims": (3,)}, inputs=[("N", 2, 3, 4)]),
        Example({"dims": (1, 1, 2)}, inputs=[("N", 3, 4)]),
        Example({"dims": (2, 1, 3)}, inputs=[(3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        new = len(self.dims) - len(x)
        if is_batched(x) and (new > 0 or (new == 0 and self.dims[0] != 1)):
            raise Refusal(
                f"{show(self.dims)} would repeat the batch of {show(x)}",
                code=Code.MIXES_BATCH,
                expected=f"at most {len(x) - 1} numbers",
                found=str(len(self.dims)),
                help="they belong to the last axes; N is not among them",
            )
        dims = (1,) * max(0, -new) + self.dims
        old = (1,) * max(0, new) + x
        return tuple(
            size if times == 1 else size * times for size, times in zip(old, dims, strict=True)
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tape.new(self.infer(x.shape), requires_grad=x.requires_grad, type=x.type)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]}.tile({self.dims})"


class Flip(_OfAxes, name="flip", primary="dims"):
    """Reverses the order along `dims`, a number or a list."""

    dims: Dims

    any_rank = True
    examples = (
        Example({"dims": 1}, inputs=[("N", 3, 4)]),
        Example({"dims": (-1, 2)}, inputs=[("N", 3, 4, 5)]),
        Example({"dims": 0}, inputs=[(3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        _different_axes(each(self.dims, 1), x)
        return x

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return empty_like(tape, x, requires_grad=x.requires_grad)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]}.flip({each(self.dims, 1)})"


class _Parts(_OfAxes):
    """Base of what takes an axis apart into several outputs, which view their input.

    A lone part is the value itself, and no tuple of one.
    """

    gives_several = True

    def record(self, tape: Tape, *inputs: Tensor) -> list[Tensor]:
        (x,) = inputs
        return self._views(x, self._axis(x))

    def _axis(self, x: Tensor) -> int:
        dim: int = vars(self)["dim"]
        return dim % len(x.shape)

    def _views(self, x: Tensor, dim: int) -> list[Tensor]:
        raise NotImplementedError


class Unbind(_Parts, name="unbind", primary="dim"):
    """Takes the axis `dim` apart: an output for each index, without that axis.

    By default it is the one after N.
    """

    dim: int = 1

    examples = (
        Example(inputs=[("N", 3, 4)]),
        Example({"dim": -1}, inputs=[("N", 3, 2)]),
        Example(inputs=[("N", 1)]),
        Example({"dim": 0}, inputs=[(2, 3)]),
    )

    def infer(self, *inputs: Shape) -> list[Shape]:
        (x,) = inputs
        dim = own_axis(self.dim, x)
        count = x[dim].__index__()  # code is written for so many outputs
        _expect_few(count)
        return [(*x[:dim], *x[dim + 1 :])] * count

    def _views(self, x: Tensor, dim: int) -> list[Tensor]:
        strides = (*x.strides[:dim], *x.strides[dim + 1 :])
        return [x.viewed((*x.shape[:dim], *x.shape[dim + 1 :]), strides)] * x.shape[dim]

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        parts = f"{values[0]}.unbind({self.dim})"
        return parts if len(self.infer(*inputs)) > 1 else f"{parts}[0]"


class Split(_Parts, name="split", primary="split_size_or_sections"):
    """Splits an axis into parts of one size, the last of which may be smaller, or of a list.

    `split: 2` gives parts of 2, `split: [1, 3]` one of 1 and one of 3, which are all of the axis.
    `chunk: 2` gives two equal ones.
    """

    split_size_or_sections: PositiveInt | Annotated[tuple[PositiveInt, ...], Bounds(min_length=1)]
    dim: int = 1

    follows = True
    examples = (
        Example({"split_size_or_sections": 2}, inputs=[("N", 5, 3)]),
        Example({"split_size_or_sections": (1, 3), "dim": -1}, inputs=[("N", 2, 4)]),
        Example({"split_size_or_sections": 4}, inputs=[("N", 3)]),
        Example({"split_size_or_sections": (2, 1), "dim": 0}, inputs=[(3, 4)]),
    )

    def infer(self, *inputs: Shape) -> list[Shape]:
        (x,) = inputs
        dim = own_axis(self.dim, x)
        return [replaced(x, dim, size) for size in self._sizes(x[dim])]

    def _sizes(self, size: Dim) -> Sequence[Dim]:
        given = self.split_size_or_sections
        if isinstance(given, tuple):
            _expect_few(len(given))
            if total(given) != size:
                raise Refusal(
                    f"the parts {show(given)} have {total(given)} together, the axis has {size}",
                    expected=f"parts that are {size} together",
                    found=str(total(given)),
                )
            return given
        count = -(-known(size) // known(given))
        _expect_few(count)
        # Asked rather than computed: code is written for so many outputs, at any size of the last.
        expect_at_least(size, (count - 1) * given + 1, f"the axis that makes {count} parts")
        expect_at_least(count * given, size, f"what {count} parts hold")
        return [*[given] * (count - 1), size - (count - 1) * given]

    def _views(self, x: Tensor, dim: int) -> list[Tensor]:
        sizes: Sequence[Dim] = self._sizes(x.shape[dim])
        return [x.viewed(replaced(x.shape, dim, size), x.strides) for size in sizes]

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        parts = f"{values[0]}.split({self.split_size_or_sections}, dim={self.dim})"
        return parts if len(self.infer(*inputs)) > 1 else f"{parts}[0]"


def _expect_few(count: int) -> None:
    if count > MAX_PARTS:
        raise Refusal(f"{count:,} outputs", code=Code.LIMIT, expected=f"at most {MAX_PARTS:,}")


def _new_axis(dim: int, x: Shape) -> int:
    """Where a new axis of `x` stands, counted from the front of what it makes: not before N."""
    return own_axis(dim, (*x, 1))


def _with_new_axis(x: Tensor, dim: int) -> Tensor:
    """`x.unsqueeze(dim)`, for a `dim` that is counted from the front."""
    step = x.shape[dim] * x.strides[dim] if dim < len(x.shape) else 1
    return x.viewed((*x.shape[:dim], 1, *x.shape[dim:]), (*x.strides[:dim], step, *x.strides[dim:]))


def _different_axes(dims: Sequence[int], x: Shape) -> list[int]:
    """Own axes, counted from the front. Refuses one that is named twice."""
    axes = [own_axis(dim, x) for dim in dims]
    if len(set(axes)) < len(axes):
        raise Refusal(f"dims {show(dims)} name one axis twice", code=Code.RANK)
    return axes


def _expanded(size: Dim, wanted: Dim) -> Dim:
    if wanted == -1 or size == wanted:
        return size
    if size != 1:
        raise Refusal(
            f"an axis of {size} cannot become {wanted}: axes of size 1 alone can be repeated",
            expected=f"{size} or -1",
            found=str(wanted),
            help="`tile` repeats axes of any size",
        )
    return wanted
