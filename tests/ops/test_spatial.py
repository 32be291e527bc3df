"""Pixels and windows between axes, sampling and dropout of channels, against torch and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torch_oracle import (
    accepts_as_torch,
    compare_record,
    is_accepted,
    one_or_each,
    real,
    shape,
    strided,
)

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import Shape, concrete
from archspec.ops.spatial import (
    Dropout1d,
    Dropout3d,
    Fold,
    GridSample,
    PixelShuffle,
    PixelUnshuffle,
    Unfold,
)

windows = {
    "kernel_size": one_or_each(st.integers(1, 3)),
    "dilation": one_or_each(st.integers(1, 2)),
    "padding": one_or_each(st.integers(0, 2)),
    "stride": one_or_each(st.integers(1, 2)),
}
images = st.builds(shape, st.sampled_from([1, 4, 8]), *[st.sampled_from([1, 2, 4, 5])] * 2)
one_input = (
    st.builds(PixelShuffle, upscale_factor=st.integers(1, 2))
    | st.builds(PixelUnshuffle, downscale_factor=st.integers(1, 2))
    | st.builds(Unfold, **windows)
)
FUNCTIONS: dict[type[Op], Any] = {
    PixelShuffle: F.pixel_shuffle,
    PixelUnshuffle: F.pixel_unshuffle,
    Unfold: F.unfold,
    Fold: F.fold,
}


def by_hand(op: Op) -> Any:
    return lambda x, **arguments: FUNCTIONS[type(op)](x, **arguments)


@settings(max_examples=100)
@given(one_input, images, st.data())
def test_calls_agree_with_torch(op: Op, x: Shape, data: st.DataObject) -> None:
    if accepts_as_torch(op, [x], by_hand(op)):
        tensor = data.draw(strided(concrete(x, 2)))
        assert torch.equal(real(op, [x])(tensor), by_hand(op)(tensor, **op.arguments()))
        compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


@settings(max_examples=60)
@given(st.builds(Unfold, **windows), images, st.integers(-1, 1))
def test_fold_takes_what_unfold_gives(op: Unfold, x: Shape, more: int) -> None:
    if not is_accepted(op, x):
        return
    back = Fold(output_size=(x[2], x[3]), **vars(op))
    ((_, elements, count),) = infer(op, [x])
    assert accepts_as_torch(back, [shape(elements, count)], by_hand(back))
    assert infer(back, [shape(elements, count)]) == (x,)
    compare_record(back, [shape(elements, count)], [torch.randn(2, elements, count)])
    if more and count + more > 0:
        assert not accepts_as_torch(back, [shape(elements, count + more)], by_hand(back))


def test_a_fold_of_windows_counts_each_pixel_once_a_window() -> None:
    x, sizes = torch.arange(9.0).reshape(1, 1, 3, 3), (3, 3)
    summed = real(Fold(output_size=sizes, kernel_size=2), [shape(4, 4)])(
        real(Unfold(kernel_size=2), [shape(1, 3, 3)])(x)
    )
    times = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    assert torch.equal(summed, x * times)


def test_pixels_are_made_of_the_channels_of_each_place() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    made = real(PixelShuffle(upscale_factor=2), [shape(4, 1, 1)])(x)
    assert made.tolist() == [[[[1.0, 2.0], [3.0, 4.0]]]]
    assert torch.equal(real(PixelUnshuffle(downscale_factor=2), [shape(1, 2, 2)])(made), x)


def test_a_grid_of_the_pixel_centres_gives_the_image() -> None:
    x = torch.randn(2, 3, 4, 5)
    rows, columns = torch.linspace(-1, 1, 4), torch.linspace(-1, 1, 5)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).expand(2, 4, 5, 2)
    same = real(GridSample(align_corners=True), [shape(3, 4, 5), shape(4, 5, 2)])(x, grid)
    torch.testing.assert_close(same, x)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("learns", [(True, False), (False, True), (False, False)])
def test_sampling_keeps_what_torch_keeps(mode: Any, learns: tuple[bool, bool]) -> None:
    op = GridSample(mode=mode)
    x, grid = torch.randn(2, 5, 4, 3).movedim(-1, 1), torch.randn(2, 2, 6, 2)
    inputs = [x.requires_grad_(learns[0]), grid.requires_grad_(learns[1])]
    compare_record(op, [shape(3, 5, 4), shape(2, 6, 2)], inputs)


@pytest.mark.parametrize(
    ("op", "inputs", "code", "message"),
    [
        (
            PixelShuffle(upscale_factor=2),
            [shape(6, 2, 2)],
            Code.SHAPE,
            "cannot divide channels by the square of upscale_factor: 6 is not a multiple of 4",
        ),
        (
            PixelUnshuffle(downscale_factor=2),
            [shape(2, 4)],
            Code.UNBATCHED,
            "needs 4-D input (N included), got 3-D",
        ),
        (
            Fold(output_size=(3, 3), kernel_size=2),
            [shape(4, 5)],
            Code.SHAPE,
            "windows on (3, 3) and those of the input: 4 and 5 differ",
        ),
        (
            GridSample(),
            [shape(3, 4, 5), shape(4, 5, 3)],
            Code.SHAPE,
            "numbers that name a place, and last axis of the grid: 2 and 3 differ",
        ),
        (
            GridSample(mode="bicubic"),
            [shape(3, 4, 5, 2), shape(4, 5, 2, 3)],
            Code.RANK,
            "mode 'bicubic' samples images alone",
        ),
        # torch would drop the channels of whole samples.
        (
            Dropout3d(),
            [shape(3, 4, 4)],
            Code.UNBATCHED,
            "needs 5-D input (N included), got 4-D",
        ),
        (Dropout1d(), [shape(3)], Code.UNBATCHED, "needs 3-D input (N included), got 2-D"),
    ],
)
def test_refusals_say_why(op: Op, inputs: list[Shape], code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, inputs)
    assert (refused.value.code, refused.value.message) == (code, message)


@pytest.mark.parametrize(("op", "sizes"), [(Dropout1d(), (8, 5)), (Dropout3d(), (8, 2, 3, 2))])
def test_channels_are_dropped_whole(op: Op, sizes: tuple[int, ...]) -> None:
    dropped = real(op, [shape(*sizes)])(torch.ones(16, *sizes)).flatten(2)
    assert bool((dropped == dropped[..., :1]).all())
    assert set(dropped.unique().tolist()) == {0.0, 2.0}


def test_torch_knows_no_other_layout_of_more_axes() -> None:
    x = torch.randn(2, 2, 2, 3, 4).movedim(-1, 1)
    with pytest.raises(RuntimeError, match="memory format"):
        nn.PixelShuffle(1)(x)
    op = PixelShuffle(upscale_factor=1)
    assert torch.equal(real(op, [shape(4, 2, 2, 3)])(x), x)


SAMPLED = """
inputs: {image: [3, 8, 8], grid: [4, 4, 2]}
layers:
  - {grid_sample: {padding_mode: border}, from: [image, grid]}
  - conv2d: {out_channels: 8, kernel_size: 3, padding: 1}
  - pixel_shuffle: 2
  - pad: {pad: [1, 1, 1, 1], mode: reflect}
  - unfold: {kernel_size: 2, stride: 2}
  - dropout1d
  - fold: {output_size: 10, kernel_size: 2, stride: 2}
  - pixel_unshuffle: 2
"""


def test_a_network_of_them_is_as_stated() -> None:
    report = archspec.loads(SAMPLED).verify((2, 3))
    assert report.ok, report
