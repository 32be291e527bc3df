"""Normalisations: batch, layer, group, instance and local response."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Bounds
from archspec.ir.op import (
    Doubt,
    Example,
    Float,
    Made,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Probability,
    ShapeKeeping,
    Weight,
    Weights,
)
from archspec.ir.shape import (
    Dim,
    Shape,
    divide,
    expect_rank,
    expect_rank_from,
    own_axis,
    product,
    show,
)
from archspec.ir.tape import (
    Tape,
    Tensor,
    contiguous,
    contiguous_strides,
    dense_layout,
    elementwise,
    layout_of,
    require_grad,
)
from archspec.ir.torch_version import torch_version
from archspec.ir.types import INT64
from archspec.sizes.size import known


class _ChannelNorm(ShapeKeeping):
    """Base of the norms whose statistics are kept; `family` is what their classes are called."""

    eps: NonNegativeFloat
    momentum: Probability | None
    affine: bool
    track_running_stats: bool

    family: ClassVar[str]
    blind_to_offsets = True

    def weights(self, *inputs: Shape) -> Weights:
        (x,) = inputs
        return _scale_and_shift((x[1],), self.affine) + _running(x[1], self.track_running_stats)

    def module_key(self, *inputs: Shape) -> Hashable:
        return self.module_path(*inputs), inputs[0][1]

    def module_path(self, *inputs: Shape) -> str:
        return f"torch.nn.{self.family}{max(len(inputs[0]) - 2, 1)}d"

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"num_features": inputs[0][1]}


class BatchNorm(_ChannelNorm, name="batch_norm"):
    """Normalises each channel over the batch and all positions (Ioffe and Szegedy, 2015).

    The rank chooses torch's class: 2-D and 3-D input `BatchNorm1d`, 4-D `BatchNorm2d`, 5-D
    `BatchNorm3d`. `momentum: null` averages all batches seen equally. Training needs more than
    one value per channel, which any batch of two or more has.
    """

    eps: PositiveFloat = 1e-5
    momentum: Probability | None = 0.1
    affine: bool = True
    track_running_stats: bool = True

    family = "BatchNorm"
    examples = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"eps": 0.001, "momentum": 0.01}, inputs=[("N", 6)]),
        Example({"affine": False}, inputs=[("N", 3, 5)]),
        Example({"momentum": None}, inputs=[("N", 3, 2, 4, 5)]),
        Example({"track_running_stats": False}, inputs=[("N", 3, 1, 1)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, 2, 3, 4, 5)
        return x

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        learns = require_grad(x, *_learned(tape, self.affine))
        y = tape.new(x.shape, requires_grad=learns, strides=dense_layout(x))
        if y.requires_grad:
            tape.save(x, *_learned(tape, self.affine)[:1])
            if tape.training or not self.track_running_stats:
                _save_new(tape, x.shape[1:2], count=2)  # mean and inverse deviation
        tape.follows(y, x, norm=True)
        return y


class InstanceNorm(_ChannelNorm, name="instance_norm"):
    """Normalises each channel of each sample over its positions (Ulyanov et al., 2016).

    The rank chooses torch's class: 3-D input `InstanceNorm1d`, 4-D `InstanceNorm2d`, 5-D
    `InstanceNorm3d`. A channel of a single position has no deviation and is refused. 2-D input,
    which torch would read as one unbatched sample, is refused because that mixes samples.
    """

    eps: NonNegativeFloat = 1e-5
    momentum: Probability = 0.1
    affine: bool = False
    track_running_stats: bool = False

    family = "InstanceNorm"
    examples = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"affine": True, "eps": 0.001}, inputs=[("N", 3, 5)]),
        Example({"track_running_stats": True}, inputs=[("N", 3, 2, 4, 5)]),
        Example({"affine": True, "track_running_stats": True}, inputs=[("N", 3, 4, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, 3, 4, 5, unbatched=2)
        if all(dim == 1 for dim in x[2:]):
            raise Refusal(
                "one position per channel leaves nothing to normalise",
                code=Code.SINGLE_VALUE,
                expected="more than one position after the channels",
                found=show(x),
            )
        return x

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        # torch runs batch_norm on (1, N * C, ...) with every per-channel vector repeated N times.
        x = contiguous(tape, x)
        y = tape.new(x.shape, requires_grad=require_grad(x, *_learned(tape, self.affine)))
        if y.requires_grad:
            tape.save(x)
            repeated = self.affine + 2 * self.track_running_stats
            statistics = 2 if tape.training or not self.track_running_stats else 0
            _save_new(tape, (x.shape[0] * x.shape[1],), count=repeated + statistics)
        return y


class OverAxes(ShapeKeeping):
    """Base of the norms of each sample over `axes`; `family` is what their classes are called."""

    axes: Annotated[tuple[int, ...], Bounds(min_length=1)] = (-1,)

    family: ClassVar[str]
    takes_unbatched = True

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        self._positions(x)
        return x

    def module_key(self, *inputs: Shape) -> Hashable:
        (x,) = inputs
        # torch's own module counts the axes from the last, whatever stands before them.
        return self._sizes(x), self._is_trailing(x) or (self._positions(x), len(x))

    def made(self, *inputs: Shape) -> Made:
        (x,) = inputs
        given = {key: value for key, value in vars(self).items() if key != "axes"}
        given["normalized_shape"] = self._sizes(x)
        if self._is_trailing(x):
            return Made(f"torch.nn.{self.family}", given)
        given |= {"axes": self._positions(x), "rank": len(x)}
        return Made(f"archspec.runtime.modules.{self.family}Over", given)

    def doubt_of_image(self, *inputs: Shape) -> Doubt | None:
        (x,) = inputs
        if self._positions(x) != (len(x) - 1,):
            return None
        whole = list(range(1, len(x)))
        return Doubt(
            f"{self.op_name} normalises the width of an image alone: the {x[-1]} pixels of each "
            f"row of {show(x)}",
            f"write `axes: [1]` for the {x[1]} channels of each pixel, or `axes: {whole}` for the "
            "whole image",
        )

    def _positions(self, x: Shape) -> tuple[int, ...]:
        """The axes from the front, in ascending order."""
        positions = sorted(own_axis(dim, x) for dim in self.axes)
        if len(set(positions)) < len(positions):
            raise Refusal(f"axes {show(self.axes)} name one axis twice", expected="different axes")
        return tuple(positions)

    def _sizes(self, x: Shape) -> Shape:
        """The sizes of the axes, which the learned tensors have."""
        return tuple(x[dim] for dim in self._positions(x))

    def _is_trailing(self, x: Shape) -> bool:
        axes = self._positions(x)
        return axes[0] == len(x) - len(axes)

    def _split(self, x: Shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The axes that stay apart, N first, and those normalised over."""
        axes = self._positions(x)
        return tuple(dim for dim in range(len(x)) if dim not in axes), axes


class LayerNorm(OverAxes, name="layer_norm"):
    """Normalises each sample over `axes`, by default the last one (Ba et al., 2016).

    `axes` counts N as 0 and may not name it. Trailing axes make torch's `LayerNorm`; others are
    viewed as the last ones first: `axes: [1]` on 4-D input is ConvNeXt's norm over channels.
    The learned scale and shift have the sizes of the axes, in the order of the input.
    """

    eps: NonNegativeFloat = 1e-5
    elementwise_affine: bool = True
    bias: bool = True

    family = "LayerNorm"
    examples = (
        Example(inputs=[("N", 4, 7)]),
        Example({"axes": (1,), "eps": 1e-6}, inputs=[("N", 3, 4, 5)]),
        Example({"axes": (-2, -1), "bias": False}, inputs=[("N", 3, 4, 5)]),
        Example({"axes": (1, 3)}, inputs=[("N", 3, 4, 5)]),
        Example({"elementwise_affine": False}, inputs=[("N", 6)]),
        Example(inputs=[(3, 6)]),
    )

    def doubt(self, *inputs: Shape) -> Doubt | None:
        (x,) = inputs
        if product(self._sizes(x)) != 1:
            return None
        learned = "its bias" if self.elementwise_affine and self.bias else "0"
        return Doubt(
            f"layer_norm normalises one value of {show(x)} at a time, which gives {learned} for "
            "any input",
            "say with `axes` what to normalise over, or remove it",
        )

    def weights(self, *inputs: Shape) -> Weights:
        return _scale_and_shift(self._sizes(inputs[0]), self.elementwise_affine, self.bias)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        kept, axes = self._split(x.shape)
        order = (*kept, *axes)
        row_major = contiguous_strides(tuple(x.shape[dim] for dim in order))
        strides = tuple(row_major[order.index(dim)] for dim in range(len(order)))
        learned = _learned(tape, self.elementwise_affine, self.bias)
        y = tape.new(x.shape, requires_grad=require_grad(x, *learned), strides=strides)
        if y.requires_grad:
            tape.save(x, *learned)
            _save_new(tape, tuple(x.shape[dim] for dim in kept), count=2)
        return y

    def with_weights(
        self, values: Sequence[str], weights: Mapping[str, str], inputs: Sequence[Shape]
    ) -> str:
        (x,) = inputs
        if not self._is_trailing(x):
            raise Refusal(
                "over axes that are not the last ones it takes no other tensors as weights",
                code=Code.STRUCTURE,
                help="put a `permute` before it and one behind it",
            )
        sizes = tuple(map(known, self._sizes(x)))
        scale, shift = weights["weight"], weights.get("bias", "None")
        return (
            f"torch.nn.functional.layer_norm({values[0]}, {sizes}, {scale}, {shift}, {self.eps!r})"
        )


class GroupNorm(ShapeKeeping, name="group_norm", primary="num_groups"):
    """Normalises each sample over groups of channels and all positions (Wu and He, 2018).

    A group of a single value has no deviation and is refused.
    """

    num_groups: PositiveInt
    eps: NonNegativeFloat = 1e-5
    affine: bool = True

    module = "torch.nn.GroupNorm"
    examples = (
        Example({"num_groups": 2}, inputs=[("N", 6, 4, 5)]),
        Example({"num_groups": 3, "affine": False}, inputs=[("N", 6)]),
        Example({"num_groups": 1, "eps": 0.001}, inputs=[("N", 6, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank_from(2, x)
        channels = divide(x[1], self.num_groups, "channels by num_groups")
        if all(dim == 1 for dim in (channels, *x[2:])):
            raise Refusal(
                "one value per group leaves nothing to normalise: torch gives the same for any "
                "input, and refuses a batch of one",
                code=Code.SINGLE_VALUE,
                expected="groups of several channels, or more than one position",
                found=f"{self.num_groups} groups of {show(x)}",
                help="write fewer groups, or normalise before the positions are pooled",
            )
        return x

    def weights(self, *inputs: Shape) -> Weights:
        (x,) = inputs
        return _scale_and_shift((x[1],), self.affine)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        learned = _learned(tape, self.affine)
        learns = require_grad(x, *learned)
        y = tape.new(x.shape, requires_grad=learns, strides=layout_of(x, x.shape))
        if y.requires_grad:
            tape.save(*learned[:1])
            as_it_is = x.is_contiguous or x.is_channels_last or torch_version() >= (2, 14)
            # Of a part of a tensor, torch kept until 2.13 the copy that its kernel reads.
            tape.save(x if as_it_is else tape.new(x.shape, requires_grad=x.requires_grad))
            _save_new(tape, (x.shape[0], self.num_groups), count=2)
        return y

    def module_key(self, *inputs: Shape) -> Hashable:
        return inputs[0][1]

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"num_channels": inputs[0][1]}

    def with_weights(
        self, values: Sequence[str], weights: Mapping[str, str], inputs: Sequence[Shape]
    ) -> str:
        arguments = [*values, str(self.num_groups), weights["weight"], weights["bias"]]
        return f"torch.nn.functional.group_norm({', '.join(arguments)}, {self.eps!r})"


class LocalResponseNorm(ShapeKeeping, name="local_response_norm", primary="size"):
    """Divides by `(k + alpha * mean of squares)^beta` over `size` neighbouring channels.

    Krizhevsky et al., 2012 (AlexNet), with torch's mean in place of the paper's sum.
    """

    size: PositiveInt
    alpha: Float = 1e-4
    beta: Float = 0.75
    k: Float = 1.0

    examples = (
        Example({"size": 5}, inputs=[("N", 6, 4, 5)]),
        Example({"size": 2, "alpha": 0.01, "beta": 0.5, "k": 2.0}, inputs=[("N", 6, 5)]),
        Example({"size": 3}, inputs=[("N", 4, 2, 3, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank_from(3, x)
        return x

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if len(x.shape) > 4:
            x = contiguous(tape, x)
        square = elementwise(tape, x, x)
        count, channels, *positions = x.shape
        padded = tape.new(
            (count, channels + self.size - 1, *positions), requires_grad=x.requires_grad
        )
        mean = tape.new(x.shape, requires_grad=x.requires_grad)
        shifted = elementwise(tape, elementwise(tape, mean))  # by alpha, then by k
        divisor = elementwise(tape, shifted)
        if square.requires_grad:
            tape.save(x, padded, shifted, divisor)
        return elementwise(tape, x, divisor)

    def module_key(self, *inputs: Shape) -> Hashable:
        return len(inputs[0]) > 4

    def module_path(self, *inputs: Shape) -> str:
        if len(inputs[0]) > 4:
            return "archspec.runtime.modules.RowMajorLocalResponseNorm"
        return "torch.nn.LocalResponseNorm"


def _scale_and_shift(shape: tuple[Dim, ...], affine: bool, bias: bool = True) -> Weights:
    both = (Weight("weight", shape), Weight("bias", shape))
    return both[: 1 + bias] if affine else ()


def _learned(tape: Tape, affine: bool, bias: bool = True) -> tuple[Tensor, ...]:
    """The scale and the shift, as autograd sees them."""
    return tape.weights("weight", "bias")[: 1 + bias] if affine else ()


def _running(channels: Dim, tracked: bool) -> Weights:
    if not tracked:
        return ()
    return (
        Weight("running_mean", (channels,), buffer=True),
        Weight("running_var", (channels,), buffer=True),
        Weight("num_batches_tracked", (), buffer=True, type=INT64),
    )


def _save_new(tape: Tape, shape: tuple[int, ...], count: int) -> None:
    """Statistics (or repeated vectors) that exist for the backward pass alone."""
    tape.save(*(tape.new(shape, requires_grad=False) for _ in range(count)))
