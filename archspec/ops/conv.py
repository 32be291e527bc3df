"""Convolutions. Sizes follow `torch.nn.Conv2d` and its kin; input channels are inferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError, Bounds
from archspec.ir.op import Example, NonNegativeInt, Op, PositiveInt, Weight, Weights
from archspec.ir.shape import (
    SPATIAL_AXES,
    Dim,
    Shape,
    divide,
    each,
    expect_at_least,
    expect_positive,
    expect_rank,
    once_or_each,
    product,
    window,
)
from archspec.ir.tape import Tape, Tensor, as_plane, contiguous, layout_of, require_grad

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]

Stride: TypeAlias = Annotated[int, Bounds(gt=0, le=2**20)]
"""Bounded, since oneDNN cannot run the gradient of a convolution with strides near 2**31."""

TransposedStride: TypeAlias = Annotated[int, Bounds(gt=0, le=2**12)]
"""Bounded, since the memory that oneDNN takes grows with the product of the strides."""


def _layout(x: Tensor, y_shape: Shape) -> tuple[int, ...]:
    """Strides of a result: torch makes the input dense in its format, then asks it again."""
    return layout_of(_dense(x), y_shape)


def _dense(x: Tensor) -> Tensor:
    if x.is_channels_last if x.prefers_channels_last else x.is_contiguous:
        return x
    return x.viewed(x.shape, layout_of(x, x.shape))


def _save(tape: Tape, x: Tensor, bias: bool) -> bool:
    """Saves what a convolution keeps; whether its result requires a gradient.

    Its three gradients are computed by one function, for which all is kept.
    """
    weights = tape.weights("weight", *["bias"] * bias)
    learns = require_grad(x, *weights)
    if learns:
        tape.save(x, weights[0])
    return learns


class _AnyConvolution(Op):
    """What convolutions of both directions share."""

    kernels = ("weight",)
    bias_axis = 1
    spatial: ClassVar[int]

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"in_channels": inputs[0][1]}

    def _axes(self) -> tuple[str, ...]:
        return SPATIAL_AXES[-self.spatial :]

    def _layout(self, tape: Tape, x: Tensor, y_shape: Shape) -> tuple[int, ...]:
        """Strides of the result. torch runs one axis as two, on a row-major input."""
        if self.spatial > 1:
            return _layout(x, y_shape)
        strides = _layout(as_plane(contiguous(tape, x)), (*y_shape[:2], 1, y_shape[2]))
        return (*strides[:2], strides[3])


class Convolution(_AnyConvolution):
    """What convolutions over any number of axes share; subclasses narrow the tuples."""

    out_channels: PositiveInt
    kernel_size: PositiveInt | tuple[PositiveInt, ...]
    stride: Stride | tuple[Stride, ...] = 1
    padding: NonNegativeInt | tuple[NonNegativeInt, ...] | Literal["same", "valid"] = 0
    dilation: PositiveInt | tuple[PositiveInt, ...] = 1
    groups: PositiveInt = 1
    bias: bool = True
    padding_mode: PaddingMode = "zeros"

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, self.spatial + 2)
        divide(x[1], self.groups, "input channels by groups", self.out_channels)
        divide(self.out_channels, self.groups, "out_channels by groups", x[1])
        return (x[0], self.out_channels, *self._output_sizes(x))

    def _output_sizes(self, x: Shape) -> list[Dim]:
        stride = each(self.stride, self.spatial)
        if self.padding == "same" and any(step != 1 for step in stride):
            raise Refusal(
                "padding 'same' needs stride 1",
                code=Code.ARGUMENT,
                expected="stride 1",
                found=str(self.stride),
                help=f"write `padding: {self._centred()}`: each size is then divided by its stride",
            )
        for (before, after), size, axis in zip(self._pads(), x[2:], self._axes(), strict=True):
            self._check_padding(max(before, after), size, axis)
        if self.padding == "same":
            return list(x[2:])
        return [
            window(size, kernel, stride=step, padding=before, dilation=dilation, what=axis)
            for size, kernel, step, (before, _), dilation, axis in zip(
                x[2:],
                each(self.kernel_size, self.spatial),
                stride,
                self._pads(),
                each(self.dilation, self.spatial),
                self._axes(),
                strict=True,
            )
        ]

    def _check_padding(self, pad: int, size: Dim, axis: str) -> None:
        """Padding made of the input's own elements is bounded by the input."""
        if self.padding_mode == "reflect":
            expect_at_least(size, pad + 1, f"{axis} (padding_mode 'reflect' with padding {pad})")
        elif self.padding_mode == "circular":
            expect_at_least(size, pad, f"{axis} (padding_mode 'circular' with padding {pad})")

    def _pads(self) -> list[tuple[int, int]]:
        """Padding before and after each spatial axis; 'same' puts the odd one after."""
        if self.padding == "valid":
            return [(0, 0)] * self.spatial
        if self.padding == "same":
            reaches = [
                dilation * (kernel - 1)
                for kernel, dilation in zip(
                    each(self.kernel_size, self.spatial),
                    each(self.dilation, self.spatial),
                    strict=True,
                )
            ]
            return [(reach // 2, reach - reach // 2) for reach in reaches]
        return [(pad, pad) for pad in each(self.padding, self.spatial)]

    def _centred(self) -> str:
        """The padding, as wide on both sides, that keeps the sizes where the stride is 1."""
        return once_or_each([before for before, _ in self._pads()])

    def weights(self, *inputs: Shape) -> Weights:
        (x,) = inputs
        kernel = each(self.kernel_size, self.spatial)
        weight = Weight("weight", (self.out_channels, x[1] // self.groups, *kernel))
        return (weight, Weight("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        kernel = product(each(self.kernel_size, self.spatial))
        return product(outputs[0][1:]) * kernel * (inputs[0][1] // self.groups)

    def with_weights(
        self, values: Sequence[str], weights: Mapping[str, str], inputs: Sequence[Shape]
    ) -> str:
        if self.padding_mode != "zeros":
            raise Refusal(
                f"with `padding_mode: {self.padding_mode}` it takes no other tensors as weights",
                code=Code.STRUCTURE,
                help="put `pad` before it",
            )
        tensors = [*values, weights["weight"], weights.get("bias", "None")]
        names = ("stride", "padding", "dilation", "groups")
        said = [f"{name}={getattr(self, name)!r}" for name in names]
        return f"torch.nn.functional.conv{self.spatial}d({', '.join([*tensors, *said])})"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        x = self._padded(tape, x)
        learns = _save(tape, x, self.bias)
        return tape.new(y_shape, requires_grad=learns, strides=self._layout(tape, x, y_shape))

    def _padded(self, tape: Tape, x: Tensor) -> Tensor:
        """The copy with its margin, where the kernel cannot pad by itself.

        It pads zeros by equal widths; of an uneven 'same' padding torch adds the odd ones first.
        """
        margins = [before + after for before, after in self._pads()]
        if self.padding_mode == "zeros":
            margins = [after - before for before, after in self._pads()]
            if not any(margins):
                return x
        elif self.padding_mode != "circular" and x.requires_grad:
            tape.save(x)
        spatial = (size + margin for size, margin in zip(x.shape[2:], margins, strict=True))
        shape = (*x.shape[:2], *spatial)
        strides = None if self.padding_mode == "circular" else layout_of(x, shape)
        return tape.new(shape, requires_grad=x.requires_grad, strides=strides)


class Conv1d(Convolution, name="conv1d"):
    """Convolution over one axis: (N, C, L) to (N, out_channels, L')."""

    kernel_size: PositiveInt | tuple[PositiveInt]
    stride: Stride | tuple[Stride] = 1
    padding: NonNegativeInt | tuple[NonNegativeInt] | Literal["same", "valid"] = 0
    dilation: PositiveInt | tuple[PositiveInt] = 1

    module = "torch.nn.Conv1d"
    spatial = 1
    examples = (
        Example({"out_channels": 4, "kernel_size": 3}, inputs=[("N", 2, 9)]),
        Example(
            {"out_channels": 4, "kernel_size": 4, "padding": "same", "groups": 2, "bias": False},
            inputs=[("N", 2, 9)],
        ),
    )


class Conv2d(Convolution, name="conv2d"):
    """Convolution over two axes: (N, C, H, W) to (N, out_channels, H', W')."""

    kernel_size: PositiveInt | tuple[PositiveInt, PositiveInt]
    stride: Stride | tuple[Stride, Stride] = 1
    padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt] | Literal["same", "valid"] = 0
    dilation: PositiveInt | tuple[PositiveInt, PositiveInt] = 1

    module = "torch.nn.Conv2d"
    spatial = 2
    gives_images = True
    examples = (
        Example({"out_channels": 4, "kernel_size": 3, "padding": 1}, inputs=[("N", 3, 8, 8)]),
        Example(
            {"out_channels": 6, "kernel_size": (1, 5), "stride": (2, 1), "groups": 3},
            inputs=[("N", 3, 7, 9)],
        ),
        Example(
            {"out_channels": 2, "kernel_size": 4, "dilation": 2, "padding": "same", "bias": False},
            inputs=[("N", 3, 8, 7)],
        ),
        Example(
            {"out_channels": 2, "kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
            inputs=[("N", 2, 6, 5)],
        ),
    )


class TransposedConvolution(_AnyConvolution):
    """What transposed convolutions over any number of axes share; subclasses narrow the tuples."""

    output_dim = 1

    out_channels: PositiveInt
    kernel_size: PositiveInt | tuple[PositiveInt, ...]
    stride: TransposedStride | tuple[TransposedStride, ...] = 1
    padding: NonNegativeInt | tuple[NonNegativeInt, ...] = 0
    output_padding: NonNegativeInt | tuple[NonNegativeInt, ...] = 0
    groups: PositiveInt = 1
    bias: bool = True
    dilation: PositiveInt | tuple[PositiveInt, ...] = 1

    @classmethod
    def instead(cls, argument: str, word: str, given: Mapping[str, Any]) -> str | None:
        if (argument, word) != ("padding", "same"):
            return "write `padding: 0`" if (argument, word) == ("padding", "valid") else None
        try:
            op = cls(**{**given, "padding": 0, "out_channels": 1})
        except ArgumentsError:
            return "write the padding as a number"
        # What the kernel reaches past the stride is cut off, by one more where that is odd.
        kernels, dilations = each(op.kernel_size, cls.spatial), each(op.dilation, cls.spatial)
        past = [
            dilation * (kernel - 1) + 1 - stride
            for kernel, stride, dilation in zip(
                kernels, each(op.stride, cls.spatial), dilations, strict=True
            )
        ]
        padding = [max(-(-size // 2), 0) for size in past]
        extra = [2 * pad - size for pad, size in zip(padding, past, strict=True)]
        grown = f", output_padding: {once_or_each(extra)}" if any(extra) else ""
        written = f"padding: {once_or_each(padding)}{grown}"
        return f"write `{written}`: each size is then multiplied by its stride"

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, self.spatial + 2)
        divide(x[1], self.groups, "input channels by groups", self.out_channels)
        divide(self.out_channels, self.groups, "out_channels by groups", x[1])
        sizes = [
            self._output_size(*values)
            for values in zip(
                self._axes(),
                x[2:],
                each(self.kernel_size, self.spatial),
                each(self.stride, self.spatial),
                each(self.padding, self.spatial),
                each(self.output_padding, self.spatial),
                each(self.dilation, self.spatial),
                strict=True,
            )
        ]
        return (x[0], self.out_channels, *sizes)

    @staticmethod
    def _output_size(
        axis: str, size: Dim, kernel: int, stride: int, padding: int, extra: int, dilation: int
    ) -> Dim:
        if extra >= max(stride, dilation):
            raise Refusal(
                f"output_padding {extra} of the {axis} is not below its stride or its dilation",
                code=Code.ARGUMENT,
                expected=f"at most {max(stride, dilation) - 1}",
                found=str(extra),
            )
        grown = (size - 1) * stride + dilation * (kernel - 1) + 1 + extra - 2 * padding
        return expect_positive(grown, f"{axis} of the output")

    def weights(self, *inputs: Shape) -> Weights:
        (x,) = inputs
        kernel = each(self.kernel_size, self.spatial)
        weight = Weight("weight", (x[1], self.out_channels // self.groups, *kernel))
        return (weight, Weight("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        kernel = product(each(self.kernel_size, self.spatial))
        return product(inputs[0][1:]) * kernel * (self.out_channels // self.groups)

    def with_weights(
        self, values: Sequence[str], weights: Mapping[str, str], inputs: Sequence[Shape]
    ) -> str:
        tensors = [*values, weights["weight"], weights.get("bias", "None")]
        names = ("stride", "padding", "output_padding", "groups", "dilation")
        said = [f"{name}={getattr(self, name)!r}" for name in names]
        return f"torch.nn.functional.conv_transpose{self.spatial}d({', '.join([*tensors, *said])})"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        learns = _save(tape, x, self.bias)
        return tape.new(y_shape, requires_grad=learns, strides=self._layout(tape, x, y_shape))


class ConvTranspose2d(TransposedConvolution, name="conv_transpose2d"):
    """Transposed convolution, the gradient of `conv2d`: grows (N, C, H, W) by its stride."""

    kernel_size: PositiveInt | tuple[PositiveInt, PositiveInt]
    stride: TransposedStride | tuple[TransposedStride, TransposedStride] = 1
    padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt] = 0
    output_padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt] = 0
    dilation: PositiveInt | tuple[PositiveInt, PositiveInt] = 1

    module = "torch.nn.ConvTranspose2d"
    spatial = 2
    gives_images = True
    examples = (
        Example({"out_channels": 2, "kernel_size": 2, "stride": 2}, inputs=[("N", 4, 5, 5)]),
        Example(
            {
                "out_channels": 4,
                "kernel_size": (3, 4),
                "stride": 2,
                "padding": 1,
                "output_padding": (1, 0),
                "groups": 2,
                "bias": False,
            },
            inputs=[("N", 6, 5, 4)],
        ),
    )
