"""Pooling over windows of (N, C, H, W), of given sizes or chosen to reach an output size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.op import Example, NonNegativeInt, PositiveInt, ProductFree
from archspec.ir.shape import (
    SPATIAL_AXES,
    Shape,
    each,
    expect_at_least,
    expect_rank,
    expect_reached,
    once_or_each,
    window,
)
from archspec.ir.tape import Tape, Tensor, contiguous_strides, plane_layout
from archspec.ir.types import INT64

Pair: TypeAlias = PositiveInt | tuple[PositiveInt, PositiveInt]
PairOrZero: TypeAlias = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt]
OutputSize: TypeAlias = PositiveInt | tuple[PositiveInt | None, PositiveInt | None]


class Pooling(ProductFree):
    """What poolings share, over as many axes as `spatial` says."""

    spatial: ClassVar[int] = 2

    any_rank = True
    follows = True
    gives_images = True


def record_maxima(
    tape: Tape, x: Tensor, y_shape: Shape, strides: tuple[int, ...] | None = None
) -> Tensor:
    """The maxima, and where they were; in the layout of the input unless `strides` are given."""
    strides = strides or plane_layout(x, y_shape)
    y = tape.new(y_shape, requires_grad=x.requires_grad, strides=strides)
    indices = tape.new(y_shape, requires_grad=False, strides=strides, type=INT64)
    if x.requires_grad:
        tape.save(x, indices)
    return y


def record_adaptive_maxima(tape: Tape, x: Tensor, y_shape: Shape) -> Tensor:
    """`record_maxima`; torch has no kernel that gives those of volumes another layout."""
    strides = contiguous_strides(y_shape) if len(y_shape) == 5 else None
    return record_maxima(tape, x, y_shape, strides)


def record_means(tape: Tape, x: Tensor, y_shape: Shape) -> Tensor:
    """The means; torch has no kernel that gives those of volumes another layout."""
    if x.requires_grad:
        tape.save(x)
    strides = plane_layout(x, y_shape) if len(y_shape) < 5 else None
    return tape.new(y_shape, requires_grad=x.requires_grad, strides=strides)


class SlidingPooling(Pooling):
    """Pooling over windows of a given size; the stride is the kernel size unless given."""

    kernel_size: PositiveInt | tuple[PositiveInt, ...]
    stride: PositiveInt | tuple[PositiveInt, ...] | None = None

    def slide(
        self,
        x: Shape,
        *,
        padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        ceil_mode: bool,
    ) -> Shape:
        """The shape of the pooled `x`. Raises `Refusal` where a window does not fit."""
        expect_rank(x, self.spatial + 2, unbatched=self.spatial + 1)
        given = (self.kernel_size, self.stride or self.kernel_size, padding, dilation)
        sizes = []
        for what, size, kernel, step, pad, apart in zip(
            SPATIAL_AXES[-self.spatial :],
            x[2:],
            *(each(value, self.spatial) for value in given),
            strict=True,
        ):
            if pad > kernel // 2:
                raise Refusal(
                    f"padding {pad} is more than half the kernel size {kernel}",
                    code=Code.ARGUMENT,
                    expected=f"at most {kernel // 2}",
                    found=str(pad),
                )
            # Of the first window's elements those before the input are padding.
            expect_reached(size, -pad % apart, what)
            sizes.append(
                window(
                    size,
                    kernel,
                    stride=step,
                    padding=pad,
                    dilation=apart,
                    ceil_mode=ceil_mode,
                    what=what,
                )
            )
        return (*x[:2], *sizes)

    def expect_whole_windows(self, x: Shape) -> None:
        """Refuse windows longer than the input, which torch does for means over volumes."""
        for axis, size, kernel in zip(
            SPATIAL_AXES[-self.spatial :], x[2:], each(self.kernel_size, self.spatial), strict=True
        ):
            expect_at_least(size, kernel, f"{axis} (under a window of {kernel})")


class WindowPooling(SlidingPooling):
    """Pooling over windows of an input with a margin."""

    padding: NonNegativeInt | tuple[NonNegativeInt, ...] = 0

    @classmethod
    def instead(cls, argument: str, word: str, given: Mapping[str, Any]) -> str | None:
        if (argument, word) != ("padding", "same"):
            return "write `padding: 0`" if (argument, word) == ("padding", "valid") else None
        try:
            op = cls(**{**given, "padding": 0})
        except ArgumentsError:
            return "write the padding as a number"
        kernels, dilations = (
            each(value, cls.spatial) for value in (op.kernel_size, getattr(op, "dilation", 1))
        )
        padding = [
            min(dilation * (kernel - 1) // 2, kernel // 2)
            for kernel, dilation in zip(kernels, dilations, strict=True)
        ]
        return f"write `padding: {once_or_each(padding)}`"


class MaxPooling(WindowPooling):
    """The largest value of each window."""

    dilation: PositiveInt | tuple[PositiveInt, ...] = 1
    ceil_mode: bool = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.slide(
            inputs[0], padding=self.padding, dilation=self.dilation, ceil_mode=self.ceil_mode
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        if self.spatial == 1 and not x.requires_grad:  # a kernel of its own, without positions
            return tape.new(y_shape, requires_grad=False)
        return record_maxima(tape, x, y_shape)


class AvgPooling(WindowPooling):
    """The mean of each window."""

    ceil_mode: bool = False
    count_include_pad: bool = True

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        y = self.slide(x, padding=self.padding, ceil_mode=self.ceil_mode)
        if self.spatial == 3:
            self.expect_whole_windows(x)
        return y

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return record_means(tape, x, self.infer(x.shape))


class MaxPool2d(MaxPooling, name="max_pool2d", primary="kernel_size"):
    """The largest value of each window: (N, C, H, W) to (N, C, H', W')."""

    kernel_size: Pair
    stride: Pair | None = None
    padding: PairOrZero = 0
    dilation: Pair = 1

    module = "torch.nn.MaxPool2d"
    function = "torch.nn.functional.max_pool2d"
    examples = (
        Example({"kernel_size": 2}, inputs=[("N", 3, 8, 7)]),
        Example({"kernel_size": 3, "stride": 2, "padding": 1}, inputs=[("N", 3, 9, 8)]),
        Example(
            {"kernel_size": (3, 2), "stride": 2, "dilation": (2, 1), "ceil_mode": True},
            inputs=[("N", 2, 8, 9)],
        ),
    )


class AvgPool2d(AvgPooling, name="avg_pool2d", primary="kernel_size"):
    """The mean of each window: (N, C, H, W) to (N, C, H', W')."""

    kernel_size: Pair
    stride: Pair | None = None
    padding: PairOrZero = 0
    divisor_override: PositiveInt | None = None

    module = "torch.nn.AvgPool2d"
    function = "torch.nn.functional.avg_pool2d"
    examples = (
        Example({"kernel_size": 2}, inputs=[("N", 3, 8, 7)]),
        Example(
            {"kernel_size": 3, "stride": (1, 2), "padding": 1, "count_include_pad": False},
            inputs=[("N", 3, 6, 6)],
        ),
        Example(
            {"kernel_size": 2, "stride": 3, "ceil_mode": True, "divisor_override": 3},
            inputs=[("N", 2, 7, 9)],
        ),
    )


class AdaptivePooling(Pooling):
    """Pooling to a given output size; a null entry keeps the input's size of that axis."""

    output_size: PositiveInt | tuple[PositiveInt | None, ...]

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, self.spatial + 2, unbatched=self.spatial + 1)
        return (*x[:2], *self.sizes(x))

    def sizes(self, x: Shape) -> Shape:
        """The output's sizes after the channels."""
        wanted: tuple[int | None, ...] = each(self.output_size, self.spatial)
        return tuple(
            own if size is None else size
            for own, size in zip(x[-self.spatial :], wanted, strict=False)
        )


class AdaptiveAveraging(AdaptivePooling):
    """Means over windows that cover the input evenly."""

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        is_whole = self.sizes(x) == (1,) * self.spatial
        return global_mean(x, self.spatial) if is_whole else super().infer(x)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        if self.sizes(x.shape) == (1,) * self.spatial:
            return record_global_mean(tape, x, self.spatial)
        return record_means(tape, x, y_shape)


class AdaptiveMaxima(AdaptivePooling):
    """Maxima over windows that cover the input evenly."""

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return record_adaptive_maxima(tape, inputs[0], self.infer(inputs[0].shape))


class AdaptiveAvgPool2d(AdaptiveAveraging, name="adaptive_avg_pool2d", primary="output_size"):
    """Means over windows that cover the input evenly: (N, C, H, W) to (N, C, *output_size).

    Where each window is the whole, torch takes the mean of the last two axes at any higher rank.
    """

    output_size: OutputSize

    module = "torch.nn.AdaptiveAvgPool2d"
    function = "torch.nn.functional.adaptive_avg_pool2d"
    examples = (
        Example({"output_size": 3}, inputs=[("N", 2, 7, 5)]),
        Example({"output_size": (None, 2)}, inputs=[("N", 2, 7, 5)]),
        Example({"output_size": 1}, inputs=[("N", 2, 4, 4)]),
    )


class AdaptiveMaxPool2d(AdaptiveMaxima, name="adaptive_max_pool2d", primary="output_size"):
    """Maxima over windows that cover the input evenly: (N, C, H, W) to (N, C, *output_size)."""

    output_size: OutputSize

    module = "torch.nn.AdaptiveMaxPool2d"
    function = "torch.nn.functional.adaptive_max_pool2d"
    examples = AdaptiveAvgPool2d.examples


class GlobalAveraging(Pooling):
    """The mean of each channel."""

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return global_mean(x, self.spatial)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return record_global_mean(tape, inputs[0], self.spatial)

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"output_size": 1}


class GlobalAvgPool2d(GlobalAveraging, name="global_avg_pool2d"):
    """The mean over the last two axes: (N, C, H, W) to (N, C, 1, 1), the mean of each channel."""

    module = "torch.nn.AdaptiveAvgPool2d"
    examples = (Example(inputs=[("N", 3, 5, 4)]),)


def global_mean(x: Shape, spatial: int) -> Shape:
    """The shape of means over the last axes, of which torch takes several at any higher rank."""
    if len(x) < spatial + 2 or spatial == 1:
        # torch would run some of these too, the batch taken for an axis of one image.
        expect_rank(x, spatial + 2, unbatched=min(len(x), spatial + 1))
    return (*x[:-spatial], *(1 for _ in range(spatial)))


def record_global_mean(tape: Tape, x: Tensor, spatial: int) -> Tensor:
    """torch takes a plain mean here, whose gradient needs no more than the input's sizes."""
    y_shape = global_mean(x.shape, spatial)
    # Only where nothing stands between batch and channels does it keep the input's layout.
    strides = plane_layout(x, y_shape) if len(y_shape) == spatial + 2 else None
    return tape.new(y_shape, requires_grad=x.requires_grad, strides=strides)
