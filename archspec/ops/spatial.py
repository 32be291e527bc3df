"""Pixels and windows moved between axes, sampling at given places, and dropout of channels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Example, NonNegativeInt, PositiveInt, ProductFree
from archspec.ir.shape import (
    SPATIAL_AXES,
    Dim,
    Shape,
    divide,
    each,
    equal,
    expect_rank,
    product,
    show,
    window,
)
from archspec.ir.tape import Tape, Tensor, contiguous_strides, layout_of, require_grad
from archspec.ir.types import EVERY, INT64
from archspec.ops.regularization import Dropout2d

Pair: TypeAlias = PositiveInt | tuple[PositiveInt, PositiveInt]
PairOrZero: TypeAlias = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt]


class _PixelShuffling(ProductFree):
    """Base of what moves elements between channels and pixels."""

    since = "0.2"
    takes = EVERY
    gives_images = True

    def infer(self, *inputs: Shape) -> Shape:
        raise NotImplementedError

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        # What has more axes is made row-major first: torch knows no other layout of it.
        strides = layout_of(x, y_shape) if len(y_shape) == 4 else None
        return tape.new(y_shape, requires_grad=x.requires_grad, strides=strides, type=x.type)

    def module_key(self, *inputs: Shape) -> Hashable:
        return len(inputs[0]) > 4

    def module_path(self, *inputs: Shape) -> str:
        name = type(self).__name__
        if len(inputs[0]) > 4:
            return f"archspec.runtime.modules.RowMajor{name}"
        return f"torch.nn.{name}"


class PixelShuffle(_PixelShuffling, name="pixel_shuffle", primary="upscale_factor"):
    """Makes pixels of channels: (N, C * r * r, H, W) to (N, C, H * r, W * r).

    Shi et al., sub-pixel convolution (arXiv 1609.05158). More axes may stand before the channels.
    """

    upscale_factor: PositiveInt

    examples = (
        Example({"upscale_factor": 2}, inputs=[("N", 8, 3, 4)]),
        Example({"upscale_factor": 3}, inputs=[("N", 9, 2, 2)], types=[INT64]),
        Example({"upscale_factor": 2}, inputs=[("N", 3, 4, 2, 3)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        _expect_image(x)
        factor = self.upscale_factor
        channels = divide(x[-3], factor * factor, "channels by the square of upscale_factor")
        return (*x[:-3], channels, x[-2] * factor, x[-1] * factor)


class PixelUnshuffle(_PixelShuffling, name="pixel_unshuffle", primary="downscale_factor"):
    """Makes channels of pixels: (N, C, H * r, W * r) to (N, C * r * r, H, W).

    It undoes `pixel_shuffle`. There may be more axes before the channels.
    """

    downscale_factor: PositiveInt

    examples = (
        Example({"downscale_factor": 2}, inputs=[("N", 3, 4, 6)]),
        Example({"downscale_factor": 3}, inputs=[("N", 2, 3, 6)], types=[INT64]),
        Example({"downscale_factor": 2}, inputs=[("N", 3, 2, 4, 2)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        _expect_image(x)
        factor = self.downscale_factor
        height = divide(x[-2], factor, "height by downscale_factor")
        width = divide(x[-1], factor, "width by downscale_factor")
        return (*x[:-3], x[-3] * (factor * factor), height, width)


def _expect_image(x: Shape) -> None:
    if len(x) < 4:
        expect_rank(x, 4, unbatched=3)


class _Windows(ProductFree):
    """Base of what takes an image apart into windows, or puts it together."""

    kernel_size: Pair
    dilation: Pair = 1
    padding: PairOrZero = 0
    stride: Pair = 1

    since = "0.2"
    follows = True

    def infer(self, *inputs: Shape) -> Shape:
        raise NotImplementedError

    def _count(self, sizes: Sequence[Dim]) -> Dim:
        """How many windows there are on an image of these sizes."""
        given = (self.kernel_size, self.stride, self.padding, self.dilation)
        return product(
            window(size, kernel, stride=step, padding=pad, dilation=apart, what=what)
            for what, size, kernel, step, pad, apart in zip(
                SPATIAL_AXES[-2:], sizes, *(each(value, 2) for value in given), strict=True
            )
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        # torch makes the result in memory of the input's size, which grows and does not shrink.
        larger = max(x.shape, y_shape, key=product)
        y = tape.new(larger, requires_grad=x.requires_grad)
        return y.viewed(y_shape, contiguous_strides(y_shape))


class Unfold(_Windows, name="unfold", primary="kernel_size"):
    """The windows of an image, side by side: (N, C, H, W) to (N, C * kernel elements, windows)."""

    module = "torch.nn.Unfold"
    function = "torch.nn.functional.unfold"
    moves_axes = True
    examples = (
        Example({"kernel_size": 2}, inputs=[("N", 3, 4, 5)]),
        Example(
            {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": 2},
            inputs=[("N", 2, 5, 6)],
        ),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, 4, unbatched=3)
        return (x[0], x[1] * product(each(self.kernel_size, 2)), self._count(x[2:]))


class Fold(_Windows, name="fold"):
    """Adds windows up to images: (N, C * kernel elements, windows) to (N, C, H, W).

    The image has `output_size` pixels; `unfold` with the same arguments takes it apart.
    """

    output_size: Pair

    module = "torch.nn.Fold"
    function = "torch.nn.functional.fold"
    gives_images = True
    examples = (
        Example({"output_size": (4, 5), "kernel_size": 2}, inputs=[("N", 8, 12)]),
        Example(
            {"output_size": 6, "kernel_size": (3, 2), "padding": (1, 0), "stride": 2},
            inputs=[("N", 12, 9)],
        ),
        Example({"output_size": 4, "kernel_size": 2, "dilation": 2}, inputs=[("N", 4, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, 3, unbatched=2)
        sizes = each(self.output_size, 2)
        elements = product(each(self.kernel_size, 2))
        channels = divide(x[1], elements, "channels by the elements of a window")
        equal(self._count(sizes), x[2], f"windows on {show(sizes)} and those of the input")
        return (x[0], channels, *sizes)


class GridSample(ProductFree, name="grid_sample"):
    """The values of an image or volume at the places that a grid names.

    It reads two nodes, the input (N, C, H, W) and the grid (N, H', W', 2), and gives
    (N, C, H', W'). The grid of a volume has three numbers at each place. A place is (x, y) or
    (x, y, z), from -1 to 1 across the input. Jaderberg et al., spatial transformers (arXiv
    1506.02025).
    """

    mode: Literal["bilinear", "nearest", "bicubic"] = "bilinear"
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros"
    align_corners: bool = False

    since = "0.2"
    num_inputs = 2
    input_names = ("input", "grid")
    gives_images = True
    examples = (
        Example(inputs=[("N", 3, 4, 5), ("N", 2, 6, 2)]),
        Example(
            {"mode": "bicubic", "padding_mode": "border", "align_corners": True},
            inputs=[("N", 2, 4, 5), ("N", 3, 3, 2)],
        ),
        Example(
            {"mode": "nearest", "padding_mode": "reflection"},
            inputs=[("N", 2, 3, 4, 5), ("N", 2, 3, 1, 3)],
        ),
    )

    def infer(self, *inputs: Shape) -> Shape:
        x, grid = inputs
        expect_rank(x, 4, 5)
        if len(grid) != len(x):
            raise Refusal(
                f"the input is {len(x)}-D and the grid {len(grid)}-D",
                code=Code.RANK,
                expected=f"a {len(x)}-D grid",
                found=show(grid),
            )
        equal(len(x) - 2, grid[-1], "numbers that name a place, and last axis of the grid")
        if self.mode == "bicubic" and len(x) != 4:
            raise Refusal(
                "mode 'bicubic' samples images alone",
                code=Code.RANK,
                expected="4-D input",
                found=show(x),
            )
        return (*x[:2], *grid[1:-1])

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        learns = require_grad(*inputs)
        if learns:
            tape.save(*inputs)
        return tape.new(self.infer(*(each.shape for each in inputs)), requires_grad=learns)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"torch.nn.functional.grid_sample({', '.join(values)}, {given})"


class Dropout1d(Dropout2d, name="dropout1d", primary="p"):
    """Dropout of whole channels of (N, C, L)."""

    since = "0.2"
    module = "torch.nn.Dropout1d"
    examples = (
        Example(inputs=[("N", 3, 4)]),
        Example({"p": 0.2}, inputs=[("N", 3, 4)]),
        Example({"p": 1.0}, inputs=[("N", 3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, 3, unbatched=2)
        return x


class Dropout3d(Dropout2d, name="dropout3d", primary="p"):
    """Dropout of whole channels of (N, C, D, H, W)."""

    since = "0.2"
    module = "torch.nn.Dropout3d"
    examples = (
        Example(inputs=[("N", 3, 4, 2, 5)]),
        Example({"p": 0.2}, inputs=[("N", 3, 4, 2, 5)]),
        Example({"p": 1.0}, inputs=[("N", 3, 4, 2, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        # torch would take N for the channels of one sample at any other rank.
        expect_rank(x, 5, unbatched=len(x))
        return x
