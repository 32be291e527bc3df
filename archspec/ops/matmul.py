"""Products of two values, matrix by matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.op import Example, Op
from archspec.ir.shape import Dim, Shape, broadcast, equal, is_batched, product, sample, show
from archspec.ir.tape import Sizes, Tape, Tensor


class MatMul(Op, name="matmul"):
    """Product of the matrices in the last two axes: (N, ..., a, b) by (N, ..., b, c) to (.., a, c).

    The axes between N and the matrices broadcast. A batched factor with fewer axes is refused,
    since its batch would meet another axis. A factor without the batch axis, such as a learned
    (b, c), is the same for all samples, and then (N, b) may stand for the rows of one matrix. To
    transpose a factor, put a `permute` before it.
    """

    num_inputs = 2
    input_names = ("input", "other")
    takes_unbatched = True
    moves_axes = True
    examples = (
        Example(inputs=[("N", 2, 4, 5), ("N", 2, 5, 3)]),
        Example(inputs=[("N", 4, 5), ("N", 5, 3)]),
        Example(inputs=[("N", 1, 3, 4, 5), ("N", 2, 3, 5, 1)]),
        Example(inputs=[("N", 4, 5), (5, 3)]),
        Example(inputs=[("N", 5), (5, 3)]),
        Example(inputs=[(4, 5), ("N", 5, 3)]),
        Example(inputs=[("N", 2, 4, 5), (2, 5, 3)]),
        Example(inputs=[(4, 5), (5, 3)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        a, b = inputs
        both = is_batched(a) and is_batched(b)
        if both and (len(a) < 3 or len(a) != len(b)):
            raise Refusal(
                f"needs two factors of one rank from 3 on, got {show(a)} and {show(b)}",
                code=Code.MIXES_BATCH,
                expected="(N, ..., a, b) and (N, ..., b, c)",
                found=f"{show(a)} and {show(b)}",
            )
        rows = is_batched(a) and len(a) == 2  # each sample is a row
        for x in () if both else inputs:
            if len(x) < 2 + (is_batched(x) and not (rows and x is a)):
                raise Refusal(
                    f"{show(x)} is no matrix",
                    code=Code.RANK,
                    expected="(..., a, b) and (..., b, c), after N where there is a batch",
                    found=show(x),
                )
        if rows and len(b) > 2:
            raise Refusal(
                f"{show(a)} by the several matrices of {show(b)}: the batch would be their rows",
                code=Code.MIXES_BATCH,
                expected="a factor (b, c), or (N, ..., a, b) before it",
                found=f"{show(a)} and {show(b)}",
            )
        equal(a[-1], b[-2], "columns of the first factor and rows of the second")
        return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        return product(sample(outputs[0])) * inputs[0][-1]

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        a, b = inputs
        y_shape = (*tapes.broadcast([a.shape[:-2], b.shape[:-2]]), a.shape[-2], b.shape[-1])
        left, right = _operands(tape, a, b, y_shape[:-2])
        if a.requires_grad:
            tape.save(right)
        if b.requires_grad:
            tape.save(left)
        return tape.new(y_shape, requires_grad=a.requires_grad or b.requires_grad)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        a, b = values
        return f"torch.matmul({a}, {b})"


def _operands(tape: Tape, a: Tensor, b: Tensor, batch: Sizes) -> tuple[Tensor, Tensor]:
    """What torch multiplies: two matrices, or two batches of matrices."""
    if len(a.shape) == 2 == len(b.shape):
        return a, b
    if _folds(a, b):
        if len(a.shape) > 2:
            return tapes.reshape(tape, a, (a.numel // a.shape[-1], a.shape[-1])), b
        turned = b.viewed(
            (*b.shape[:-2], b.shape[-1], b.shape[-2]),
            (*b.strides[:-2], b.strides[-1], b.strides[-2]),
        )
        return a, tapes.reshape(tape, turned, (b.numel // b.shape[-2], b.shape[-2]))
    return as_batch_of_matrices(tape, a, batch), as_batch_of_matrices(tape, b, batch)


def _folds(a: Tensor, b: Tensor) -> bool:
    """torch's `should_fold`: whether a batch by one matrix is run as one product of matrices."""
    larger, other = (a, b) if len(a.shape) >= len(b.shape) else (b, a)
    if len(larger.shape) < 3 or len(other.shape) > 2:
        return False
    if other.requires_grad:
        return True
    if len(a.shape) == 2:
        return False
    shape, strides = a.shape, a.strides
    return all(strides[i] == strides[i + 1] * shape[i + 1] for i in range(len(shape) - 2))


def as_batch_of_matrices(tape: Tape, x: Tensor, batch: Sizes) -> Tensor:
    """`x` with its leading axes expanded to `batch` and folded into one, as torch prepares it."""
    missing = len(batch) - (len(x.shape) - 2)
    sizes, strides = (1,) * missing + x.shape[:-2], (0,) * missing + x.strides[:-2]
    steps = tuple(
        step if size == wide else 0 for size, step, wide in zip(sizes, strides, batch, strict=True)
    )
    expanded = x.viewed((*batch, *x.shape[-2:]), (*steps, *x.strides[-2:]))
    return tapes.reshape(tape, expanded, (math.prod(batch), *x.shape[-2:]))
