"""Convolutions over volumes, and transposed ones over one axis and three."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from archspec.ir.fields import Bounds
from archspec.ir.op import Example, NonNegativeInt, PositiveInt
from archspec.ir.shape import Shape, each
from archspec.ir.tape import Tape, Tensor, contiguous_strides
from archspec.ir.types import PRECISION
from archspec.ops.conv import Convolution, Stride, TransposedConvolution, TransposedStride

Sizes3d: TypeAlias = PositiveInt | tuple[PositiveInt, PositiveInt, PositiveInt]
Widths3d: TypeAlias = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]

VolumeStride: TypeAlias = Annotated[int, Bounds(gt=0, le=2**8)]
"""Bounded, since the memory that oneDNN takes grows with the product of the strides."""


def _runs_in_onednn(tape: Tape, x: Tensor, op: Convolution | TransposedConvolution) -> bool:
    """Whether oneDNN runs a convolution of volumes, on one thread. torch's own is row-major."""
    kernel, strides, apart = (each(value, 3) for value in (op.kernel_size, op.stride, op.dilation))
    moves = any(size != 1 for size in (*strides, *apart, *kernel[1:]))
    return tape.precision == PRECISION and (moves or x.shape[0] >= 16)


class Conv3d(Convolution, name="conv3d"):
    """Convolution over three axes: (N, C, D, H, W) to (N, out_channels, D', H', W')."""

    kernel_size: Sizes3d
    stride: Stride | tuple[Stride, Stride, Stride] = 1
    padding: Widths3d | Literal["same", "valid"] = 0
    dilation: Sizes3d = 1

    module = "torch.nn.Conv3d"
    since = "0.2"
    spatial = 3
    gives_images = True
    examples = (
        Example({"out_channels": 4, "kernel_size": 3, "padding": 1}, inputs=[("N", 2, 4, 5, 6)]),
        Example(
            {
                "out_channels": 6,
                "kernel_size": (1, 3, 2),
                "stride": (1, 2, 1),
                "groups": 3,
                "bias": False,
            },
            inputs=[("N", 3, 3, 5, 4)],
        ),
        Example(
            {"out_channels": 2, "kernel_size": 2, "dilation": 2, "padding": "same"},
            inputs=[("N", 2, 4, 5, 3)],
        ),
        Example(
            {"out_channels": 2, "kernel_size": 2, "padding": "same"}, inputs=[("N", 2, 3, 4, 5)]
        ),
        Example(
            {"out_channels": 2, "kernel_size": 3, "padding": 1, "padding_mode": "replicate"},
            inputs=[("N", 2, 3, 4, 5)],
        ),
    )

    def _layout(self, tape: Tape, x: Tensor, y_shape: Shape) -> tuple[int, ...]:
        if _runs_in_onednn(tape, x, self):
            return super()._layout(tape, x, y_shape)
        return contiguous_strides(y_shape)


class ConvTranspose1d(TransposedConvolution, name="conv_transpose1d"):
    """Transposed convolution, the gradient of `conv1d`: grows (N, C, L) by its stride."""

    kernel_size: PositiveInt | tuple[PositiveInt]
    stride: TransposedStride | tuple[TransposedStride] = 1
    padding: NonNegativeInt | tuple[NonNegativeInt] = 0
    output_padding: NonNegativeInt | tuple[NonNegativeInt] = 0
    dilation: PositiveInt | tuple[PositiveInt] = 1

    module = "torch.nn.ConvTranspose1d"
    since = "0.2"
    spatial = 1
    examples = (
        Example({"out_channels": 2, "kernel_size": 2, "stride": 2}, inputs=[("N", 4, 5)]),
        Example(
            {
                "out_channels": 4,
                "kernel_size": 3,
                "stride": 2,
                "padding": 1,
                "output_padding": 1,
                "dilation": 2,
                "groups": 2,
                "bias": False,
            },
            inputs=[("N", 6, 5)],
        ),
    )


class ConvTranspose3d(TransposedConvolution, name="conv_transpose3d"):
    """Transposed convolution, the gradient of `conv3d`: grows (N, C, D, H, W) by its stride."""

    kernel_size: Sizes3d
    stride: VolumeStride | tuple[VolumeStride, VolumeStride, VolumeStride] = 1
    padding: Widths3d = 0
    output_padding: Widths3d = 0
    dilation: Sizes3d = 1

    module = "torch.nn.ConvTranspose3d"
    since = "0.2"
    spatial = 3
    gives_images = True
    examples = (
        Example({"out_channels": 2, "kernel_size": 2, "stride": 2}, inputs=[("N", 4, 3, 4, 2)]),
        Example(
            {
                "out_channels": 4,
                "kernel_size": (3, 2, 3),
                "stride": (1, 2, 2),
                "padding": 1,
                "output_padding": (0, 0, 1),
                "dilation": (1, 2, 1),
                "groups": 2,
                "bias": False,
            },
            inputs=[("N", 6, 3, 4, 2)],
        ),
    )

    def _layout(self, tape: Tape, x: Tensor, y_shape: Shape) -> tuple[int, ...]:
        extra = zip(each(self.output_padding, 3), each(self.stride, 3), strict=True)
        fits = all(width < stride for width, stride in extra)
        if fits and _runs_in_onednn(tape, x, self):
            return super()._layout(tape, x, y_shape)
        return contiguous_strides(y_shape)
