"""Elements chosen by their positions, put in order, and added up along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Example, PositiveInt, ProductFree
from archspec.ir.shape import (
    Shape,
    broadcast,
    expect_at_least,
    is_batched,
    own_axis,
    replaced,
    show,
)
from archspec.ir.tape import Tape, Tensor, empty_like
from archspec.ir.types import BOOL, EVERY, FLOAT, INT32, INT64, INTEGERS, ValueType
from archspec.ops.embedding import expect_below
from archspec.sizes.size import known


class _AlongAxis(ProductFree):
    """Base of functions along one axis `dim`: not N, but any of a value without a batch."""

    since = "0.2"
    takes: ClassVar[frozenset[str]] = EVERY
    takes_unbatched: ClassVar[bool] = True

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        given = [f"{name}={value!r}" for name, value in self.arguments().items()]
        return f"torch.{self.op_name}({', '.join([*values, *given])})"


class _Chosen(_AlongAxis):
    """Base of what reads a value and the positions along `dim` of the elements to take."""

    dim: int

    num_inputs = 2
    input_names = ("input", "index")
    positions: ClassVar[frozenset[str]] = frozenset({"int64"})

    def result_type(self, *types: ValueType) -> ValueType:
        kind, index = types
        if index.name not in self.positions:
            name = self.input_names[1]
            raise Refusal(
                f"its {name}, the second input, holds positions, and is {index.name}",
                code=Code.DTYPE,
                expected=" or ".join(sorted(self.positions, reverse=True)),
                found=index.name,
                help=f"give inputs by name: `from: {{input: x, {name}: i}}`"
                if index.is_float
                else "put `to: int64` before it",
            )
        return kind

    def output_types(self, inputs: Sequence[Shape], types: Sequence[ValueType]) -> ValueType:
        result, (x, index) = self.result_type(*types), inputs
        dim = own_axis(self.dim, index if is_batched(index) and len(index) == len(x) else x)
        has = f"dim {dim} has size {known(x[dim])}"
        expect_below(types[1].below, x[dim], has, what="index")
        return result

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        x, index = values
        return f"torch.{self.op_name}({x}, dim={self.dim}, {self.input_names[1]}={index})"


class Gather(_Chosen, name="gather"):
    """An element along `dim` for each position: `{gather: {dim: 1}, from: [x, index]}`.

    As in torch `index`, of int64, has as many axes as `x`, and is no longer than it along any but
    `dim`; the result has its shape. `take_along_dim` broadcasts them. `below` of the positions,
    where it is known, is compared with the size of the axis.
    """

    examples = (
        Example(
            {"dim": 1},
            inputs=[("N", 5, 4), ("N", 2, 4)],
            types=[FLOAT, ValueType("int64", 5)],
        ),
        Example({"dim": -1}, inputs=[("N", 3, 4), ("N", 2, 6)], types=[FLOAT, INT64]),
        Example({"dim": 1}, inputs=[("N", 3), ("N", 2)], types=[INT32, INT64]),
        Example({"dim": 0}, inputs=[(3, 4), (6, 4)], types=[FLOAT, INT64]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        x, index = inputs
        dim = _common_axis(self.dim, x, index)
        if is_batched(x) != is_batched(index):
            raise Refusal(
                "one of its inputs has a batch, and the other has none",
                code=Code.UNBATCHED,
                expected="a batch in both of them, or in none",
                found=f"{show(x)} and {show(index)}",
                help="`take_along_dim` broadcasts them",
            )
        for position in range(is_batched(x), len(x)):
            if position != dim:
                what = (
                    f"dim {position} of the first input, which is {index[position]} of the index,"
                )
                expect_at_least(x[position], index[position], what)
        return index

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        x, index = inputs
        if x.requires_grad:
            tape.save(x, index)
        return tape.new(index.shape, requires_grad=x.requires_grad, type=x.type)


class TakeAlongDim(_Chosen, name="take_along_dim"):
    """An element along `dim` for each position, where the other axes broadcast.

    `{take_along_dim: {dim: 1}, from: [x, indices]}` reads int64 positions and as many axes of both,
    as `argmax` with `keepdim`, `sort` and `topk` give them. `below` of the positions, where it is
    known, is compared with the size of the axis.
    """

    input_names = ("input", "indices")
    examples = (
        Example(
            {"dim": 1},
            inputs=[("N", 5, 4), ("N", 2, 1)],
            types=[FLOAT, ValueType("int64", 5)],
        ),
        Example({"dim": -1}, inputs=[("N", 1, 4), ("N", 3, 2)], types=[FLOAT, INT64]),
        Example({"dim": 1}, inputs=[(1, 4), ("N", 2)], types=[FLOAT, INT64]),
        Example({"dim": -1}, inputs=[("N", 4), ("N", 3)], types=[INT64, INT64]),
        Example({"dim": 0}, inputs=[(3, 4), (6, 4)], types=[BOOL, INT64]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        x, index = inputs
        dim = _common_axis(self.dim, x, index)
        spread = broadcast(replaced(x, dim, 1), replaced(index, dim, 1))
        return replaced(spread, dim, index[dim])

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        x, index = inputs
        dim = self.dim % len(x.shape)
        wide = map(max, zip(x.shape, index.shape, strict=True))
        shape = replaced(tuple(wide), dim, index.shape[dim])
        # Positions from the end are counted from the front.
        wrapped = tape.new(shape, requires_grad=False, type=INT64)
        if x.requires_grad:
            tape.save(x, wrapped)
        return tape.new(shape, requires_grad=x.requires_grad, type=x.type)


class IndexSelect(_Chosen, name="index_select"):
    """The slices along `dim` whose positions a value without a batch lists.

    `{index_select: {dim: 1}, from: [x, index]}`: the same slices of each sample. `below` of the
    positions, where it is known, is compared with the size of the axis.
    """

    positions = INTEGERS
    examples = (
        Example({"dim": 1}, inputs=[("N", 5, 4), (3,)], types=[FLOAT, ValueType("int64", 5)]),
        Example({"dim": -1}, inputs=[("N", 3, 4, 5), (7,)], types=[FLOAT, INT32]),
        Example({"dim": 0}, inputs=[(5, 4), (2,)], types=[INT64, INT64]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        x, index = inputs
        dim = own_axis(self.dim, x)
        if is_batched(index):
            raise Refusal(
                f"the positions are {show(index)}: samples would have slices of their own",
                code=Code.MIXES_BATCH,
                expected="one axis of positions, without a batch",
                found=show(index),
                help="`take_along_dim` and `gather` read positions for each sample",
            )
        if len(index) != 1:
            raise Refusal(
                f"the positions have {len(index)} axes",
                code=Code.RANK,
                expected="one axis of positions",
                found=show(index),
            )
        return replaced(x, dim, index[0])

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        x, index = inputs
        if x.requires_grad:
            tape.save(index)
        shape = replaced(x.shape, self.dim % len(x.shape), index.shape[0])
        return tape.new(shape, requires_grad=x.requires_grad, type=x.type)


class OneHot(_AlongAxis, name="one_hot"):
    """A last axis of `num_classes` numbers for each integer: 1 at its position, and 0 elsewhere.

    It reads int64 and gives int64, as in torch; `to: float` makes floats of it. `below` of its
    input, where it is known, is compared with `num_classes`.
    """

    num_classes: PositiveInt

    primary = "num_classes"
    follows = True
    takes = frozenset({"int64"})
    examples = (
        Example({"num_classes": 5}, inputs=[("N", 3)], types=[ValueType("int64", 5)]),
        Example({"num_classes": 10}, inputs=[("N",)], types=[INT64]),
        Example({"num_classes": 2}, inputs=[(3, 4)], types=[INT64]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return (*x, self.num_classes)

    def result_type(self, *types: ValueType) -> ValueType:
        return ValueType("int64", 2)

    def output_types(self, inputs: Sequence[Shape], types: Sequence[ValueType]) -> ValueType:
        count = self.num_classes
        expect_below(types[0].below, count, f"num_classes is {known(count)}", "num_classes")
        return self.result_type(*types)

    def help_for_type(self, given: ValueType) -> str:
        return "put `to: int64` before it"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tape.new((*x.shape, self.num_classes), requires_grad=False, type=INT64)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"torch.nn.functional.one_hot({values[0]}, {self.num_classes})"


class _Ordered(_AlongAxis):
    """Base of what gives values in order and their positions."""

    gives_several = True
    moves_axes = True

    dim: int = -1

    def result_type(self, *types: ValueType) -> list[ValueType]:
        return [types[0], INT64]

    def output_types(self, inputs: Sequence[Shape], types: Sequence[ValueType]) -> list[ValueType]:
        (x,) = inputs
        return [types[0], ValueType("int64", x[own_axis(self.dim, x)])]


class Topk(_Ordered, name="topk"):
    """The `k` greatest along `dim`, the greatest first, and their positions: two outputs.

    With `name: top`, `top[0]` is the values and `top[1]` the positions. `largest: false` gives the
    least, and `sorted: false` leaves their order open.
    """

    k: PositiveInt
    largest: bool = True
    sorted: bool = True

    primary = "k"
    follows = True
    takes = EVERY - {"bool"}
    examples = (
        Example({"k": 2}, inputs=[("N", 5)]),
        Example({"k": 1, "dim": 1, "largest": False}, inputs=[("N", 3, 4, 2)]),
        Example({"k": 3, "sorted": False}, inputs=[("N", 4, 3)]),
        Example({"k": 2, "dim": 0}, inputs=[(3, 4)], types=[INT32]),
    )

    def infer(self, *inputs: Shape) -> list[Shape]:
        (x,) = inputs
        dim = own_axis(self.dim, x)
        expect_at_least(x[dim], self.k, f"dim {dim}, of which k is to be taken,")
        return [replaced(x, dim, self.k)] * 2

    def help_for_type(self, given: ValueType) -> str:
        return "put `to: int64` before it"

    def record(self, tape: Tape, *inputs: Tensor) -> list[Tensor]:
        (x,) = inputs
        shape = replaced(x.shape, self.dim % len(x.shape), self.k)
        indices = tape.new(shape, requires_grad=False, type=INT64)
        if x.requires_grad:
            tape.save(indices)
        return [tape.new(shape, requires_grad=x.requires_grad, type=x.type), indices]


class Sort(_Ordered, name="sort"):
    """All elements along `dim` in order, the least first, and their positions: two outputs.

    With `name: s`, `s[0]` is the values and `s[1]` the positions. `stable: true` keeps the order of
    equal ones.
    """

    descending: bool = False
    stable: bool = False

    examples = (
        Example(inputs=[("N", 3, 4)]),
        Example({"dim": 1, "descending": True, "stable": True}, inputs=[("N", 3, 4, 2)]),
        Example(inputs=[("N", 4)], types=[BOOL]),
        Example({"dim": 0}, inputs=[(3, 4)], types=[INT64]),
    )

    def infer(self, *inputs: Shape) -> list[Shape]:
        (x,) = inputs
        own_axis(self.dim, x)
        return [x, x]

    def record(self, tape: Tape, *inputs: Tensor) -> list[Tensor]:
        (x,) = inputs
        values = empty_like(tape, x, requires_grad=x.requires_grad)
        indices = tape.new(x.shape, requires_grad=False, strides=values.strides, type=INT64)
        if x.requires_grad:
            tape.save(indices)
        return [values, indices]


class Cumsum(_AlongAxis, name="cumsum", primary="dim"):
    """The sum along `dim` of each element and all before it.

    Integers and truth values make int64.
    """

    dim: int

    examples = (
        Example({"dim": 1}, inputs=[("N", 3, 4)]),
        Example({"dim": -1}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": 0}, inputs=[(3, 4)], types=[INT32]),
        Example({"dim": 1}, inputs=[("N", 3)], types=[BOOL]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        own_axis(self.dim, x)
        return x

    def result_type(self, *types: ValueType) -> ValueType:
        return FLOAT if types[0].is_float else INT64

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        kind = self.result_type(x.type)
        return tape.new(x.shape, requires_grad=x.requires_grad, type=kind)


def _common_axis(dim: int, x: Shape, index: Shape) -> int:
    """The axis that is meant in two values of one rank: not N where one of them has a batch."""
    if len(x) != len(index):
        raise Refusal(
            f"its inputs differ in rank: {show(x)} and {show(index)}",
            code=Code.RANK,
            expected="as many axes in both",
            found=f"{len(x)} and {len(index)}",
            help="`unsqueeze` adds an axis of size 1",
        )
    return own_axis(dim, index if is_batched(index) else x)
