"""Relative positions of the cells in a window of attention.

A window of h x w cells has t = h * w tokens and (2h - 1)(2w - 1) different offsets between two. A
window of d x h x w cells, in a video, has t = d * h * w tokens and 2d - 1 times as many offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.op import Example, Made, PositiveInt, ProductFree, Weight, Weights
from archspec.ir.shape import Shape, is_batched, product, show
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import INT64

Window: TypeAlias = tuple[PositiveInt, PositiveInt]
Volume: TypeAlias = tuple[PositiveInt, PositiveInt, PositiveInt]


def _offsets(window: Sequence[int]) -> tuple[int, ...]:
    """How many offsets there are between two cells along each axis."""
    return tuple(2 * size - 1 for size in window)


class RelativePositionBias(ProductFree, name="relative_position_bias", primary="window"):
    """A bias for every pair of tokens in a window, looked up by their offset: (1, heads, t, t).

    Reads a table with one row for each offset and one column for each head, in any number of
    axes: ((2h - 1)(2w - 1), heads) or (1, 2h - 1, 2w - 1, heads). The row numbers are a buffer
    under the node's own path, of shape (t * t) or, unless `flat`, (t, t). Liu et al., Swin
    Transformer (arXiv 2103.14030), section 3.2. A window of three axes is that of a video: Video
    Swin Transformer (arXiv 2106.13230), section 3.2.
    """

    window: Window | Volume
    flat: bool = True

    takes_unbatched = True
    any_rank = True
    examples = (
        Example({"window": (2, 3)}, inputs=[(15, 4)]),
        Example({"window": (2, 2), "flat": False}, inputs=[(1, 3, 3, 2)]),
        Example({"window": (1, 1)}, inputs=[(1, 3)]),
        Example({"window": (2, 1, 3), "flat": False}, inputs=[(15, 2)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (table,) = inputs
        if is_batched(table):
            raise Refusal(
                f"the table of biases is {show(table)}, one for each sample",
                code=Code.MIXES_BATCH,
                expected="a learned tensor, without N",
                found=show(table),
            )
        rows = product(_offsets(self.window))
        if not table or product(table[:-1]) != rows:
            raise Refusal(
                f"a window of {show(self.window)} needs a table of {rows} rows, got {show(table)}",
                expected=f"({rows}, heads)",
                found=show(table),
            )
        return (1, table[-1], self._tokens, self._tokens)

    @property
    def _tokens(self) -> int:
        return product(self.window)

    def weights(self, *inputs: Shape) -> Weights:
        shape = (self._tokens**2,) if self.flat else (self._tokens, self._tokens)
        return (Weight("", shape, buffer=True, type=INT64),)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (table,) = inputs
        heads, tokens = table.shape[-1], self._tokens
        tapes.reshape(tape, table, (table.numel // heads, heads))
        looked_up = tape.new((tokens, tokens, heads), requires_grad=table.requires_grad)
        a, b, c = looked_up.strides
        by_head = looked_up.viewed((heads, tokens, tokens), (c, a, b))
        bias = tapes.contiguous(tape, by_head)
        return bias.viewed((1, *bias.shape), (bias.numel, *bias.strides))

    def made(self, *inputs: Shape) -> Made:
        return Made("archspec.runtime.windows.relative_position_index", vars(self))

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        (table,), heads, tokens = values, inputs[0][-1], self._tokens
        rows = f"{table}.reshape({product(_offsets(self.window))}, {heads})"
        by_pair = f"{rows}[{own}.reshape(-1)].reshape({tokens}, {tokens}, {heads})"
        return f"{by_pair}.permute(2, 0, 1).contiguous().unsqueeze(0)"


class RelativePositionCoordinates(
    ProductFree, name="relative_position_coordinates", primary="window"
):
    """The offsets between two cells of a window on a logarithmic scale: (1, 2h - 1, 2w - 1, 2).

    `sign(d) * log2(1 + |d|) / 3` for each offset d, where the largest is 8. They are a buffer
    under the node's own path, for a network that turns offsets into biases. Liu et al., Swin
    Transformer V2 (arXiv 2111.09883), section 3.3.
    """

    window: Window

    num_inputs = 0
    examples = (Example({"window": (2, 3)}), Example({"window": (1, 2)}))

    def infer(self, *inputs: Shape) -> Shape:
        return (1, *_offsets(self.window), 2)

    def weights(self, *inputs: Shape) -> Weights:
        return (Weight("", self.infer(), buffer=True),)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return tape.parameter(self.infer())._replace(requires_grad=False)

    def made(self, *inputs: Shape) -> Made:
        return Made("archspec.runtime.windows.relative_position_coordinates", vars(self))
