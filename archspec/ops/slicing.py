"""Parts of a tensor, margins around it, and its elements moved along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Bounds
from archspec.ir.op import MAX_SIZE, Example, Float, PositiveInt, ProductFree
from archspec.ir.shape import (
    Dim,
    Shape,
    each,
    expect_at_least,
    keep_batch,
    own_axis,
    replaced,
    sample,
    show,
    sliced,
)
from archspec.ir.tape import (
    Tape,
    Tensor,
    channels_last_strides,
    contiguous_strides,
    empty_like,
    layout_of,
)
from archspec.ir.types import BOOL, EVERY, INT64, ValueType

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
    """A margin around the last axes, in the order of torch.nn.functional.pad.

    `pad` holds the widths before and after the last axis, then those of the axis before it, ...; a
    width below 0 cuts off. The margin is `value`, or made of the input's own elements: `reflect`
    mirrors them, `replicate` repeats the outermost, `circular` goes on at the other end. Those
    modes pad all axes after N, or all after the channels, up to three. Around integers `value` is a
    whole number, and around truth values it is 0 or 1.
    """

    pad: tuple[Position, ...]
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant"
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
        Example({"pad": (-1, 2, -1, -1)}, inputs=[("N", 3, 4, 5)]),
        Example({"pad": (2, 1), "mode": "circular"}, inputs=[("N", 3, 4)], types=[BOOL]),
        Example({"pad": (1, 1, 2, -1), "mode": "reflect"}, inputs=[("N", 3, 4, 5)]),
        Example({"pad": (1, 1, 0, 2, 1, 0), "mode": "replicate"}, inputs=[("N", 2, 3, 4, 5)]),
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
        if self.mode != "constant":
            self._check_mode(x)
        sizes = list(x)
        for count, (before, after) in enumerate(self._margins(), start=1):
            if count <= len(sample(x)):
                self._check_margin(before, after, sizes[-count], len(x) - count)
                sizes[-count] += before + after
            elif before or after:
                keep_batch(-count, len(x))  # refuses it
        return tuple(sizes)

    def _check_mode(self, x: Shape) -> None:
        """Refuses what torch's margins of own elements do not know."""
        axes = len(self.pad) // 2
        if not 1 <= axes <= 3 or not 1 <= len(x) - axes <= 2:
            counts = [count for count in (len(x) - 2, len(x) - 1) if 1 <= count <= 3]
            raise Refusal(
                f"mode {self.mode!r} pads {axes} axes of {show(x)}",
                code=Code.RANK,
                expected="two widths for each axis but the first or the first two, of up to three",
                found=str(len(self.pad)),
                help=f"`pad` may have {' or '.join(str(2 * each) for each in counts)} widths"
                if counts
                else None,
            )
        if self.value:
            raise Refusal(
                f"mode {self.mode!r} has no value for its margin",
                code=Code.ARGUMENT,
                expected="a value with mode 'constant' alone",
                found=f"{self.value:g}",
            )

    def _check_margin(self, before: int, after: int, size: Dim, dim: int) -> None:
        """Refuses widths that leave nothing of an axis, or ask for more than it has."""
        # Each question about widths that follow sizes splits the contract: none sets 0 apart.
        most = max(before, after) if self.mode in ("reflect", "circular") else 0
        if self.mode == "reflect":
            expect_at_least(size, most + 1, f"dim {dim} (mode 'reflect' with a width of {most})")
        elif self.mode == "circular":
            expect_at_least(size, most, f"dim {dim} (mode 'circular' with a width of {most})")
        kept = size + sum([width for width in (before, after) if width < 0])
        # torch would repeat memory that nothing was written to.
        least = max(most, 1) if self.mode == "circular" else 1
        if kept < least:
            raise Refusal(
                f"{kept} of {size} elements of dim {dim} would be left to make a margin of"
                if least > 1
                else f"nothing would be left of the {size} elements of dim {dim}",
                code=Code.EMPTY,
                expected=f"at least {least}",
                found=show((before, after)),
            )

    def result_type(self, *types: ValueType) -> ValueType:
        (kind,) = types
        if self.mode != "constant":
            if kind.name == "bool" and self.mode != "circular":
                raise Refusal(
                    f"torch has no mode {self.mode!r} for truth values",
                    code=Code.DTYPE,
                    expected="float, int64 or int32",
                    found="bool",
                    help="put `to: int64` before it, or write `mode: circular`",
                )
            return kind
        if kind.is_float or max(self.pad, default=0) <= 0:
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
        shape = self.infer(x.shape)
        if self.mode == "constant" and max(self.pad, default=0) <= 0:
            return empty_like(tape, x.viewed(shape, x.strides), requires_grad=x.requires_grad)
        if self.mode in ("reflect", "replicate") and x.requires_grad:
            tape.save(x)
        strides = None if self.mode == "circular" else layout_of(x, shape)
        return tape.new(shape, requires_grad=x.requires_grad, strides=strides, type=x.type)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        (x,) = values
        margin = [f"mode={self.mode!r}"] if self.mode != "constant" else []
        if self.mode == "constant" or self.value:
            margin.append(f"value={self.value!r}")
        return f"torch.nn.functional.pad({x}, {list(self.pad)}, {', '.join(margin)})"


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
