"""Pooling over one axis and three, of the largest values of channels, and by powers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Example, Float, NonNegativeInt, PositiveInt
from archspec.ir.shape import Shape, expect_rank
from archspec.ir.tape import Tape, Tensor, elementwise
from archspec.ops.pool import (
    AdaptiveAveraging,
    AdaptiveMaxima,
    AvgPooling,
    GlobalAveraging,
    MaxPooling,
    Pair,
    Pooling,
    SlidingPooling,
    record_adaptive_maxima,
    record_means,
)

One: TypeAlias = PositiveInt | tuple[PositiveInt]
OneOrZero: TypeAlias = NonNegativeInt | tuple[NonNegativeInt]
Triple: TypeAlias = PositiveInt | tuple[PositiveInt, PositiveInt, PositiveInt]
TripleOrZero: TypeAlias = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
OutputSizes: TypeAlias = (
    PositiveInt | tuple[PositiveInt | None, PositiveInt | None, PositiveInt | None]
)


class MaxPool1d(MaxPooling, name="max_pool1d", primary="kernel_size"):
    """The largest value of each window: (N, C, L) to (N, C, L')."""

    kernel_size: One
    stride: One | None = None
    padding: OneOrZero = 0
    dilation: One = 1

    since = "0.2"
    spatial = 1
    gives_images = False
    module = "torch.nn.MaxPool1d"
    function = "torch.nn.functional.max_pool1d"
    examples = (
        Example({"kernel_size": 2}, inputs=[("N", 3, 8)]),
        Example({"kernel_size": 3, "stride": 2, "padding": 1}, inputs=[("N", 3, 8)]),
        Example(
            {"kernel_size": (3,), "stride": 2, "dilation": (2,), "ceil_mode": True},
            inputs=[("N", 3, 8)],
        ),
    )


class AvgPool1d(AvgPooling, name="avg_pool1d", primary="kernel_size"):
    """The mean of each window: (N, C, L) to (N, C, L')."""

    kernel_size: One
    stride: One | None = None
    padding: OneOrZero = 0

    since = "0.2"
    spatial = 1
    gives_images = False
    module = "torch.nn.AvgPool1d"
    function = "torch.nn.functional.avg_pool1d"
    examples = (
        Example({"kernel_size": 2}, inputs=[("N", 3, 8)]),
        Example(
            {"kernel_size": (3,), "stride": 1, "padding": 1, "count_include_pad": False},
            inputs=[("N", 3, 8)],
        ),
        Example({"kernel_size": 2, "stride": 3, "ceil_mode": True}, inputs=[("N", 3, 8)]),
    )


class MaxPool3d(MaxPooling, name="max_pool3d", primary="kernel_size"):
    """The largest value of each window: (N, C, D, H, W) to (N, C, D', H', W')."""

    kernel_size: Triple
    stride: Triple | None = None
    padding: TripleOrZero = 0
    dilation: Triple = 1

    since = "0.2"
    spatial = 3
    module = "torch.nn.MaxPool3d"
    function = "torch.nn.functional.max_pool3d"
    examples = (
        Example({"kernel_size": 2}, inputs=[("N", 2, 4, 6, 5)]),
        Example({"kernel_size": 3, "stride": 2, "padding": 1}, inputs=[("N", 2, 4, 6, 5)]),
        Example(
            {"kernel_size": (3, 2, 2), "stride": 2, "dilation": (1, 2, 1), "ceil_mode": True},
            inputs=[("N", 2, 4, 6, 5)],
        ),
    )


class AvgPool3d(AvgPooling, name="avg_pool3d", primary="kernel_size"):
    """The mean of each window: (N, C, D, H, W) to (N, C, D', H', W')."""

    kernel_size: Triple
    stride: Triple | None = None
    padding: TripleOrZero = 0
    divisor_override: PositiveInt | None = None

    since = "0.2"
    spatial = 3
    module = "torch.nn.AvgPool3d"
    function = "torch.nn.functional.avg_pool3d"
    examples = (
        Example({"kernel_size": 2}, inputs=[("N", 2, 4, 6, 5)]),
        Example(
            {"kernel_size": (3, 2, 2), "stride": 1, "padding": 1, "count_include_pad": False},
            inputs=[("N", 2, 4, 6, 5)],
        ),
        Example(
            {"kernel_size": 2, "stride": 3, "ceil_mode": True, "divisor_override": 3},
            inputs=[("N", 2, 4, 6, 5)],
        ),
    )


class AdaptiveAvgPool1d(AdaptiveAveraging, name="adaptive_avg_pool1d", primary="output_size"):
    """Means over windows that cover the input evenly: (N, C, L) to (N, C, *output_size)."""

    output_size: One

    since = "0.2"
    spatial = 1
    gives_images = False
    module = "torch.nn.AdaptiveAvgPool1d"
    function = "torch.nn.functional.adaptive_avg_pool1d"
    examples = (
        Example({"output_size": 3}, inputs=[("N", 3, 8)]),
        Example({"output_size": (2,)}, inputs=[("N", 3, 8)]),
        Example({"output_size": 1}, inputs=[("N", 3, 8)]),
    )


class AdaptiveMaxPool1d(AdaptiveMaxima, name="adaptive_max_pool1d", primary="output_size"):
    """Maxima over windows that cover the input evenly: (N, C, L) to (N, C, *output_size)."""

    output_size: One

    since = "0.2"
    spatial = 1
    gives_images = False
    module = "torch.nn.AdaptiveMaxPool1d"
    function = "torch.nn.functional.adaptive_max_pool1d"
    examples = AdaptiveAvgPool1d.examples


class AdaptiveAvgPool3d(AdaptiveAveraging, name="adaptive_avg_pool3d", primary="output_size"):
    """Means over windows that cover the input evenly: (N, C, D, H, W) to (N, C, *output_size).

    Where each window is the whole, torch takes the mean of the last three axes at any higher rank.
    """

    output_size: OutputSizes

    since = "0.2"
    spatial = 3
    module = "torch.nn.AdaptiveAvgPool3d"
    function = "torch.nn.functional.adaptive_avg_pool3d"
    examples = (
        Example({"output_size": 3}, inputs=[("N", 2, 4, 6, 5)]),
        Example({"output_size": (2, None, 1)}, inputs=[("N", 2, 4, 6, 5)]),
        Example({"output_size": 1}, inputs=[("N", 2, 4, 6, 5)]),
    )


class AdaptiveMaxPool3d(AdaptiveMaxima, name="adaptive_max_pool3d", primary="output_size"):
    """Maxima over windows that cover a volume evenly, as many as `output_size` says."""

    output_size: OutputSizes

    since = "0.2"
    spatial = 3
    module = "torch.nn.AdaptiveMaxPool3d"
    function = "torch.nn.functional.adaptive_max_pool3d"
    examples = AdaptiveAvgPool3d.examples


class GlobalAvgPool1d(GlobalAveraging, name="global_avg_pool1d"):
    """The mean over the last axis: (N, C, L) to (N, C, 1), the mean of each channel."""

    since = "0.2"
    spatial = 1
    gives_images = False
    module = "torch.nn.AdaptiveAvgPool1d"
    examples = (Example(inputs=[("N", 3, 8)]),)


class GlobalAvgPool3d(GlobalAveraging, name="global_avg_pool3d"):
    """The mean over the last three axes: (N, C, D, H, W) to (N, C, 1, 1, 1)."""

    since = "0.2"
    spatial = 3
    module = "torch.nn.AdaptiveAvgPool3d"
    examples = (Example(inputs=[("N", 2, 4, 6, 5)]),)


class _GlobalMaxima(Pooling):
    """The largest value of each channel."""

    since = "0.2"

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, self.spatial + 2, unbatched=self.spatial + 1)
        return (*x[:2], *(1 for _ in range(self.spatial)))

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return record_adaptive_maxima(tape, inputs[0], self.infer(inputs[0].shape))

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"output_size": 1}


class GlobalMaxPool1d(_GlobalMaxima, name="global_max_pool1d"):
    """The largest value over the last axis: (N, C, L) to (N, C, 1)."""

    spatial = 1
    gives_images = False
    module = "torch.nn.AdaptiveMaxPool1d"
    examples = (Example(inputs=[("N", 3, 8)]),)


class GlobalMaxPool2d(_GlobalMaxima, name="global_max_pool2d"):
    """The largest value over the last two axes: (N, C, H, W) to (N, C, 1, 1)."""

    spatial = 2
    module = "torch.nn.AdaptiveMaxPool2d"
    examples = (Example(inputs=[("N", 3, 5, 4)]),)


class GlobalMaxPool3d(_GlobalMaxima, name="global_max_pool3d"):
    """The largest value over the last three axes: (N, C, D, H, W) to (N, C, 1, 1, 1)."""

    spatial = 3
    module = "torch.nn.AdaptiveMaxPool3d"
    examples = (Example(inputs=[("N", 2, 4, 6, 5)]),)


class _PowerPooling(SlidingPooling):
    """The root of the sum of powers of each window, of the degree `norm_type`."""

    norm_type: Float
    ceil_mode: bool = False

    since = "0.2"

    def infer(self, *inputs: Shape) -> Shape:
        if self.norm_type == 0:
            raise Refusal(
                "there is no root of degree 0",
                code=Code.ARGUMENT,
                expected="a norm_type other than 0",
                found="0",
            )
        (x,) = inputs
        y = self.slide(x, ceil_mode=self.ceil_mode)
        if self.spatial == 3:
            self.expect_whole_windows(x)
        return y

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if x.requires_grad:
            tape.save(x)
        means = record_means(tape, elementwise(tape, x), self.infer(x.shape))
        sign, size = elementwise(tape, means), elementwise(tape, elementwise(tape, means))
        sums = elementwise(tape, elementwise(tape, sign, size))
        if x.requires_grad:
            tape.save(means, sign, size, sums)
        return elementwise(tape, sums)


class LPPool1d(_PowerPooling, name="lp_pool1d"):
    """The root of the sum of powers of each window: (N, C, L) to (N, C, L')."""

    kernel_size: PositiveInt
    stride: PositiveInt | None = None

    spatial = 1
    gives_images = False
    module = "torch.nn.LPPool1d"
    function = "torch.nn.functional.lp_pool1d"
    examples = (
        Example({"norm_type": 2, "kernel_size": 2}, inputs=[("N", 3, 8)]),
        Example(
            {"norm_type": 4, "kernel_size": 3, "stride": 2, "ceil_mode": True}, inputs=[("N", 3, 8)]
        ),
    )


class LPPool2d(_PowerPooling, name="lp_pool2d"):
    """The root of the sum of powers of each window: (N, C, H, W) to (N, C, H', W')."""

    kernel_size: Pair
    stride: Pair | None = None

    spatial = 2
    module = "torch.nn.LPPool2d"
    function = "torch.nn.functional.lp_pool2d"
    examples = (
        Example({"norm_type": 2, "kernel_size": 2}, inputs=[("N", 3, 5, 4)]),
        Example(
            {"norm_type": 4, "kernel_size": (3, 2), "stride": 2, "ceil_mode": True},
            inputs=[("N", 3, 5, 4)],
        ),
    )


class LPPool3d(_PowerPooling, name="lp_pool3d"):
    """The root of the sum of powers of each window: (N, C, D, H, W) to (N, C, D', H', W')."""

    kernel_size: Triple
    stride: Triple | None = None

    spatial = 3
    module = "torch.nn.LPPool3d"
    function = "torch.nn.functional.lp_pool3d"
    examples = (
        Example({"norm_type": 2, "kernel_size": 2}, inputs=[("N", 2, 4, 6, 5)]),
        Example(
            {"norm_type": 4, "kernel_size": (2, 3, 2), "stride": 2, "ceil_mode": True},
            inputs=[("N", 2, 4, 6, 5)],
        ),
    )
