"""Normalisations that most networks do without, and so need not load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archspec.ir.op import (
    Doubt,
    Example,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    ProductFree,
    Weight,
    Weights,
)
from archspec.ir.shape import Shape, expect_rank_from, product, show
from archspec.ir.tape import Tape, Tensor, elementwise, empty_like, layout_of, require_grad
from archspec.ir.types import WIDE
from archspec.ops.norm import OverAxes


class RMSNorm(OverAxes, name="rms_norm"):
    """Divides each sample by its root mean square over `axes` (Zhang and Sennrich, 2019).

    `axes` are those of `layer_norm`: by default the last one, and N counts as 0. The learned scale
    has their sizes. `eps: null` is the distance from 1 to the next float of the precision.
    """

    eps: NonNegativeFloat | None = None
    elementwise_affine: bool = True

    since = "0.2"
    family = "RMSNorm"
    examples = (
        Example(inputs=[("N", 4, 7)]),
        Example({"axes": (-2, -1), "eps": 1e-6}, inputs=[("N", 3, 4, 5)]),
        Example({"axes": (1,)}, inputs=[("N", 3, 4, 5)]),
        Example({"elementwise_affine": False}, inputs=[("N", 6)]),
        Example(inputs=[(3, 6)]),
    )

    def doubt(self, *inputs: Shape) -> Doubt | None:
        (x,) = inputs
        if product(self._sizes(x)) != 1:
            return None
        return Doubt(
            f"rms_norm of one value of {show(x)} at a time leaves its sign alone",
            "say with `axes` what to normalise over, or remove it",
        )

    def weights(self, *inputs: Shape) -> Weights:
        return (Weight("weight", self._sizes(inputs[0])),) if self.elementwise_affine else ()

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        kept, axes = self._split(x.shape)
        order = (*kept, *axes)
        last = x.permuted(order)
        # Computed in float32 where floats are shorter; a copy of the input is kept then.
        wide = last
        if tape.is_short:
            wide = empty_like(tape, last._replace(type=WIDE), requires_grad=x.requires_grad)
        statistics = (*(x.shape[dim] for dim in kept), *(1 for _ in axes))
        inverse = tape.new(statistics, requires_grad=x.requires_grad, type=WIDE)
        normed = elementwise(tape, wide, inverse, type=WIDE)
        if x.requires_grad:
            tape.save(wide, inverse)
        weights = tape.weights(*["weight"] * self.elementwise_affine)
        if require_grad(*weights):
            tape.save(normed)
        if x.requires_grad:
            tape.save(*weights)
        y = tape.new(
            last.shape,
            requires_grad=require_grad(x, *weights),
            strides=layout_of(normed, normed.shape),
        )
        return y.permuted([order.index(dim) for dim in range(len(order))])


class BatchNormScratchOp(ProductFree, name="batch_norm_scratch"):
    """`gamma * (x - mean) / sqrt(var + eps) + beta` for each channel, with biased variance.

    Over the batch for 2-D input, over batch, height and width for 4-D input: always over all axes
    but the channels' (Zhang et al., Dive into Deep Learning, section 8.5). The moving statistics
    start at zero, follow `momentum * moving + (1 - momentum) * batch` (`momentum` is the share
    that stays, unlike torch's) and take the place of the batch's in evaluation.
    """

    eps: PositiveFloat = 1e-5
    momentum: Probability = 0.9

    module = "archspec.runtime.modules.BatchNormScratch"
    blind_to_offsets = True
    own_weights = True
    examples = (
        Example(inputs=[("N", 6)]),
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"eps": 0.001, "momentum": 0.5}, inputs=[("N", 3, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank_from(2, x)
        return x

    def weights(self, *inputs: Shape) -> Weights:
        (x,) = inputs
        shape = (1, x[1], *(1 for _ in x[2:]))
        return (
            Weight("gamma", shape),
            Weight("beta", shape),
            Weight("moving_mean", shape, buffer=True),
            Weight("moving_var", shape, buffer=True),
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        owned = tape.parameter((1, x.shape[1], *(1 for _ in x.shape[2:])))  # gamma, or beta
        if tape.training:
            mean = tape.new(owned.shape, requires_grad=x.requires_grad)
            centred = elementwise(tape, x, mean)
            tape.follows(centred, x, mean, norm=True)
            squares = elementwise(tape, centred)
            variance = tape.new(owned.shape, requires_grad=squares.requires_grad)
            deviation = elementwise(tape, elementwise(tape, variance))
        else:
            centred = elementwise(tape, x, owned._replace(requires_grad=False))  # the buffer
            tape.follows(centred, x, norm=True)
            deviation = tape.new(owned.shape, requires_grad=False)
        if deviation.requires_grad:
            tape.save(centred)  # for the squares, and for the quotient
        if centred.requires_grad:
            tape.save(deviation)
        normalised = elementwise(tape, centred, deviation)
        tape.follows(normalised, centred, deviation)
        if owned.requires_grad:
            tape.save(normalised)
        y = elementwise(tape, elementwise(tape, owned, normalised), owned)
        tape.follows(y, normalised)
        return y

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        (x,) = inputs
        return {"num_features": x[1], "rank": len(x)}
