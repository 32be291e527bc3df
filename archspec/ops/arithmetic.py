"""Scaling by constants that are not learned, and to unit length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.computed import is_computed
from archspec.ir.fields import Bounds
from archspec.ir.op import (
    MAX_SIZE,
    Doubt,
    Example,
    Float,
    PositiveFloat,
    ProductFree,
    ShapeKeeping,
)
from archspec.ir.shape import Shape, equal, expect_rank_from, own_axis, replaced, show
from archspec.ir.tape import (
    CONSTANT,
    Tape,
    Tensor,
    channels_last_strides,
    contiguous_strides,
    elementwise,
)
from archspec.ir.types import BOOL, INT64, ValueType

Number: TypeAlias = Annotated[int, Bounds(ge=-MAX_SIZE, le=MAX_SIZE)] | Float
"""An operand that is no value. Whole numbers keep integers integers."""


def beside(kind: ValueType, number: float, argument: str = "other") -> ValueType:
    """The type of a value and a number together.

    Raises `Refusal` where torch would make float32, whatever the precision of the network.
    """
    if kind.is_float:
        return kind
    if isinstance(number, float):
        whole = f", or write `{argument}: {int(number)}`" if number.is_integer() else ""
        raise Refusal(
            f"{kind.name} and the number {number} would make float32, "
            "whatever the precision of the network",
            code=Code.DTYPE,
            expected=f"a float beside {number}",
            found=kind.name,
            help=f"put `to: float` before it{whole}",
        )
    return INT64 if kind == BOOL else kind


def number_source(number: float) -> str:
    """A number as an operand in Python source. It may be one that code computes."""
    return f"({number})" if is_computed(number) and " " in str(number) else repr(number)


Constants: TypeAlias = Annotated[tuple[float, ...], Bounds(min_length=1)]


class Scale(ShapeKeeping, name="scale", primary="factor"):
    """Each element times the constant `factor`; `mul` with `other` also takes integers."""

    factor: Float

    takes_unbatched = True
    examples = (
        Example({"factor": 0.125}, inputs=[("N", 3, 4)]),
        Example({"factor": 16.0}, inputs=[(1, 3, 4)]),
    )

    def help_for_type(self, given: ValueType) -> str | None:
        help_ = super().help_for_type(given)
        whole = self.factor.is_integer() and abs(self.factor) <= MAX_SIZE
        return f"{help_}, or write `mul: {{other: {int(self.factor)}}}`" if whole else help_

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return elementwise(tape, *inputs, CONSTANT)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]} * {self.factor!r}"


class Normalize(ShapeKeeping, name="normalize"):
    """Vectors along `dim` divided by their Euclidean length, or by `eps` where that is more."""

    dim: int = 1
    eps: PositiveFloat = 1e-12

    takes_unbatched = True
    examples = (
        Example({"dim": 0}, inputs=[(3, 4)]),
        Example(inputs=[("N", 3, 4)]),
        Example({"dim": -1, "eps": 1e-5}, inputs=[("N", 2, 3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        own_axis(self.dim, x)
        return x

    def doubt(self, *inputs: Shape) -> Doubt | None:
        (x,) = inputs
        if x[self.dim] != 1:
            return None
        return Doubt(
            f"normalize along dim {self.dim} of {show(x)}, of size 1, leaves signs alone",
            "name another `dim`, or remove it",
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        dim = self.dim % len(x.shape)
        length = tape.new(replaced(x.shape, dim, 1), requires_grad=x.requires_grad)
        bounded = elementwise(tape, length)
        if x.requires_grad:
            tape.save(x, length, bounded)
        spread = bounded.viewed(x.shape, replaced(bounded.strides, dim, 0))
        return elementwise(tape, x, spread)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        (x,) = values
        return f"torch.nn.functional.normalize({x}, dim={self.dim}, eps={self.eps!r})"


class Rescale(ProductFree, name="rescale"):
    """Each channel (axis 1) times its own constant of `scale`, plus its own of `shift`.

    So images that were normalised with one mean and deviation take on another, as in the
    `transform_input` of torchvision's GoogLeNet and Inception v3, bit for bit.
    """

    scale: Constants
    shift: Constants

    examples = (
        Example({"scale": (0.5, 1.0, -2.0), "shift": (0.1, 0.0, 0.25)}, inputs=[("N", 3, 4, 5)]),
        Example({"scale": (0.5,), "shift": (-1.0,)}, inputs=[("N", 1)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank_from(2, x)
        equal(len(self.scale), len(self.shift), "the constants of `scale` and `shift`")
        equal(x[1], len(self.scale), "the channels and the constants of `scale`")
        return x

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        one = x.viewed((x.shape[0], 1, *x.shape[2:]), x.strides)
        for _ in self.scale:
            channel = elementwise(tape, elementwise(tape, one, CONSTANT), CONSTANT)
        ordered = channels_last_strides if channel.prefers_channels_last else contiguous_strides
        return tape.new(x.shape, requires_grad=x.requires_grad, strides=ordered(x.shape))

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        self.infer(*inputs)  # slices of other channels would run, and give another shape
        (x,) = values
        channels = [
            f"{x}[:, {channel}:{channel + 1}] * {scale!r} + {shift!r}"
            for channel, (scale, shift) in enumerate(zip(self.scale, self.shift, strict=True))
        ]
        return f"torch.cat(({', '.join(channels)},), dim=1)"
