"""Normalisation by the root of the mean square."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Annotated

from archspec.diagnostics.diagnostic import Refusal
from archspec.ir.fields import Bounds
from archspec.ir.op import Doubt, Example, NonNegativeFloat, ShapeKeeping, Weight, Weights
from archspec.ir.shape import Shape, own_axis, product, show
from archspec.ir.tape import Tape, Tensor, elementwise, layout_of, require_grad
from archspec.ir.types import WIDE

if TYPE_CHECKING:
    from torch import nn


class RMSNorm(ShapeKeeping, name="rms_norm"):
    """Divides each sample by its root mean square over `axes` (Zhang and Sennrich, 2019).

    `axes` are those of `layer_norm`: by default the last one, and N counts as 0. The learned scale
    has their sizes. `eps: null` is the distance from 1 to the next float of the precision.
    """

    axes: Annotated[tuple[int, ...], Bounds(min_length=1)] = (-1,)
    eps: NonNegativeFloat | None = None
    elementwise_affine: bool = True

    since = "0.2"
    takes_unbatched = True
    examples = (
        Example(inputs=[("N", 4, 7)]),
        Example({"axes": (-2, -1), "eps": 1e-6}, inputs=[("N", 3, 4, 5)]),
        Example({"axes": (1,)}, inputs=[("N", 3, 4, 5)]),
        Example({"elementwise_affine": False}, inputs=[("N", 6)]),
        Example(inputs=[(3, 6)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        self._split(x)
        return x

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
        wide = _in_float32(tape, last) if tape.is_short else last
        statistics = (*(x.shape[dim] for dim in kept), *(1 for _ in axes))
        inverse = tape.new(statistics, requires_grad=x.requires_grad, type=WIDE)
        normed = _in_float32(tape, last)
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

    def module_key(self, *inputs: Shape) -> Hashable:
        (x,) = inputs
        _, axes = self._split(x)
        return self._sizes(x), axes[0] == len(x) - len(axes) or (axes, len(x))

    def build(self, *inputs: Shape) -> nn.Module:
        from torch import nn

        from archspec.runtime.modules import RMSNormOver

        (x,) = inputs
        _, axes = self._split(x)
        sizes = self._sizes(x)
        if axes[0] == len(x) - len(axes):
            return nn.RMSNorm(list(sizes), self.eps, self.elementwise_affine)
        return RMSNormOver(axes, len(x), sizes, self.eps, self.elementwise_affine)

    def _sizes(self, x: Shape) -> Shape:
        return tuple(x[dim] for dim in self._split(x)[1])

    def _split(self, x: Shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The axes that stay apart, N first, and those normalised over, in ascending order."""
        axes = tuple(sorted(own_axis(dim, x) for dim in self.axes))
        if len(set(axes)) < len(axes):
            raise Refusal(f"axes {show(self.axes)} name one axis twice", expected="different axes")
        return tuple(dim for dim in range(len(x)) if dim not in axes), axes


def _in_float32(tape: Tape, x: Tensor) -> Tensor:
    """A new tensor that is laid out as a function of the elements of `x`."""
    like = elementwise(tape, x)
    return tape.new(x.shape, requires_grad=x.requires_grad, strides=like.strides, type=WIDE)


def _permuted(x: Tensor, order: tuple[int, ...]) -> Tensor:
    return x.viewed(tuple(x.shape[dim] for dim in order), tuple(x.strides[dim] for dim in order))
