"""Resampling of the axes after the channels: (N, C, L), (N, C, H, W) and (N, C, D, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Bounds
from archspec.ir.op import MAX_SIZE, Example, PositiveInt, ProductFree
from archspec.ir.shape import Dim, Shape, each, expect_positive, expect_rank, product, scaled
from archspec.ir.tape import Tape, Tensor, layout_of, plane_layout

Factor: TypeAlias = Annotated[float, Bounds(gt=0, le=MAX_SIZE)]
Sizes: TypeAlias = (
    PositiveInt
    | tuple[PositiveInt]
    | tuple[PositiveInt, PositiveInt]
    | tuple[PositiveInt, PositiveInt, PositiveInt]
)
Factors: TypeAlias = Factor | tuple[Factor] | tuple[Factor, Factor] | tuple[Factor, Factor, Factor]

RANKS = {
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
    "trilinear": (5,),
}
"""The input ranks that each mode works on, N included."""

ALIGNED_MODES = ("linear", "bilinear", "bicubic", "trilinear")
"""The modes that know `align_corners`."""


class _Resize(ProductFree):
    """To a given `size`, or by `scale_factor`: exactly one of the two."""

    size: Sizes | None = None
    scale_factor: Factors | None = None
    mode: Literal[
        "nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact"
    ] = "nearest"
    align_corners: bool | None = None

    any_rank = True
    follows = True
    sized_like = "size"
    examples = (
        Example({"scale_factor": 2}, inputs=[("N", 3, 4, 5)]),
        Example({"size": 7, "mode": "linear"}, inputs=[("N", 3, 4)]),
        Example(
            {"size": (6, 9), "mode": "bilinear", "align_corners": True}, inputs=[("N", 3, 4, 5)]
        ),
        Example(
            {"scale_factor": (0.5, 1.5), "mode": "bicubic", "align_corners": False},
            inputs=[("N", 2, 6, 5)],
        ),
        Example({"size": (3, 3), "mode": "area"}, inputs=[("N", 2, 8, 6)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        self._check_arguments()
        expect_rank(x, *RANKS[self.mode])
        spatial = len(x) - 2
        given = self.scale_factor if self.size is None else self.size
        if isinstance(given, tuple) and len(given) != spatial:
            raise Refusal(
                f"{len(given)} values are given for {spatial} axes after the channels",
                expected=f"one value, or {spatial}",
                found=str(given),
            )
        return (*x[:2], *self._output_sizes(x))

    def _check_arguments(self) -> None:
        if (self.size is None) == (self.scale_factor is None):
            raise Refusal(
                f"{self.op_name} needs either size or scale_factor", code=Code.MISSING_ARGUMENT
            )
        if self.align_corners is not None and self.mode not in ALIGNED_MODES:
            raise Refusal(
                f"mode {self.mode!r} knows no align_corners",
                code=Code.ARGUMENT,
                expected=f"align_corners only with {', '.join(ALIGNED_MODES)}",
                found=str(self.align_corners),
            )

    def _output_sizes(self, x: Shape) -> tuple[Dim, ...]:
        spatial = len(x) - 2
        if self.size is not None:
            return each(self.size, spatial)
        assert self.scale_factor is not None
        factors = each(self.scale_factor, spatial)
        return tuple(
            expect_positive(scaled(size, factor), f"size {size} scaled by {factor}")
            for size, factor in zip(x[2:], factors, strict=True)
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y_shape = self.infer(x.shape)
        if self.mode == "area":
            return _record_area(tape, x, y_shape)
        return tape.new(y_shape, requires_grad=x.requires_grad, strides=layout_of(x, y_shape))


def _record_area(tape: Tape, x: Tensor, y_shape: Shape) -> Tensor:
    """As adaptive pooling: to a single element it is a mean, which saves nothing."""
    single = product(y_shape[2:]) == 1
    if x.requires_grad and not single:
        tape.save(x)
    strides: tuple[int, ...] | None = plane_layout(x, y_shape)
    if len(x.shape) == 5 and not single:  # the volumetric kernel knows no other layout
        strides = None
    return tape.new(y_shape, requires_grad=x.requires_grad, strides=strides)


class Upsample(_Resize, name="upsample"):
    """Resizes by interpolation, as the module `torch.nn.Upsample`.

    `like: stem` in the place of `size` gives it the sizes of the value `stem`.
    """

    module = "torch.nn.Upsample"
    function = "torch.nn.functional.interpolate"


class Interpolate(_Resize, name="interpolate"):
    """Resizes by interpolation, as a call of `torch.nn.functional.interpolate`.

    `like: stem` in the place of `size` gives it the sizes of the value `stem`.
    """

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        given = ("size", "scale_factor", "mode", "align_corners")
        arguments = [f"{key}={value!r}" for key, value in self.arguments().items() if key in given]
        return f"torch.nn.functional.interpolate({', '.join([*values, *arguments])})"
