"""Parts of a tensor, margins around it, and its elements moved along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Bounds
from archspec.ir.op import MAX_SIZE, Example, Float, NonNegativeInt, PositiveInt, ProductFree
from archspec.ir.shape import Shape, each, keep_batch, own_axis, replaced, sample, show, sliced
from archspec.ir.tape import (
    Tape,
    Tensor,
    channels_last_strides,
    contiguous_strides,
    empty_like,
    layout_of,
)
from archspec.ir.types import EVERY, INT64, ValueType

Position = Annotated[int, Bounds(ge=-MAX_SIZE, le=MAX_SIZE)]


class Slice(ProductFree, name="slice"):
    """Every `step`-th index of an axis from `start` up to `end`, as Python counts them.

    Negative positions count from the end; `end: null` is the end.
    """

    dim: int
    start: Position = 0
    end: Position | None = None
    step: PositiveInt = 1

    takes = EVERY
    takes_unbatched = True
    follows = True
    examples = (
        Example({"dim": 1, "end": 1}, inputs=[("N", 5, 6)]),
        Example({"dim": -1, "start": 1, "step": 2}, inputs=[("N", 3, 4, 7)]),
        Example({"dim": 2, "start": -3, "end": -1}, inputs=[("N", 2, 6)]),
        Example({"dim": 0, "start": 2}, inputs=[(6, 2)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        dim = own_axis(self.dim, x)
        return replaced(x, dim, sliced(x[dim], self.start, self.end, self.step))

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        dim = self.dim % len(x.shape)
        return x.viewed(self.infer(x.shape), replaced(x.strides, dim, x.strides[dim] * self.step))

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        end = "" if self.end is None else self.end
        part = f"{self.start}:{end}:{self.step}"
        whole = [":"] * (self.dim if self.dim >= 0 else -1 - self.dim)
        index = [*whole, part] if self.dim >= 0 else ["...", part, *whole]
        return f"{values[0]}[{', '.join(index)}]"


class Pad(ProductFree, name="pad", primary="pad"):
    """A margin of `value` around the last axes, in the order of torch.nn.functional.pad.

    `pad` holds the widths before and after the last axis, then those of the axis before it, ...
    Around integers `value` is a whole number, and around truth values it is 0 or 1.
    """

    pad: tuple[NonNegativeInt, ...]
    value: Float = 0.0

    takes = EVERY
    takes_unbatched = True
    follows = True
    examples = (
        Example({"pad": (1, 2)}, inputs=[("N", 3, 4)]),
        Example({"pad": (0, 0, 0, 1, 2, 0), "value": 0.5}, inputs=[("N", 3, 4, 2)]),
        Example({"pad": (0, 0)}, inputs=[("N", 3, 4, 2)]),
        Example({"pad": (0, 1, 2, 0)}, inputs=[(3, 4)]),
        Example({"pad": (2, 1), "value": 7}, inputs=[("N", 4)], types=[INT64]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if len(self.pad) % 2 or len(self.pad) > 2 * len(x):
            raise Refusal(
                f"{show(self.pad)} does not give two widths for each of the last axes of {show(x)}",
                code=Code.RANK,
                expected=f"an even number of widths, at most {2 * len(sample(x))}",
                found=str(len(self.pad)),
            )
        sizes = list(x)
        for count, (before, after) in enumerate(self._margins(), start=1):
            if count <= len(sample(x)):
                sizes[-count] += before + after
            elif before or after:
                keep_batch(-count, len(x))  # refuses it
        return tuple(sizes)

    def result_type(self, *types: ValueType) -> ValueType:
        (kind,) = types
        if kind.is_float or not any(self.pad):
            return kind
        most = 1 if kind.name == "bool" else MAX_SIZE
        least = 0 if kind.name == "bool" else -MAX_SIZE
        if not (self.value.is_integer() and least <= self.value <= most):
            raise Refusal(
                f"a margin of {self.value:g} around values of the type {kind.name}",
                code=Code.DTYPE,
                expected=f"a whole number from {least} to {most} as `value`",
                found=f"{self.value:g}",
                help="put `to: float` before it, if they are to be floats",
            )
        if kind.below is None or self.value < 0:
            return kind._replace(below=None)
        return kind._replace(below=max(kind.below, int(self.value) + 1))

    def _margins(self) -> zip[tuple[int, int]]:
        """The widths before and after each axis, the last axis first."""
        return zip(self.pad[::2], self.pad[1::2], strict=True)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not any(self.pad):
            return empty_like(tape, x, requires_grad=x.requires_grad)
        shape = self.infer(x.shape)
        strides = layout_of(x, shape)
        return tape.new(shape, requires_grad=x.requires_grad, strides=strides, type=x.type)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        (x,) = values
        return f"torch.nn.functional.pad({x}, {list(self.pad)}, value={self.value!r})"


class Roll(ProductFree, name="roll"):
    """Moves the elements along `dims` by `shifts`; what leaves at one end enters at the other."""

    shifts: Position | Annotated[tuple[Position, ...], Bounds(min_length=1)]
    dims: int | Annotated[tuple[int, ...], Bounds(min_length=1)]

    takes = EVERY
    takes_unbatched = True
    follows = True
    examples = (
        Example({"shifts": 1, "dims": 2}, inputs=[("N", 3, 4)]),
        Example({"shifts": -1, "dims": 0}, inputs=[(3, 4)]),
        Example({"shifts": (-2, -1), "dims": (1, 2)}, inputs=[("N", 4, 5, 3)]),
        Example({"shifts": (0, 7), "dims": (-1, 1)}, inputs=[("N", 4, 5, 3)]),
        Example({"shifts": 1, "dims": 0}, inputs=[(4, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        for dim in self._dims():
            own_axis(dim, x)
        if len(self._shifts()) != len(self._dims()):
            raise Refusal(
                f"{len(self._shifts())} shifts do not go with {len(self._dims())} dims",
                expected="one shift for each dim",
                found=f"{show(self._shifts())} and {show(self._dims())}",
            )
        return x

    def _shifts(self) -> tuple[int, ...]:
        return each(self.shifts, 1)

    def _dims(self) -> tuple[int, ...]:
        return each(self.dims, 1)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        for shift, dim in zip(self._shifts(), self._dims(), strict=True):
            x = _rolled(tape, x, shift, dim % len(x.shape))
        return x

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"torch.roll({values[0]}, {self._shifts()}, {self._dims()})"


def _rolled(tape: Tape, x: Tensor, shift: int, dim: int) -> Tensor:
    """torch concatenates the two parts; the result is channels-last where both of them look so."""
    wrapped = shift % x.shape[dim]
    parts = [
        x.viewed(replaced(x.shape, dim, s), x.strides) for s in (wrapped, x.shape[dim] - wrapped)
    ]
    strides = contiguous_strides(x.shape)
    if all(part.numel and part.prefers_channels_last for part in parts):
        strides = channels_last_strides(x.shape)
    return tape.new(x.shape, requires_grad=x.requires_grad, strides=strides, type=x.type)
