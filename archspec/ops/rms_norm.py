"""Normalisation by the root of the mean square."""

from __future__ import annotations

from archspec.ir.op import Doubt, Example, NonNegativeFloat, Weight, Weights
from archspec.ir.shape import Shape, product, show
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
        last = _permuted(x, order)
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
        return _permuted(y, tuple(order.index(dim) for dim in range(len(order))))


def _permuted(x: Tensor, order: tuple[int, ...]) -> Tensor:
    return x.viewed(tuple(x.shape[dim] for dim in order), tuple(x.strides[dim] for dim in order))
