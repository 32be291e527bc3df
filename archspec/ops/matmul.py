"""Products of two values, matrix by matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.op import Example, Op
from archspec.ir.shape import Dim, Shape, broadcast, equal, product, show
from archspec.ir.tape import Sizes, Tape, Tensor


class MatMul(Op, name="matmul"):
    """Product of the matrices in the last two axes: (N, ..., a, b) by (N, ..., b, c) to (.., a, c).

    The axes between N and the matrices broadcast. A factor with fewer axes is refused, since its
    batch would meet another axis. To transpose a factor, put a `permute` before it.
    """

    num_inputs = 2
    input_names = ("input", "other")
    moves_axes = True
    examples = (
        Example(inputs=[("N", 2, 4, 5), ("N", 2, 5, 3)]),
        Example(inputs=[("N", 4, 5), ("N", 5, 3)]),
        Example(inputs=[("N", 1, 3, 4, 5), ("N", 2, 3, 5, 1)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        a, b = inputs
        if len(a) < 3 or len(a) != len(b):
            raise Refusal(
                f"needs two factors of one rank from 3 on, got {show(a)} and {show(b)}",
                code=Code.MIXES_BATCH,
                expected="(N, ..., a, b) and (N, ..., b, c)",
                found=f"{show(a)} and {show(b)}",
            )
        equal(a[-1], b[-2], "columns of the first factor and rows of the second")
        return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        return product(outputs[0][1:]) * inputs[0][-1]

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        a, b = inputs
        y_shape = self.infer(a.shape, b.shape)
        left, right = (_as_batch_of_matrices(tape, x, y_shape[:-2]) for x in inputs)
        if a.requires_grad:
            tape.save(right)
        if b.requires_grad:
            tape.save(left)
        return tape.new(y_shape, requires_grad=a.requires_grad or b.requires_grad)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        a, b = values
        return f"torch.matmul({a}, {b})"


def _as_batch_of_matrices(tape: Tape, x: Tensor, batch: Sizes) -> Tensor:
    """`x` with its leading axes expanded to `batch` and folded into one, as torch prepares it."""
    steps = tuple(
        step if size == wide else 0
        for size, step, wide in zip(x.shape[:-2], x.strides[:-2], batch, strict=True)
    )
    expanded = x.viewed((*batch, *x.shape[-2:]), (*steps, *x.strides[-2:]))
    return tapes.reshape(tape, expanded, (math.prod(batch), *x.shape[-2:]))
