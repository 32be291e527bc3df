"""Channels under another normalisation, with constants that are not learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from archspec.ir.fields import Bounds
from archspec.ir.op import Example, ProductFree
from archspec.ir.shape import Shape, equal, expect_rank_from
from archspec.ir.tape import (
    Storage,
    Tape,
    Tensor,
    channels_last_strides,
    contiguous_strides,
    elementwise,
)

Constants = Annotated[tuple[float, ...], Bounds(min_length=1)]


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
        # torch sees the constant as an operand without axes, which decides the strides.
        constant = Tensor((), (), Storage(0), requires_grad=False)
        for _ in self.scale:
            channel = elementwise(tape, elementwise(tape, one, constant), constant)
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
