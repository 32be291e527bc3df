"""Functions of the elements of two values, or of a value and a number, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Example, ProductFree
from archspec.ir.shape import Shape, broadcast
from archspec.ir.tape import CONSTANT, Tape, Tensor, elementwise
from archspec.ir.types import BOOL, EVERY, FLOAT, INT32, INT64, NUMBERS, ValueType, promoted
from archspec.ops.arithmetic import Number, beside, number_source


class _Pairwise(ProductFree):
    """Base of what joins two values with torch's broadcasting."""

    since = "0.2"
    variadic: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = EVERY
    takes_unbatched: ClassVar[bool] = True

    @property
    def arity(self) -> int:
        return 2

    def infer(self, *inputs: Shape) -> Shape:
        return broadcast(*inputs)


class _WithNumber(_Pairwise):
    """Base of those whose second operand may be the number `other`."""

    other: Number | None = None

    primary = "other"
    follows = True
    symbol: ClassVar[str]

    @property
    def arity(self) -> int:
        return 2 if self.other is None else 1

    def result_type(self, *types: ValueType) -> ValueType:
        result = promoted(types)
        return result if self.other is None else beside(result, self.other)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        if self.other is not None:
            (x,) = inputs
            inputs = (x, CONSTANT._replace(type=self.result_type(x.type)))
        self._save(tape, *inputs)
        return elementwise(tape, *inputs)

    def _save(self, tape: Tape, a: Tensor, b: Tensor) -> None:
        """What autograd keeps of the operands; the second is `CONSTANT` where it is a number."""

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f" {self.symbol} ".join(self._operands(values))

    def _operands(self, values: Sequence[str]) -> list[str]:
        return [*values, *([] if self.other is None else [number_source(self.other)])]


class Sub(_WithNumber, name="sub"):
    """The first value less the second, or less the number `other`, element by element.

    `sub: [a, b]` subtracts `b` from `a`, and `sub: 1` subtracts 1 from the node before. Types are
    promoted as in `add`; truth values have no difference.
    """

    symbol = "-"
    takes = NUMBERS
    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 4)]),
        Example(inputs=[("N", 3, 4), (4,)]),
        Example({"other": 0.5}, inputs=[("N", 3, 4)]),
        Example({"other": -2}, inputs=[("N", 3)], types=[INT32]),
        Example(inputs=[("N", 3), ("N", 1)], types=[INT64, FLOAT]),
    )


class Div(_WithNumber, name="div"):
    """The first value divided by the second, or by the number `other`, element by element.

    `div: [a, b]` divides `a` by `b`, and `div: 2` halves the node before. `rounding_mode: floor`
    rounds down and `trunc` towards 0. Integers are divided with a `rounding_mode` and by a number
    alone: without one torch makes float32 of them, whatever the network's precision, and a zero
    among integers stops it.
    """

    rounding_mode: Literal["trunc", "floor"] | None = None

    symbol = "/"
    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 4)]),
        Example(inputs=[("N", 3, 4), ("N", 3, 1)]),
        Example(inputs=[(3, 1), ("N", 3, 4)]),
        Example({"other": 3}, inputs=[("N", 3, 4)]),
        Example({"other": 2, "rounding_mode": "floor"}, inputs=[("N", 3)]),
        Example({"other": -3, "rounding_mode": "trunc"}, inputs=[("N", 3)], types=[INT64]),
        Example(inputs=[("N", 3), ("N", 3)], types=[INT64, FLOAT]),
        Example(inputs=[("N", 3), ("N", 3)], types=[FLOAT, BOOL]),
    )

    def result_type(self, *types: ValueType) -> ValueType:
        result = super().result_type(*types)
        if result.is_float or (self.rounding_mode is not None and self.other):
            return result._replace(below=None)
        if self.other == 0:
            raise Refusal("integers are divided by 0", code=Code.DTYPE, expected="another number")
        why = "make float32, whatever the precision of the network"
        if self.rounding_mode is not None:
            why = "stop the run where one of the divisors is 0"
        raise Refusal(
            f"integers that are divided here would {why}",
            code=Code.DTYPE,
            expected="a float, or integers by a number with a `rounding_mode`",
            found=promoted(types).name,
            help="put `to: float` before it, or write `div: {other: 2, rounding_mode: floor}`",
        )

    def _save(self, tape: Tape, a: Tensor, b: Tensor) -> None:
        if a.requires_grad:
            tape.save(b)
        if b.requires_grad:
            tape.save(a, b)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        if self.rounding_mode is None:
            return super().expression(values, inputs)
        operands = ", ".join(self._operands(values))
        return f"torch.div({operands}, rounding_mode={self.rounding_mode!r})"


class Pow(_WithNumber, name="pow"):
    """The first value to the power of the second, or of the number `other`, element by element.

    `pow: 2` squares the node before. Integers have no negative powers.
    """

    symbol = "**"
    takes = NUMBERS
    squares = True
    examples = (
        Example({"other": 2}, inputs=[("N", 3, 4)]),
        Example({"other": -0.5}, inputs=[("N", 3, 4)]),
        Example({"other": 0}, inputs=[("N", 3)]),
        Example({"other": 3}, inputs=[("N", 3)], types=[INT64]),
        Example(inputs=[("N", 3, 4), ("N", 3, 4)]),
        Example(inputs=[("N", 3, 4), (3, 1)]),
        Example(inputs=[("N", 3), ("N", 3)], types=[FLOAT, INT64]),
    )

    def result_type(self, *types: ValueType) -> ValueType:
        result = super().result_type(*types)
        if self.other is not None and self.other < 0 and not result.is_float:
            raise Refusal(
                f"integers to the power of {self.other}",
                code=Code.DTYPE,
                expected="a float, or a power from 0 on",
                found=result.name,
                help="put `to: float` before it",
            )
        return result

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        y = super().record(tape, *inputs)
        if y.requires_grad and self.other is None:
            tape.save(y)
        return y

    def _save(self, tape: Tape, a: Tensor, b: Tensor) -> None:
        if a.requires_grad or b.requires_grad:
            tape.save(a, b)


class _Extreme(_WithNumber):
    """Base of the larger and the smaller of two."""

    bound: ClassVar[str]
    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 4)]),
        Example(inputs=[("N", 3, 4), (4,)]),
        Example({"other": 0}, inputs=[("N", 3, 4)]),
        Example({"other": 2}, inputs=[("N", 3)], types=[INT64]),
        Example(inputs=[("N", 3), ("N", 3)], types=[INT64, FLOAT]),
    )

    def _save(self, tape: Tape, a: Tensor, b: Tensor) -> None:
        if a.requires_grad or b.requires_grad:
            tape.save(a, b)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        if self.other is not None:
            return f"{values[0]}.clamp({self.bound}={number_source(self.other)})"
        return f"torch.{self.op_name}({', '.join(values)})"


class Maximum(_Extreme, name="maximum"):
    """The larger of two values, or of a value and the number `other`, element by element.

    `maximum: 0` raises the node before to 0, as `clamp: {min: 0}`.
    """

    bound = "min"


class Minimum(_Extreme, name="minimum"):
    """The smaller of two values, or of a value and the number `other`, element by element.

    `minimum: 6` lowers the node before to 6, as `clamp: {max: 6}`.
    """

    bound = "max"


class _Comparison(_WithNumber):
    """Base of the comparisons: truth values, which have no gradient."""

    examples = (
        Example({"other": 0}, inputs=[("N", 3, 4)]),
        Example({"other": 0.5}, inputs=[("N", 3)], types=[INT64]),
        Example(inputs=[("N", 3, 4), ("N", 3, 1)]),
        Example(inputs=[("N", 3), (3,)], types=[INT32, FLOAT]),
        Example(inputs=[("N", 3), ("N", 3)], types=[BOOL, INT64]),
    )

    def result_type(self, *types: ValueType) -> ValueType:
        return BOOL

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return _truths(tape, *inputs, *([] if self.other is None else [CONSTANT]))


class Eq(_Comparison, name="eq"):
    """True where two values are equal, or a value and the number `other`: `eq: 0`, `eq: [a, b]`."""

    symbol = "=="


class Ne(_Comparison, name="ne"):
    """True where two values differ, or a value and the number `other`: `ne: 0`, `ne: [a, b]`."""

    symbol = "!="


class Lt(_Comparison, name="lt"):
    """True where the first value is less than the second, or than the number `other`: `lt: 0`."""

    symbol = "<"


class Le(_Comparison, name="le"):
    """True where the first value is at most the second, or the number `other`: `le: 0`."""

    symbol = "<="


class Gt(_Comparison, name="gt"):
    """True where the first value is more than the second, or than the number `other`: `gt: 0`."""

    symbol = ">"


class Ge(_Comparison, name="ge"):
    """True where the first value is at least the second, or the number `other`: `ge: 0`."""

    symbol = ">="


class _Logical(_Pairwise):
    """Base of the connectives, for which all but 0 is true."""

    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 1)], types=[BOOL, BOOL]),
        Example(inputs=[("N", 3), (3,)], types=[INT64, FLOAT]),
        Example(inputs=[("N", 3), ("N", 3)]),
    )

    def result_type(self, *types: ValueType) -> ValueType:
        return BOOL

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return _truths(tape, *inputs)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"torch.{self.op_name}({', '.join(values)})"


class LogicalAnd(_Logical, name="logical_and"):
    """True where both values are true; a number is true where it is not 0."""


class LogicalOr(_Logical, name="logical_or"):
    """True where one of two values is true; a number is true where it is not 0."""


class Where(_Pairwise, name="where"):
    """The elements of one value where a condition is true, and those of another elsewhere.

    `where: [condition, a, b]` reads truth values and two values, with torch's broadcasting and
    promotion. Each of the two may be a number: `where: {inputs: [condition, a], other: 0}` keeps
    `a` where the condition holds, `where: {inputs: [condition, b], input: 0}` where it does not,
    and `where: {inputs: condition, input: 1, other: 0}` makes integers of the condition.
    """

    input: Number | None = None
    other: Number | None = None

    follows = True
    examples = (
        Example(inputs=[("N", 3, 4), ("N", 3, 4), ("N", 3, 4)], types=[BOOL, FLOAT, FLOAT]),
        Example(inputs=[("N", 3, 1), ("N", 3, 4), (4,)], types=[BOOL, FLOAT, FLOAT]),
        Example(inputs=[(3, 4), ("N", 3, 4), ("N", 3, 4)], types=[BOOL, INT64, FLOAT]),
        Example({"other": -1e4}, inputs=[("N", 3, 4), ("N", 3, 4)], types=[BOOL, FLOAT]),
        Example({"input": 0}, inputs=[("N", 1, 4), ("N", 3, 4)], types=[BOOL, INT32]),
        Example({"input": 1, "other": 0}, inputs=[("N", 3)], types=[BOOL]),
    )

    @property
    def arity(self) -> int:
        return 1 + (self.input is None) + (self.other is None)

    def result_type(self, *types: ValueType) -> ValueType:
        condition, *values = types
        if condition != BOOL:
            raise Refusal(
                f"its condition is {condition.name}",
                code=Code.DTYPE,
                expected="truth values as the first input",
                found=condition.name,
                help="compare it before: `gt: 0`, or `ne: 0` for what is not zero",
            )
        numbers = {
            name: number
            for name in ("input", "other")
            if (number := getattr(self, name)) is not None
        }
        kind = promoted(values) if values else BOOL
        for name, number in numbers.items():
            kind = beside(kind, number, name)
        return kind

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        condition, *values = inputs
        number = CONSTANT._replace(type=self.result_type(*[x.type for x in inputs]))
        a = number if self.input is not None else values.pop(0)
        b = number if self.other is not None else values.pop(0)
        if a.requires_grad or b.requires_grad:
            tape.save(condition)
        return elementwise(tape, condition, a, b)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        condition, *others = values
        a, b = (
            others.pop(0) if number is None else number_source(number)
            for number in (self.input, self.other)
        )
        return f"torch.where({condition}, {a}, {b})"


def _truths(tape: Tape, *inputs: Tensor) -> Tensor:
    """The new result of a pointwise op that gives truth values."""
    return elementwise(tape, *(x._replace(requires_grad=False, type=BOOL) for x in inputs))
