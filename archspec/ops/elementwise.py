"""Functions of each element of one value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, cast

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Bounds, Problem
from archspec.ir.op import Example, ShapeKeeping
from archspec.ir.shape import Shape
from archspec.ir.tape import Tape, Tensor, elementwise
from archspec.ir.types import BOOL, EVERY, INT32, INT64, NUMBERS, ValueType
from archspec.ops.arithmetic import Number, beside


class _Function(ShapeKeeping):
    """Base of the functions, which are methods of torch's tensors with the op's name."""

    takes_unbatched = True
    saves: ClassVar[Literal["input", "output", "nothing"]] = "nothing"
    examples: ClassVar[tuple[Example, ...]] = (
        Example(inputs=[("N", 3, 4)]),
        Example(inputs=[(3, 1, 1)]),
    )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = elementwise(tape, x)
        if y.requires_grad and self.saves != "nothing":
            tape.save(x if self.saves == "input" else y)
        return y

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{values[0]}.{self.op_name}({given})"


class _OfNumbers(_Function):
    """Base of those that leave integers integers; truth values have no sign."""

    takes = NUMBERS
    examples = (*_Function.examples, Example(inputs=[("N", 3)], types=[INT64]))


class Exp(_Function, name="exp"):
    """The exponential function of each element."""

    saves = "output"


class Log(_Function, name="log"):
    """The natural logarithm of each element: nan below 0."""

    since = "0.2"
    saves = "input"


class Sqrt(_Function, name="sqrt"):
    """The square root of each element: nan below 0. At 0 its gradient is infinite."""

    since = "0.2"
    saves = "output"


class Rsqrt(_Function, name="rsqrt"):
    """One divided by the square root of each element."""

    since = "0.2"
    saves = "output"


class Sin(_Function, name="sin"):
    """The sine of each element, in radians."""

    since = "0.2"
    saves = "input"


class Cos(_Function, name="cos"):
    """The cosine of each element, in radians."""

    since = "0.2"
    saves = "input"


class Abs(_OfNumbers, name="abs"):
    """The absolute value of each element."""

    since = "0.2"
    saves = "input"


class Neg(_OfNumbers, name="neg"):
    """Each element with the other sign."""

    since = "0.2"

    def result_type(self, *types: ValueType) -> ValueType:
        return types[0]._replace(below=None)


class Floor(_OfNumbers, name="floor"):
    """The greatest whole number that is not above each element, as a float of floats.

    Its gradient is 0. `to: int64` then makes integers of them.
    """

    since = "0.2"


class Round(_OfNumbers, name="round"):
    """The nearest whole number to each element, or to `decimals` places; halves go to even ones.

    The result of floats is of floats. Its gradient is 0. Integers take no `decimals`.
    """

    decimals: Annotated[int, Bounds(ge=-30, le=30)] = 0

    since = "0.2"
    examples = (*_OfNumbers.examples, Example({"decimals": 2}, inputs=[("N", 3, 4)]))

    def result_type(self, *types: ValueType) -> ValueType:
        (kind,) = types
        if self.decimals and not kind.is_float:
            raise Refusal(
                f"{kind.name} is rounded to {self.decimals} decimals",
                code=Code.DTYPE,
                expected="a float",
                found=kind.name,
                help="put `to: float` before it",
            )
        return kind


class Clamp(_OfNumbers, name="clamp"):
    """Each element, raised to `min` and lowered to `max`; one of them may be left out.

    Integers take whole numbers alone: torch would make float32 of them beside others, whatever the
    network's precision.
    """

    min: Number | None = None
    max: Number | None = None

    saves = "input"
    follows = True
    examples = (
        Example({"max": 4.6}, inputs=[(3, 1, 1)]),
        Example({"min": -1.0, "max": 1.0}, inputs=[("N", 3, 4)]),
        Example({"min": 0, "max": 15}, inputs=[("N", 3)], types=[INT32]),
    )

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if self.min is None and self.max is None:
            yield Problem("rule", "", "give `min`, `max` or both")

    def result_type(self, *types: ValueType) -> ValueType:
        (kind,) = types
        for argument in ("min", "max"):
            if (number := getattr(self, argument)) is not None:
                beside(kind, number, argument)
        if kind.is_float:
            return kind
        return kind._replace(below=self._below(kind.below))

    def _below(self, below: int | None) -> int | None:
        """The bound of its result, where that has one: where nothing of it is below 0."""
        least: float | None = None if below is None else 0
        most: float | None = None if below is None else below - 1
        if self.min is not None:
            least = self.min if least is None else max(least, self.min)
            most = None if most is None else max(most, self.min)
        if self.max is not None:
            least = None if least is None else min(least, self.max)
            most = self.max if most is None else min(most, self.max)
        return None if least is None or most is None or least < 0 else cast(int, most) + 1

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]}.clamp({self.min!r}, {self.max!r})"


class LogicalNot(_Function, name="logical_not"):
    """True where an element is false or 0."""

    since = "0.2"
    takes = EVERY
    examples = (*_Function.examples, Example(inputs=[("N", 3)], types=[BOOL]))

    def result_type(self, *types: ValueType) -> ValueType:
        return BOOL

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return elementwise(tape, x._replace(requires_grad=False, type=BOOL))
