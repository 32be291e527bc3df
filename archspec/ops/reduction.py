"""Reductions: sums, means, extremes and the like along axes other than the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Bounds
from archspec.ir.op import Example, Float, NonNegativeInt, ProductFree
from archspec.ir.shape import Shape, each, own_axis, product, replaced, show
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import BOOL, EVERY, FLOAT, INT32, INT64, ValueType

Dims: TypeAlias = int | Annotated[tuple[int, ...], Bounds(min_length=1)]


class _Reduction(ProductFree):
    """Base of the reductions, which are methods of torch's tensors with the op's name.

    `dim` may not be the batch, which it counts as 0; of a learned tensor it counts the own axes.
    """

    dim: Dims
    keepdim: bool = False

    since = "0.2"
    primary = "dim"
    takes_unbatched = True
    moves_axes = True
    saves: ClassVar[tuple[Literal["input", "output"], ...]] = ()
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"dim": 1}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": (-2, -1), "keepdim": True}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": (1, 3)}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": 0}, inputs=[(3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        (x,) = inputs
        return self._without(x, self._axes(x))

    def _axes(self, x: Shape) -> list[int]:
        """The axes that go, counted from the front."""
        axes = [own_axis(dim, x) for dim in each(self.dim, 1)]
        if len(set(axes)) < len(axes):
            raise Refusal(f"dim {show(each(self.dim, 1))} names one axis twice", code=Code.RANK)
        return axes

    def _without(self, x: Shape, axes: Sequence[int]) -> Shape:
        if not self.keepdim:
            return tuple(size for position, size in enumerate(x) if position not in axes)
        for position in axes:
            x = replaced(x, position, 1)
        return x

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor | list[Tensor]:
        (x,) = inputs
        kind = self.reduced_type(x.type)
        shape = self._without(x.shape, self._axes(x.shape))
        y = tape.new(shape, requires_grad=x.requires_grad and kind.is_float, type=kind)
        if y.requires_grad:
            tape.save(*({"input": x, "output": y}[what] for what in self.saves))
        return y

    def result_type(self, *types: ValueType) -> ValueType | list[ValueType]:
        return self.reduced_type(types[0])

    def reduced_type(self, kind: ValueType) -> ValueType:
        """The type of its values."""
        return kind

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{values[0]}.{self.op_name}({given})"


class _AlongOne(_Reduction):
    """Base of those that torch has along a single axis."""

    dim: int

    examples = (
        Example({"dim": 1}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": -1, "keepdim": True}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": 2}, inputs=[("N", 3, 4)], types=[INT32]),
        Example({"dim": 0}, inputs=[(3, 4)]),
    )

    def _positions(self, x: Shape) -> ValueType:
        """The type of positions along the axis, which are below its size."""
        (position,) = self._axes(x)
        return ValueType("int64", x[position])


class Mean(_Reduction, name="mean"):
    """The mean along `dim`, a number or a list, which counts N as 0 and may not be it."""


class Sum(_Reduction, name="sum"):
    """The sum along `dim`, a number or a list. Integers and truth values make int64."""

    takes = EVERY
    examples = (
        *_Reduction.examples,
        Example({"dim": 1}, inputs=[("N", 3)], types=[BOOL]),
        Example({"dim": 1}, inputs=[("N", 3)], types=[INT32]),
    )

    def reduced_type(self, kind: ValueType) -> ValueType:
        return FLOAT if kind.is_float else INT64


class Prod(_AlongOne, name="prod"):
    """The product along `dim`. Integers and truth values make int64."""

    takes = EVERY
    saves = ("input", "output")

    def reduced_type(self, kind: ValueType) -> ValueType:
        return FLOAT if kind.is_float else INT64


class _ExtremesOnly(_Reduction):
    """Base of the extremes alone."""

    takes = EVERY
    saves = ("input", "output")
    examples = (*_Reduction.examples, Example({"dim": 1}, inputs=[("N", 3)], types=[BOOL]))


class Amax(_ExtremesOnly, name="amax"):
    """The greatest along `dim`, a number or a list; equal ones share the gradient.

    `max` gives its position too.
    """


class Amin(_ExtremesOnly, name="amin"):
    """The least along `dim`, a number or a list; equal ones share the gradient.

    `min` gives its position too.
    """


class _ExtremeAndPosition(_AlongOne):
    """Base of `max` and `min`."""

    takes = EVERY
    gives_several = True

    def infer(self, *inputs: Shape) -> list[Shape]:
        (x,) = inputs
        return [self._without(x, self._axes(x))] * 2

    def result_type(self, *types: ValueType) -> list[ValueType]:
        return [types[0], INT64]

    def output_types(self, inputs: Sequence[Shape], types: Sequence[ValueType]) -> list[ValueType]:
        return [types[0], self._positions(inputs[0])]

    def record(self, tape: Tape, *inputs: Tensor) -> list[Tensor]:
        (x,) = inputs
        shape = self._without(x.shape, self._axes(x.shape))
        indices = tape.new(shape, requires_grad=False, type=INT64)
        if x.requires_grad:
            tape.save(indices)
        return [tape.new(shape, requires_grad=x.requires_grad, type=x.type), indices]


class Max(_ExtremeAndPosition, name="max"):
    """The greatest along `dim`, and its position, as in torch: two outputs.

    With `name: top`, `top[0]` is the value and `top[1]` the position. `amax` gives the value alone.
    """


class Min(_ExtremeAndPosition, name="min"):
    """The least along `dim`, and its position, as in torch: two outputs.

    With `name: low`, `low[0]` is the value and `low[1]` the position. `amin` gives the value alone.
    """


class _Spread(_Reduction):
    """Base of the variance and the standard deviation."""

    correction: NonNegativeInt = 1

    examples = (
        *_Reduction.examples,
        Example({"dim": 1, "correction": 0}, inputs=[("N", 3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        (x,) = inputs
        count = product(x[position] for position in self._axes(x))
        if count <= self.correction:
            raise Refusal(
                f"{self.op_name} of {count} value(s) with `correction: {self.correction}` "
                "divides by 0",
                code=Code.SINGLE_VALUE,
                expected=f"at least {self.correction + 1} values along `dim`",
                found=f"{count} of {show(x)}",
                help="write `correction: 0`, or reduce more axes",
            )
        return super().infer(x)


class Var(_Spread, name="var"):
    """The variance along `dim`, a number or a list: squares are divided by n - `correction`."""

    saves = ("input",)


class Std(_Spread, name="std"):
    """The standard deviation along `dim`, a number or a list, with n - `correction` as in `var`."""

    saves = ("input", "output")


class VectorNorm(_Reduction, name="vector_norm"):
    """The norm of the order `ord` along `dim`, a number or a list: 2 is the length of a vector."""

    ord: Float | Literal["inf", "-inf"] = 2.0

    saves = ("input", "output")
    examples = (
        *_Reduction.examples,
        Example({"dim": 1, "ord": 1}, inputs=[("N", 3, 4)]),
        Example({"dim": 1, "ord": "inf"}, inputs=[("N", 3, 4)]),
        Example({"dim": 1, "ord": 0}, inputs=[("N", 3, 4)]),
    )

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        infinite = {"inf": "torch.inf", "-inf": "-torch.inf"}
        order = infinite[self.ord] if isinstance(self.ord, str) else repr(self.ord)
        keepdim = ", keepdim=True" if self.keepdim else ""
        return f"torch.linalg.vector_norm({values[0]}, ord={order}, dim={self.dim!r}{keepdim})"


class LogSumExp(_Reduction, name="logsumexp"):
    """The logarithm of the sum of exponentials along `dim`, a number or a list: no overflow."""

    saves = ("input", "output")


class _Position(_AlongOne):
    """Base of the positions of extremes."""

    takes = EVERY - {"bool"}

    def reduced_type(self, kind: ValueType) -> ValueType:
        return INT64

    def output_types(self, inputs: Sequence[Shape], types: Sequence[ValueType]) -> ValueType:
        return self._positions(inputs[0])

    def help_for_type(self, given: ValueType) -> str | None:
        return "put `to: int64` before it"


class Argmax(_Position, name="argmax"):
    """The position of the greatest along `dim`, as int64."""


class Argmin(_Position, name="argmin"):
    """The position of the least along `dim`, as int64."""


class _Quantifier(_Reduction):
    """Base of what is said of all or some."""

    takes = EVERY
    examples = (
        *_Reduction.examples,
        Example({"dim": 1}, inputs=[("N", 3)], types=[BOOL]),
    )

    def reduced_type(self, kind: ValueType) -> ValueType:
        return BOOL


class Any(_Quantifier, name="any"):
    """True where one element along `dim`, a number or a list, is true or not 0."""


class All(_Quantifier, name="all"):
    """True where all elements along `dim`, a number or a list, are true or not 0."""
