"""Learned rows, looked up by their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Problem
from archspec.ir.op import Example, PositiveInt, ProductFree, Weight, Weights
from archspec.ir.shape import Dim, Shape
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import FLOAT, INT32, INT64, INTEGERS, ValueType
from archspec.sizes.size import known


class Embedding(ProductFree, name="embedding"):
    """A learned row of `embedding_dim` numbers for each integer: (N, ...) to (N, ..., dim).

    An integer is the number of one of the `num_embeddings` rows, counted from 0; a greater one
    fails as it does in torch, so the input's `below` is compared with the rows. The row
    `padding_idx` is zero at first and learns nothing. Rows are drawn from a normal distribution, as
    torch does it, and a network's `init:` leaves them so: its schemes are for kernels, whose
    results are sums over their inputs.
    """

    num_embeddings: PositiveInt
    embedding_dim: PositiveInt
    padding_idx: int | None = None

    takes = INTEGERS
    takes_unbatched = True
    module = "torch.nn.Embedding"
    any_rank = True
    examples = (
        Example(
            {"num_embeddings": 100, "embedding_dim": 8},
            inputs=[("N", 16)],
            types=[ValueType("int64", 100)],
        ),
        Example(
            {"num_embeddings": 10, "embedding_dim": 3, "padding_idx": -1},
            inputs=[("N",)],
            types=[ValueType("int64", 10)],
        ),
        Example({"num_embeddings": 2, "embedding_dim": 1}, inputs=[("N", 3, 4)], types=[INT32]),
        Example({"num_embeddings": 2, "embedding_dim": 3}, inputs=[(5,)], types=[INT64]),
    )

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        rows, index = self.num_embeddings, self.padding_idx
        if index is not None and not -rows <= index < rows:
            yield Problem(
                "rule", "padding_idx", f"it counts one of {rows} rows, from {-rows} to {rows - 1}"
            )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return (*x, self.embedding_dim)

    def result_type(self, *types: ValueType) -> ValueType:
        return FLOAT

    def output_types(self, inputs: Sequence[Shape], types: Sequence[ValueType]) -> ValueType:
        rows = self.num_embeddings
        has = "it has 1 row" if rows == 1 else f"it has {known(rows):,} rows"
        expect_below(types[0].below, rows, has, "num_embeddings")
        return FLOAT

    def help_for_type(self, given: ValueType) -> str:
        if not given.is_float:
            return "put `to: int64` before it"
        declared = f"{{shape: […], dtype: int64, below: {self.num_embeddings}}}"
        return f"declare the input as `{declared}`, or put `to: int64` before it"

    def weights(self, *inputs: Shape) -> Weights:
        return (Weight("weight", (self.num_embeddings, self.embedding_dim)),)

    def with_weights(
        self, values: Sequence[str], weights: Mapping[str, str], inputs: Sequence[Shape]
    ) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"torch.nn.functional.embedding({values[0]}, {weights['weight']}{padding})"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        learns = tape.weight().requires_grad
        if learns:
            tape.save(x)
        return tape.new((*x.shape, self.embedding_dim), requires_grad=learns)


def expect_below(
    below: Dim | None, size: Dim, has: str, argument: str | None = None, what: str = "input"
) -> None:
    """Refuse an input whose integers may be as great as `size`, which is what the op `has`.

    `below` is the number above all of them, where that is known. An `argument` of the op may say
    the size.
    """
    if below is not None and below > size:
        below, size = known(below), known(size)
        change = f"{argument}: {below}" if argument else None
        raise Refusal(
            f"its {what} goes up to {below - 1:,}, and {has}",
            code=Code.DTYPE,
            expected=f"an {what} below {size:,}" + (f", or {change}" if change else ""),
            found=f"below: {below}",
            help=(f"write `{change}`, or " if change else "")
            + f"declare the input with `below: {size}` where none of it is greater",
        )
    if below is None and size < 2:
        raise Refusal(
            f"{has}, and its {what} is not known to be 0 alone",
            code=Code.DTYPE,
            expected=f"an {what} with `below: 1`" + (f", or {argument}: 2" if argument else ""),
            found="an integer without `below`",
            help="write `below: 1` where the input is declared",
        )
