"""Pooling over windows of (N, C, H, W), of given sizes or chosen to reach an output size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.op import Example, NonNegativeInt, PositiveInt, ProductFree
from archspec.ir.shape import Shape, each, expect_rank, expect_reached, once_or_each, window
from archspec.ir.tape import Tape, Tensor, layout_of
from archspec.ir.types import INT64

Pair: TypeAlias = PositiveInt | tuple[PositiveInt, PositiveInt]
PairOrZero: TypeAlias = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt]
OutputSize: TypeAlias = PositiveInt | tuple[PositiveInt | None, PositiveInt | None]


class _Pooling(ProductFree):
    any_rank = True
    follows = True
    gives_images = True


def _record_maxima(tape: Tape, x: Tensor, y_shape: Shape) -> Tensor:
    strides = layout_of(x, y_shape)
    y = tape.new(y_shape, requires_grad=x.requires_grad, strides=strides)
    indices = tape.new(y_shape, requires_grad=False, strides=strides, type=INT64)
    if x.requires_grad:
        tape.save(x, indices)
    return y


def _record_means(tape: Tape, x: Tensor, y_shape: Shape) -> Tensor:
    if x.requires_grad:
        tape.save(x)
    return tape.new(y_shape, requires_grad=x.requires_grad, strides=layout_of(x, y_shape))


class _WindowPooling(_Pooling):
    """Pooling over windows of a given size; the stride is the kernel size unless given."""

    kernel_size: Pair
    stride: Pair | None = None
    padding: PairOrZero = 0

    @classmethod
    def instead(cls, argument: str, word: str, given: Mapping[str, Any]) -> str | None:
        if (argument, word) != ("padding", "same"):
            return "write `padding: 0`" if (argument, word) == ("padding", "valid") else None
        try:
            op = cls(**{**given, "padding": 0})
        except ArgumentsError:
            return "write the padding as a number"
        kernels, dilations = each(op.kernel_size, 2), each(getattr(op, "dilation", 1), 2)
        padding = [
            min(dilation * (kernel - 1) // 2, kernel // 2)
            for kernel, dilation in zip(kernels, dilations, strict=True)
        ]
        return f"write `padding: {once_or_each(padding)}`"

    def _slide(self, x: Shape, dilation: Pair, ceil_mode: bool) -> Shape:
        expect_rank(x, 4, unbatched=3)
        given = (self.kernel_size, self.stride or self.kernel_size, self.padding, dilation)
        sizes = []
        for what, size, kernel, step, pad, apart in zip(
            ("height", "width"), x[2:], *(each(value, 2) for value in given), strict=True
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


class MaxPool2d(_WindowPooling, name="max_pool2d", primary="kernel_size"):
    """The largest value of each window: (N, C, H, W) to (N, C, H', W')."""

    dilation: Pair = 1
    ceil_mode: bool = False

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

    def infer(self, *inputs: Shape) -> Shape:
        return self._slide(inputs[0], self.dilation, self.ceil_mode)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return _record_maxima(tape, x, self.infer(x.shape))


class AvgPool2d(_WindowPooling, name="avg_pool2d", primary="kernel_size"):
    """The mean of each window: (N, C, H, W) to (N, C, H', W')."""

    ceil_mode: bool = False
    count_include_pad: bool = True
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

    def infer(self, *inputs: Shape) -> Shape:
        return self._slide(inputs[0], 1, self.ceil_mode)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return _record_means(tape, x, self.infer(x.shape))


class _AdaptivePooling(_Pooling):
    """Pooling to a given output size; a null entry keeps the input's size of that axis."""

    output_size: OutputSize

    examples = (
        Example({"output_size": 3}, inputs=[("N", 2, 7, 5)]),
        Example({"output_size": (None, 2)}, inputs=[("N", 2, 7, 5)]),
        Example({"output_size": 1}, inputs=[("N", 2, 4, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, 4, unbatched=3)
        return (*x[:2], *self._sizes(x))

    def _sizes(self, x: Shape) -> Shape:
        wanted: tuple[int | None, ...] = each(self.output_size, 2)
        return tuple(
            own if size is None else size for own, size in zip(x[-2:], wanted, strict=False)
        )


class AdaptiveAvgPool2d(_AdaptivePooling, name="adaptive_avg_pool2d", primary="output_size"):
    """Means over windows that cover the input evenly: (N, C, H, W) to (N, C, *output_size).

    Where each window is the whole, torch takes the mean of the last two axes at any higher rank.
    """

    module = "torch.nn.AdaptiveAvgPool2d"
    function = "torch.nn.functional.adaptive_avg_pool2d"

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return _global_mean(x) if self._sizes(x) == (1, 1) else super().infer(x)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        if y_shape[-2:] == (1, 1):
            return _record_global_mean(tape, x)
        return _record_means(tape, x, y_shape)


class AdaptiveMaxPool2d(_AdaptivePooling, name="adaptive_max_pool2d", primary="output_size"):
    """Maxima over windows that cover the input evenly: (N, C, H, W) to (N, C, *output_size)."""

    module = "torch.nn.AdaptiveMaxPool2d"
    function = "torch.nn.functional.adaptive_max_pool2d"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return _record_maxima(tape, x, self.infer(x.shape))


class GlobalAvgPool2d(_Pooling, name="global_avg_pool2d"):
    """The mean over the last two axes: (N, C, H, W) to (N, C, 1, 1), the mean of each channel."""

    module = "torch.nn.AdaptiveAvgPool2d"
    examples = (Example(inputs=[("N", 3, 5, 4)]),)

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return _global_mean(x)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return _record_global_mean(tape, inputs[0])

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"output_size": 1}


def _global_mean(x: Shape) -> Shape:
    if len(x) < 4:
        # torch would run 3-D and 2-D input too, the batch taken for an axis of one image.
        expect_rank(x, 4, unbatched=len(x))
    return (*x[:-2], 1, 1)


def _record_global_mean(tape: Tape, x: Tensor) -> Tensor:
    """torch takes a plain mean here, whose gradient needs no more than the input's sizes."""
    y_shape = _global_mean(x.shape)
    # Only for images does the kernel restore the layout of its input.
    strides = layout_of(x, y_shape) if len(y_shape) == 4 else None
    return tape.new(y_shape, requires_grad=x.requires_grad, strides=strides)
