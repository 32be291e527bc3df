"""Weight norm and spectral norm: weights computed from other tensors, as torch does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.fields import Bounds
from archspec.ir.op import NonNegativeFloat, NonNegativeInt, Op, Weight, Weights
from archspec.ir.parametrized import Keys, Parametrization
from archspec.ir.shape import Shape, product, show
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import FLOAT, WIDE


class WeightNorm(Parametrization):
    """A magnitude times a direction: `g * v / ||v||`, the norm over all axes but `dim`.

    Salimans and Kingma (arXiv 1602.07868). `dim: null` is one magnitude for the whole weight.
    """

    dim: NonNegativeInt | None = 0
    keys: Keys = "new"

    op_name = "weight_norm"
    attaches = "archspec.runtime.parametrized.weight_norm"

    def check(self, name: str, shape: Shape, op: type[Op]) -> None:
        _check_dim(self.dim, name, shape)

    def owned(self, name: str, shape: Shape, op: type[Op]) -> Weights:
        tensors = (self._magnitudes(shape), shape)
        if self.keys == "old":
            return tuple(
                [Weight(name + end, t) for end, t in zip(("_g", "_v"), tensors, strict=True)]
            )
        start = new_key(name)
        return tuple([Weight(f"{start}.original{i}", tensor) for i, tensor in enumerate(tensors)])

    def _magnitudes(self, shape: Shape) -> Shape:
        if self.dim is None:
            return ()
        return tuple([size if axis == self.dim else 1 for axis, size in enumerate(shape)])

    def compute(self, tape: Tape, shape: tuple[int, ...], op: type[Op]) -> Tensor:
        learns = not tape.frozen
        magnitudes = tuple(map(int, self._magnitudes(shape)))
        fused = self.dim is not None and self.dim in (0, len(shape) - 1)
        kind = WIDE if fused else FLOAT
        kept = [tape.new(magnitudes, requires_grad=learns, type=kind)]
        if not fused:
            kept.append(tape.new(magnitudes, requires_grad=learns))
            # The norm is of the axis in front, which is a copy unless nothing stands before it.
            if self.dim is not None and _moves(shape, self.dim):
                kept.append(tape.new(shape, requires_grad=learns))
        if learns:
            tape.save(*kept)
        return tape.new(shape, requires_grad=learns)


class SpectralNorm(Parametrization):
    """The weight divided by its largest singular value, estimated by power iterations.

    Miyato et al. (arXiv 1802.05957). The weight is read as a matrix whose rows are counted by
    `dim`: by default its outputs. In training each pass makes `n_power_iterations`.
    """

    n_power_iterations: Annotated[int, Bounds(gt=0, le=1000)] = 1
    eps: NonNegativeFloat = 1e-12
    dim: NonNegativeInt | None = None
    keys: Keys = "new"

    op_name = "spectral_norm"
    attaches = "archspec.runtime.parametrized.spectral_norm"

    def _dim(self, op: type[Op]) -> int:
        return op.output_dim if self.dim is None else self.dim

    def check(self, name: str, shape: Shape, op: type[Op]) -> None:
        _check_dim(self._dim(op), name, shape)
        if len(shape) < 2:
            raise Refusal(
                f"its {name} is a vector, {show(shape)}, and spectral_norm is that of a matrix",
                code=Code.STRUCTURE,  # torch would divide by the length of the vector
                expected="a weight of two axes or more",
                found=show(shape),
                help="write `weight_norm: {dim: null}` to learn its norm apart",
            )

    def owned(self, name: str, shape: Shape, op: type[Op]) -> Weights:
        rows = shape[self._dim(op)]
        columns = product(shape) // rows
        if self.keys == "old":
            keys = [name + end for end in ("_orig", "_u", "_v")]
        else:
            keys = [f"{new_key(name)}.{end}" for end in ("original", "0._u", "0._v")]
        vectors = [
            Weight(key, (size,), True) for key, size in zip(keys[1:], (rows, columns), strict=True)
        ]
        return (Weight(keys[0], shape), *vectors)

    def compute(self, tape: Tape, shape: tuple[int, ...], op: type[Op]) -> Tensor:
        learns = not tape.frozen
        rows = shape[self._dim(op)]
        sigma = tape.new((), requires_grad=learns)
        if learns:
            tape.save(sigma)
        if learns and (tape.training or self.keys == "new"):  # copies: training changes the vectors
            vectors = ((rows,), (math.prod(shape) // rows,))
            tape.save(*[tape.new(size, requires_grad=False) for size in vectors])
        return tape.new(shape, requires_grad=learns)

    def inferred_for(self, op: type[Op]) -> Mapping[str, Any]:
        return {"dim": self._dim(op)}


PARAMETRIZATIONS: dict[str, type[Parametrization]] = {
    kind.op_name: kind for kind in (WeightNorm, SpectralNorm)
}
"""All of them, by the words of a spec."""


def new_key(name: str) -> str:
    """Where torch's `parametrize` puts the tensors of a weight: `parametrizations.weight`."""
    holder, _, last = name.rpartition(".")
    return f"{holder}.parametrizations.{last}" if holder else f"parametrizations.{last}"


def _moves(shape: tuple[int, ...], dim: int) -> bool:
    """Whether exchanging an axis with the first one needs a copy to be row-major."""
    x = Tensor(shape, tapes.contiguous_strides(shape), tapes.Storage(0), requires_grad=False)
    order = [dim if axis == 0 else 0 if axis == dim else axis for axis in range(len(shape))]
    return not x.permuted(order).is_contiguous


def _check_dim(dim: int | None, name: str, shape: Shape) -> None:
    if dim is not None and dim >= len(shape):
        raise Refusal(
            f"its {name} has {len(shape)} axes, and `dim` is {dim}",
            code=Code.ARGUMENT,
            expected=f"at most {len(shape) - 1}: the axes of {show(shape)} are counted from 0"
            if shape
            else "a weight with axes",
            found=str(dim),
        )
