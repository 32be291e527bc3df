"""Ops that join two or more values. Learned tensors, which have no N, are spread over the batch."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import ClassVar

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Example, ProductFree
from archspec.ir.shape import (
    N,
    Shape,
    axis,
    broadcast,
    is_batched,
    keep_batch,
    replaced,
    same_except,
    show,
)
from archspec.ir.tape import (
    CONSTANT,
    Tape,
    Tensor,
    channels_last_strides,
    contiguous_strides,
    elementwise,
)
from archspec.ir.types import BOOL, EVERY, FLOAT, INT32, INT64, ValueType, joined, promoted
from archspec.ops.arithmetic import Number, beside, number_source


class _Merge(ProductFree):
    variadic: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = EVERY
    takes_unbatched: ClassVar[bool] = True


MAX_TERMS = 500
"""Inputs of one sum or product: it is one Python expression, which Python nests."""


class _Fold(_Merge):
    """Joins its inputs two by two, from the left, or one input and the number `other`."""

    other: Number | None = None

    symbol: ClassVar[str]
    follows = True

    @property
    def arity(self) -> int | None:
        return super().arity if self.other is None else 1

    def infer(self, *inputs: Shape) -> Shape:
        if len(inputs) > MAX_TERMS:
            raise Refusal(
                f"{len(inputs):,} inputs of one {self.op_name}",
                code=Code.LIMIT,
                expected=f"at most {MAX_TERMS}",
                help=f"split it: {self.op_name} the results of several",
            )
        return broadcast(*inputs)

    def result_type(self, *types: ValueType) -> ValueType:
        result = promoted(types)
        return result if self.other is None else beside(result, self.other)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        if self.other is not None:
            (x,) = inputs
            inputs = (x, CONSTANT._replace(type=self.result_type(x.type)))
        return functools.reduce(lambda a, b: self._joined(tape, a, b), inputs)

    def _joined(self, tape: Tape, a: Tensor, b: Tensor) -> Tensor:
        """The result of two values on the tape."""
        raise NotImplementedError

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        number = [] if self.other is None else [number_source(self.other)]
        return f" {self.symbol} ".join([*values, *number])


class Add(_Fold, name="add"):
    """Sum of its inputs, with torch's broadcasting, or of one input and the number `other`.

    `add: {inputs: a, other: 2}` adds 2 to the value `a`; without `inputs` it reads the node before.
    Types are promoted as in torch: an integer and a float make a float, a truth value and a number
    the number; truth values alone stay so, true where any is. An `other` that is no whole number
    goes with floats only: torch would make float32 of the others, whatever the network's precision.
    """

    symbol = "+"
    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 4)]),
        Example(inputs=[("N", 3, 4), (1, 3, 4), ("N", 3, 1)]),
        Example(inputs=[("N", 3, 4), (4,)]),
        Example({"other": 2}, inputs=[("N", 3, 4)]),
        Example({"other": -0.5}, inputs=[(1, 3, 4)]),
        Example({"other": 2}, inputs=[("N", 3)], types=[INT32]),
        Example({"other": -1}, inputs=[("N", 3)], types=[BOOL]),
        Example(inputs=[("N", 3), ("N", 3)], types=[INT64, FLOAT]),
    )

    def of_one_value(self, count: int, kind: ValueType) -> str | None:
        if kind.is_float:
            return f"scale: {count}"
        return f"mul: {{other: {count}}}" if kind != BOOL else None

    def _joined(self, tape: Tape, a: Tensor, b: Tensor) -> Tensor:
        return elementwise(tape, a, b)


class Mul(_Fold, name="mul"):
    """Product of its inputs, element by element, with torch's broadcasting.

    `mul: {inputs: a, other: 0.5}` halves the value `a`; without `inputs` it reads the node before.
    Types are promoted as in torch: a float times a truth value, a mask, is a float; truth values
    alone stay so, true where all are. An `other` that is no whole number goes with floats only:
    torch would make float32 of the others, whatever the network's precision.
    """

    squares = True
    symbol = "*"
    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 1)]),
        Example(inputs=[("N", 3, 4), ("N", 3, 4), (3, 1)]),
        Example({"other": 0.5}, inputs=[("N", 3, 4)]),
        Example({"other": 3}, inputs=[("N", 3)], types=[INT64]),
        Example({"other": 3}, inputs=[("N", 3)], types=[BOOL]),
        Example(inputs=[("N", 3, 4), ("N", 3, 1)], types=[FLOAT, BOOL]),
    )

    def _joined(self, tape: Tape, a: Tensor, b: Tensor) -> Tensor:
        if a.requires_grad:
            tape.save(b)
        if b.requires_grad:
            tape.save(a)
        return elementwise(tape, a, b)


class Concat(_Merge, name="concat"):
    """Joins its inputs along `dim`, by default the channels; all else must agree.

    Types are promoted as in torch: integers beside floats become floats.
    """

    dim: int = 1

    examples = (
        Example(inputs=[("N", 2, 4, 4), ("N", 3, 4, 4)]),
        Example({"dim": -1}, inputs=[("N", 2, 4), ("N", 2, 1), ("N", 2, 3)]),
        Example(inputs=[(1, 1, 6), ("N", 4, 6)]),
        Example(inputs=[("N", 2), ("N", 3)], types=[INT32, INT64]),
    )

    def result_type(self, *types: ValueType) -> ValueType:
        return joined(types)

    def infer(self, *inputs: Shape) -> Shape:
        rank = max(map(len, inputs))
        dim = (keep_batch if any(map(is_batched, inputs)) else axis)(self.dim, rank)
        shapes = _spread(inputs)
        same_except(shapes, dim)
        size = shapes[0][dim]
        for shape in shapes[1:]:
            size = size + shape[dim]
        return replaced(shapes[0], dim, size)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        batches = [x.shape[0] for x in inputs if x.batched]
        if batches:
            inputs = tuple(x if x.batched else _expanded(x, batches[0]) for x in inputs)
        dim = self.dim % len(inputs[0].shape)
        shape = replaced(inputs[0].shape, dim, sum(x.shape[dim] for x in inputs))
        channels_last = all(x.prefers_channels_last for x in inputs)
        y = tape.new(
            shape,
            requires_grad=any(x.requires_grad for x in inputs),
            strides=channels_last_strides(shape) if channels_last else contiguous_strides(shape),
            type=promoted([x.type for x in inputs]),
        )
        tape.joined(y, inputs)
        return y

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        batched = [v for v, x in zip(values, inputs, strict=True) if is_batched(x)]
        if not batched:
            return self._cat(values)
        keep = ", -1" * (len(inputs[0]) - 1)
        return self._cat(
            v if is_batched(x) else f"{v}.expand({batched[0]}.shape[0]{keep})"
            for v, x in zip(values, inputs, strict=True)
        )

    def _cat(self, values: Iterable[str]) -> str:
        return f"torch.cat(({', '.join(values)}), dim={self.dim})"


def _spread(shapes: Sequence[Shape]) -> list[Shape]:
    """`shapes` with N for the leading 1 of learned tensors, if any of them is batched."""
    if not any(map(is_batched, shapes)):
        return list(shapes)
    spread = []
    for shape in shapes:
        if not is_batched(shape) and shape[:1] != (1,):
            raise Refusal(
                "a learned tensor is joined to a batch only if its first size is 1",
                code=Code.UNBATCHED,
                expected="a leading 1",
                found=show(shape),
            )
        spread.append((N, *shape[1:]))
    return spread


def _expanded(x: Tensor, batch: int) -> Tensor:
    if x.shape[0] == batch:
        return x
    return x.viewed((batch, *x.shape[1:]), (0, *x.strides[1:]))
