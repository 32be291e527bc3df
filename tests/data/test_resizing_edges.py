"""Where resizing rounds: the bits of a weight, and what values are stored as."""

from __future__ import annotations

import pytest
import torch
from samples import noise
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)

from archspec.data.resize import exact, resize_images


@pytest.mark.parametrize("length", [400, 600])
def test_weights_of_a_long_row_have_all_their_bits(length: int) -> None:
    images = noise(4000, 1, 1, length)
    expected = F.interpolate(images, (1, 2), mode="bilinear", antialias=True)
    differs = (exact(images, (1, 2)) != expected).float().mean()
    assert float(differs) < 1e-3


def test_the_values_are_stored_as_asked() -> None:
    images = noise(2, 1, 8, 8)
    for size in (None, (8, 8), (4, 4), (3, 5)):
        found = resize_images(images, size, torch.float32)
        assert found.dtype == torch.float32
        assert torch.equal(found, resize_images(images, size).float())
    assert torch.equal(
        exact(images, (4, 4), torch.float32), exact(images, (4, 4)).to(torch.float32)
    )
