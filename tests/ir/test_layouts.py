"""Layouts that are ambiguous or rare, against torch's own tensors."""

from __future__ import annotations

import itertools

import pytest
import torch
from test_tape import described
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)

from archspec.ir.tape import (
    Tape,
    as_plane,
    channels_last_strides,
    contiguous,
    contiguous_strides,
    elementwise,
    layout_of,
    view_strides,
)
from archspec.ir.types import INT64


def real(shape, strides) -> torch.Tensor:
    return torch.empty_strided(shape, strides).zero_()


@pytest.mark.parametrize("shape", list(itertools.product((1, 3), (1, 2), (1, 2), (1, 2))))
@pytest.mark.parametrize("last", [True, False])
def test_a_kernel_s_result_has_the_layout_that_its_input_suggests(shape, last):
    strides = channels_last_strides(shape) if last else contiguous_strides(shape)
    for own in (strides, real(shape, strides).contiguous().stride()):
        x = real(shape, own)
        y = F.interpolate(x, scale_factor=2, mode="nearest")
        assert layout_of(described(x), tuple(y.shape)) == y.stride(), (shape, own)


@pytest.mark.parametrize("steps", list(itertools.product((1, 2, 4), repeat=4)))
def test_single_pixels_of_any_strides_are_read_as_torch_reads_them(steps):
    x = real((2, 1, 1, 1), steps)
    y = F.interpolate(x, scale_factor=2, mode="nearest")
    assert layout_of(described(x), (2, 1, 2, 2)) == y.stride()


def test_a_volume_s_layouts_are_torch_s():
    for memory_format in (torch.contiguous_format, torch.channels_last_3d):
        x = torch.zeros(2, 3, 4, 5, 6).contiguous(memory_format=memory_format)
        y = F.interpolate(x, scale_factor=2, mode="nearest")
        assert layout_of(described(x), tuple(y.shape)) == y.stride()


def test_a_row_is_a_plane_of_height_one():
    for x in (torch.zeros(2, 3, 4), torch.zeros(2, 4, 3).mT, torch.zeros(2, 3, 8)[:, :, ::2]):
        plane = x.unsqueeze(2)
        found = as_plane(described(x))
        assert found.shape == tuple(plane.shape)
        assert (found.strides[:2], found.strides[3]) == (plane.stride()[:2], plane.stride()[3])


def test_a_view_must_use_up_all_axes():
    x = described(torch.zeros(2, 3))
    assert view_strides(x, (6,)) == (1,) and view_strides(x, (3, 2)) == (2, 1)
    assert view_strides(x, (1, 2, 1, 3, 1)) == torch.zeros(2, 3).view(1, 2, 1, 3, 1).stride()
    assert view_strides(described(torch.zeros(3, 2).mT), (6,)) is None
    assert view_strides(described(torch.zeros(3, 2).mT), (3, 2)) is None


def test_operands_of_fewer_axes_are_aligned_at_the_last():
    for shapes in (((2, 3, 4), (4,)), ((4,), (2, 3, 4)), ((3, 1), (2, 1, 4)), ((), (2,))):
        tensors = [torch.zeros(shape) for shape in shapes]
        y = tensors[0] + tensors[1]
        found = elementwise(Tape(), *map(described, tensors))
        assert (found.shape, found.strides) == (tuple(y.shape), y.stride())


def test_a_tape_adds_up_what_it_holds():
    tape = Tape()
    x = tape.new((2, 3), requires_grad=True)
    long = tape.new((2, 3), requires_grad=False, type=INT64)
    learned = tape.parameter((5, 5))
    assert tape.allocated_bytes == 6 * 4 + 6 * 8 and tape.saved_bytes == 0
    tape.save(x, x, long, learned, x.viewed((3, 2), (2, 1)))
    assert tape.saved_bytes == 6 * 4 + 6 * 8
    assert contiguous(tape, x) is x
    turned = x.viewed((3, 2), (1, 3))
    copy = contiguous(tape, turned)
    assert (copy.strides, copy.requires_grad) == ((2, 1), True)
    assert tape.allocated_bytes == 2 * 6 * 4 + 6 * 8
    assert learned.requires_grad and learned.storage.is_weight
