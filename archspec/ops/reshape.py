"""The same elements under other axes. The batch axis stays first and whole in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.fields import Bounds
from archspec.ir.op import Example, PositiveInt, ProductFree
from archspec.ir.shape import (
    Dim,
    Shape,
    axis,
    chunk_sizes,
    divide,
    is_batched,
    own_axis,
    product,
    replaced,
    show,
)
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import EVERY


class _Rearrangement(ProductFree):
    """Base of ops that only give the same elements other places."""

    takes = EVERY
    takes_unbatched = True
    moves_axes = True
    any_rank = True


class Flatten(_Rearrangement, name="flatten"):
    """Folds the axes `start_dim` to `end_dim` into one: (N, C, H, W) to (N, C*H*W)."""

    start_dim: int = 1
    end_dim: int = -1

    module = "torch.nn.Flatten"
    examples = (
        Example(inputs=[("N", 2, 3, 4)]),
        Example({"start_dim": 2}, inputs=[("N", 2, 3, 4)]),
        Example({"end_dim": 2}, inputs=[("N", 2, 3, 4)]),
        Example({"start_dim": 0}, inputs=[(2, 3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        start, end = axis(self.start_dim, len(x)), axis(self.end_dim, len(x))
        if start > end:
            raise Refusal(
                f"start_dim {self.start_dim} comes after end_dim {self.end_dim}",
                expected="start_dim at or before end_dim",
                found=show(x),
            )
        if start == end:
            return x
        own_axis(start, x)
        return (*x[:start], product(x[start : end + 1]), *x[end + 1 :])

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        return x if y_shape == x.shape else tapes.reshape(tape, x, y_shape)


class Reshape(_Rearrangement, name="reshape", primary="shape"):
    """Lays the elements of each sample out anew. `shape` leaves N out; one size may be -1.

    Of a tensor without the batch axis, `shape` lists all axes.
    """

    shape: tuple[PositiveInt | Literal[-1], ...]

    follows = True
    examples = (
        Example({"shape": (3, 4)}, inputs=[("N", 12)]),
        Example({"shape": (2, -1, 2)}, inputs=[("N", 4, 3)]),
        Example({"shape": (3, -1)}, inputs=[(2, 6)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if not is_batched(x):
            return _fitted(self.shape, product(x), show(x))
        return (x[0], *_fitted(self.shape, product(x[1:]), f"a sample of {show(x)}"))

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        batch = x.shape[: x.batched]
        sizes = _fitted(self.shape, product(x.shape[x.batched :]), "it")
        return tapes.reshape(tape, x, (*batch, *sizes))

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        (x,) = values
        batch = [f"{x}.shape[0]"] if is_batched(inputs[0]) else []
        sizes = [*batch, *map(str, self.shape)]
        return f"{x}.reshape({', '.join(sizes) or '()'})"


class Unflatten(_Rearrangement, name="unflatten"):
    """Splits the axis `dim` into several: (N, 6, H, W) to (N, 2, 3, H, W); one size may be -1.

    Unlike `reshape` it states nothing of the other axes, so the module runs on images of any size.
    """

    dim: int
    unflattened_size: Annotated[tuple[PositiveInt | Literal[-1], ...], Bounds(min_length=1)]

    module = "torch.nn.Unflatten"
    function = "torch.unflatten"
    follows = True
    examples = (
        Example({"dim": 1, "unflattened_size": (2, 3)}, inputs=[("N", 6, 4, 5)]),
        Example({"dim": -1, "unflattened_size": (-1, 2)}, inputs=[("N", 3, 4)]),
        Example({"dim": 0, "unflattened_size": (2, 3)}, inputs=[(6, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        dim = own_axis(self.dim, x)
        return (*x[:dim], *_fitted(self.unflattened_size, x[dim], f"dim {dim}"), *x[dim + 1 :])

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tapes.reshape(tape, x, self.infer(x.shape))

    def functional(self, values: Sequence[str]) -> str:
        return f"{self.function}({values[0]}, {self.dim}, {self.unflattened_size})"


class Permute(_Rearrangement, name="permute", primary="dims"):
    """Reorders the axes. `dims` lists all of them, N as 0, which must come first.

    Of a tensor without the batch axis, 0 is the first axis and may go anywhere.
    """

    dims: tuple[int, ...]

    examples = (
        Example({"dims": (0, 2, 3, 1)}, inputs=[("N", 3, 4, 5)]),
        Example({"dims": (0, -1, 1)}, inputs=[("N", 3, 4)]),
        Example({"dims": (1, 0)}, inputs=[(3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        order = self._order(len(x))
        if is_batched(x) and order[0] != 0:
            raise Refusal(
                "dim 0 is the batch and stays first",
                code=Code.MIXES_BATCH,
                expected="a list that begins with 0",
                found=show(self.dims),
                help="N counts as 0: list it too",
            )
        return tuple(x[dim] for dim in order)

    def _order(self, rank: int) -> list[int]:
        order = [axis(dim, rank) for dim in self.dims]
        if sorted(order) != list(range(rank)):
            raise Refusal(
                f"{show(self.dims)} does not name each dim of a {rank}-D input once",
                code=Code.RANK,
                expected=f"each of 0 to {rank - 1} once",
                found=show(self.dims),
                help="N counts as 0: list it too",
            )
        return order

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return x.permuted(self._order(len(x.shape)))

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]}.permute({', '.join(map(str, self.dims))})"


MAX_CHUNKS = 1_000
"""Outputs of one node."""


class Chunk(_Rearrangement, name="chunk", primary="chunks"):
    """Splits an axis into at most `chunks` outputs of equal size; the last may be smaller.

    As in torch there may be fewer parts than asked for: 5 in 4 chunks gives sizes 2, 2 and 1. A
    lone part is the value itself, and no tuple of one.
    """

    gives_several = True

    chunks: PositiveInt
    dim: int = 1

    examples = (
        Example({"chunks": 2}, inputs=[("N", 6, 3)]),
        Example({"chunks": 4, "dim": -1}, inputs=[("N", 2, 5)]),
        Example({"chunks": 2}, inputs=[("N", 1, 3)]),
        Example({"chunks": 2, "dim": 0}, inputs=[(4, 3)]),
    )

    def infer(self, *inputs: Shape) -> list[Shape]:
        (x,) = inputs
        dim = own_axis(self.dim, x)
        if self.chunks > MAX_CHUNKS:
            raise Refusal(
                f"{self.chunks:,} chunks", code=Code.LIMIT, expected=f"at most {MAX_CHUNKS:,}"
            )
        return [replaced(x, dim, size) for size in chunk_sizes(x[dim], self.chunks)]

    def record(self, tape: Tape, *inputs: Tensor) -> list[Tensor]:
        (x,) = inputs
        return [x.viewed(shape, x.strides) for shape in self.infer(x.shape)]

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        chunks = f"{values[0]}.chunk({self.chunks}, dim={self.dim})"
        # Generated code unpacks several outputs, and takes a lone one for the tensor.
        return chunks if len(self.infer(*inputs)) > 1 else f"{chunks}[0]"


def _fitted(sizes: Sequence[int], elements: Dim, what: str) -> Shape:
    """`sizes` with the one -1 worked out; refuses them unless their product is `elements`."""
    known = product(size for size in sizes if size != -1)
    if sizes.count(-1) > 1:
        raise Refusal("only one size may be -1", expected="at most one -1", found=show(sizes))
    if -1 in sizes:
        rest = divide(elements, known, f"{what} by the sizes given")
        return tuple(rest if size == -1 else size for size in sizes)
    if known != elements:
        raise Refusal(
            f"{what} has {elements} elements, {show(sizes)} has {known}",
            expected=f"sizes whose product is {elements}",
            found=show(sizes),
            help="N is not among them; -1 stands for the size that is left",
        )
    return tuple(sizes)
