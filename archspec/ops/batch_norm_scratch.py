"""Batch normalisation written out by hand, as the course text teaches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archspec.ir.op import Example, PositiveFloat, Probability, ProductFree, Weight, Weights
from archspec.ir.shape import Shape, expect_rank_from
from archspec.ir.tape import Tape, Tensor, elementwise


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
