"""Where resizing rounds: the middle that is kept, the longer edge, the bits of a weight."""

from __future__ import annotations

import pytest
import torch
from samples import from_pil, noise, to_pil
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torchvision.transforms import CenterCrop
from torchvision.transforms import Resize as TorchvisionResize

from archspec.data.resize import exact, fitted, resize_images, scaled


@pytest.mark.parametrize("longer", range(32, 41))
@pytest.mark.parametrize("upright", [True, False])
def test_the_middle_of_any_remainder_is_torchvision_s(longer: int, upright: bool) -> None:
    # The shorter edge is right already, so nothing is interpolated and the pixels are the same.
    size = (longer, 32) if upright else (32, longer)
    images = noise(1, 3, *size)
    expected = from_pil(CenterCrop(32)(to_pil(images[0])))
    assert torch.equal(resize_images(images, 32)[0], expected)


@pytest.mark.parametrize("size", [(40, 61), (61, 40), (33, 50), (50, 33), (7, 20), (40, 40)])
def test_the_longer_edge_is_rounded_down_as_in_torchvision(size: tuple[int, int]) -> None:
    theirs = TorchvisionResize(32)(to_pil(noise(1, 3, *size)[0]))
    assert scaled(*size, 32) == (theirs.height, theirs.width)
    assert fitted(*size, 32) == (32, 32)
    assert scaled(*size, (5, 9)) == fitted(*size, (5, 9)) == (5, 9)
    assert scaled(*size, None) == fitted(*size, None) == size


@pytest.mark.parametrize("length", [400, 600])
def test_weights_of_a_long_row_have_all_their_bits(length: int) -> None:
    images = noise(4000, 1, 1, length)
    expected = F.interpolate(images, (1, 2), mode="bilinear", antialias=True)
    differs = (exact(images, (1, 2)) != expected).float().mean()
    assert float(differs) < 1e-3


def test_the_values_are_stored_as_asked() -> None:
    images = noise(2, 1, 8, 8)
    for size in (8, (8, 8), 4, (3, 5)):
        found = resize_images(images, size, torch.float32)
        assert found.dtype == torch.float32
        assert torch.equal(found, resize_images(images, size).float())
    assert torch.equal(
        exact(images, (4, 4), torch.float32), exact(images, (4, 4)).to(torch.float32)
    )
