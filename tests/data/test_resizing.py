"""Resized pixels against PIL itself."""

from __future__ import annotations

import pytest
import torch
from fashion_mnist import find_root
from PIL import Image
from samples import from_pil, noise, to_pil
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torchvision.datasets import FashionMNIST

from archspec.data.resize import exact, resize_images

EXACT = [((28, 28), 96), ((28, 28), 224)]
OTHERS = [
    ((8, 8), (28, 28)),
    ((28, 28), (32, 32)),
    ((28, 28), (20, 20)),
    ((32, 32), (224, 224)),
    ((64, 48), (30, 70)),
    ((40, 33), (40, 11)),
    ((230, 255), (64, 64)),
    ((5, 7), (1, 1)),
    ((1, 1), (9, 4)),
]


def by_pil(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    bilinear = Image.Resampling.BILINEAR
    return torch.stack([from_pil(to_pil(image).resize(size[::-1], bilinear)) for image in images])


def difference(a: torch.Tensor, b: torch.Tensor) -> int:
    assert a.shape == b.shape and a.dtype == b.dtype == torch.uint8
    return int((a.int() - b.int()).abs().max())


@pytest.mark.parametrize("way", [resize_images, exact])
@pytest.mark.parametrize("size", [96, 224])
def test_fashion_mnist_is_enlarged_to_the_bytes_of_pil(size: int, way) -> None:
    images = FashionMNIST(find_root(), train=False, download=False).data[:101, None]
    assert torch.equal(way(images, (size, size)), by_pil(images, (size, size)))


@pytest.mark.parametrize("way", [resize_images, exact])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("before", "side"), EXACT)
def test_any_bytes_are_enlarged_to_those_of_pil(before, side: int, channels: int, way) -> None:
    images = noise(9, channels, *before)
    assert torch.equal(way(images, (side, side)), by_pil(images, (side, side)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("before", "after"), OTHERS)
def test_other_sizes_are_within_two_grey_levels_of_pil(before, after, channels: int) -> None:
    images = noise(5, channels, *before)
    assert difference(resize_images(images, after), by_pil(images, after)) <= 2


@pytest.mark.parametrize(("before", "after"), [*OTHERS, ((28, 28), (96, 96)), ((9, 50), (31, 7))])
def test_the_way_of_other_devices_gives_the_same_bytes(before, after) -> None:
    images = noise(6, 3, *before)
    # As planes: torch refuses colour images where they are, or become, a single pixel.
    planes = images.reshape(-1, 1, *before)
    expected = F.interpolate(planes, after, mode="bilinear", antialias=True)
    assert torch.equal(exact(images, after), expected.reshape(6, 3, *after))


def test_the_way_of_other_devices_is_within_a_grey_level_where_images_shrink_a_lot() -> None:
    images = noise(6, 1, 301, 500)
    expected = F.interpolate(images, (32, 40), mode="bilinear", antialias=True)
    assert difference(exact(images, (32, 40)), expected) <= 1
    assert float((exact(images, (32, 40)) != expected).float().mean()) < 1e-3


@pytest.mark.parametrize("height", [300, 400])
def test_small_weights_have_as_many_bits_as_torchs(height: int) -> None:
    """With 21 bits, or with 23, some of so many columns come out a grey level off."""
    columns = noise(20_000, 1, height, 1)
    expected = F.interpolate(columns, (1, 1), mode="bilinear", antialias=True)
    assert torch.equal(exact(columns, (1, 1)), expected)


def test_images_of_the_right_size_are_left_alone() -> None:
    images = noise(3, 1, 12, 12)
    assert resize_images(images, (12, 12)) is images
    assert resize_images(images, None) is images
