"""What augmentations reach: every place, both directions, the amounts that are not said."""

from __future__ import annotations

import math

import pytest
import torch
from samples import noise

from archspec.data.augment import AUGMENTATIONS, parse
from archspec.data.draws import Draws

DEFAULTS = {
    "random_crop": "4",
    "random_horizontal_flip": "0.5",
    "random_vertical_flip": "0.5",
    "random_erasing": "0.5",
    "random_brightness": "0.2",
    "random_contrast": "0.2",
    "random_rotation": "10",
    "random_resized_crop": "0.08",
}


def augmented(images: torch.Tensor, *names: str, seed: int = 0) -> torch.Tensor:
    return parse(names)(images, Draws(seed, torch.arange(len(images))))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_amount_that_is_not_said_is_the_usual_one(name: str) -> None:
    images = noise(20, 3, 16, 16)
    assert torch.equal(augmented(images, name), augmented(images, f"{name}:{DEFAULTS[name]}"))


def erased(height: int, width: int, count: int = 600) -> list[torch.Tensor]:
    images = torch.full((count, 1, height, width), 255, dtype=torch.uint8)
    return [image[0] == 0 for image in augmented(images, "random_erasing:1")]


def test_erasing_reaches_every_pixel_and_every_edge() -> None:
    masks = torch.stack(erased(16, 12))
    assert bool(masks.any(0).all())
    for edge in (masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]):
        assert 0.05 < float(edge.any(1).float().mean()) < 0.6
    # Half of the rectangles lie further up than down.
    rows = masks.any(2).float()
    middle = (rows * torch.arange(16)).sum(1) / rows.sum(1)
    assert 0.4 < float((middle < 7.5).float().mean()) < 0.6


def test_erased_shares_and_proportions_are_the_paper_s() -> None:
    masks = torch.stack(erased(100, 100))
    shares = masks.float().mean((1, 2))
    # Both sides are rounded down: a little less than 2 % to a third, drawn evenly.
    assert 0.015 < float(shares.min()) < 0.04 and 0.3 < float(shares.max()) <= 1 / 3
    assert 0.15 < float(shares.mean()) < (0.02 + 1 / 3) / 2
    ratio = masks.any(2).sum(1) / masks.any(1).sum(1)
    assert 0.28 < float(ratio.min()) < 0.4 and 2.8 < float(ratio.max()) < 3.5
    assert 0.45 < float((ratio > 1).float().mean()) < 0.55  # as often upright as lying


def test_a_rectangle_wider_than_the_image_covers_its_width() -> None:
    masks = erased(64, 4)
    assert all(bool(mask.any()) for mask in masks)
    assert max(int(mask.any(1).sum()) for mask in masks) <= 64
    assert sum(bool(mask.any(0).all()) for mask in masks) > 300


def test_a_rotation_turns_either_way_by_its_angle() -> None:
    images = torch.zeros(300, 1, 41, 41, dtype=torch.uint8)
    images[:, :, 19:22, 33:36] = 255  # 14 pixels right of the middle
    found = augmented(images, "random_rotation:30")[:, 0].float()
    weight = found.sum((1, 2))
    y = (found * (torch.arange(41.0) - 20)[:, None]).sum((1, 2)) / weight
    x = (found * (torch.arange(41.0) - 20)).sum((1, 2)) / weight
    angle = torch.atan2(y, x).rad2deg()
    assert -31 < float(angle.min()) < -27 and 27 < float(angle.max()) < 31
    assert abs(float(angle.mean())) < 3
    assert float(((x**2 + y**2).sqrt() - 14).abs().max()) < 0.3


def test_black_moves_in_where_an_image_is_turned() -> None:
    images = torch.full((50, 1, 20, 20), 255, dtype=torch.uint8)
    corners = augmented(images, "random_rotation:45")[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert float((corners == 0).float().mean()) > 0.5


def test_a_resized_crop_takes_parts_from_everywhere() -> None:
    ramp = torch.linspace(0, 252, 64).round().to(torch.uint8)
    for images, axis in (
        (ramp.expand(300, 1, 64, 64), 2),
        (ramp[:, None].expand(300, 1, 64, 64), 1),
    ):
        found = augmented(images, "random_resized_crop:0.2")[:, 0].float()
        first, last = found.select(axis, 0)[:, 32], found.select(axis, 63)[:, 32]
        assert float(first.min()) < 10 and float(last.max()) > 242
        assert float(first.max()) > 60 and float(last.min()) < 192
        middle = (first + last) / 2
        assert abs(float(middle.mean()) - 126) < 6


def test_a_resized_crop_never_looks_beyond_an_edge() -> None:
    # Steps of 36 from pixel to pixel: a part that is enlarged has smaller steps.
    ramp = torch.arange(0, 253, 36, dtype=torch.uint8)
    images = ramp.expand(200, 1, 8, 8)
    found = augmented(images, "random_resized_crop:1")[:, 0].int()
    assert int(found.diff(dim=2).max()) <= 37
    upright = augmented(images.mT, "random_resized_crop:1")[:, 0].int()
    assert int(upright.diff(dim=1).max()) <= 37


def test_contrast_keeps_an_image_s_mean() -> None:
    images = torch.full((100, 1, 2, 2), 60, dtype=torch.uint8)
    images[:, :, 0] = 180  # 60 from the mean of 120: nothing is cut off
    found = augmented(images, "random_contrast:1")[:, 0].float()
    assert float((found.mean((1, 2)) - 120).abs().max()) <= 1
    factors = (found[:, 0, 0] - 120) / 60
    assert 0 <= float(factors.min()) < 0.1 and 1.9 < float(factors.max()) <= 2


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_probabilities_of_none_and_all_are_kept_to(probability: float) -> None:
    images = noise(64, 1, 9, 9)
    assert torch.equal(
        augmented(images, f"random_horizontal_flip:{probability}"),
        images.flip(3) if probability else images,
    )


def test_draws_are_even_and_independent() -> None:
    draws = Draws(3, torch.arange(20_000))
    one, two = draws.uniform(-1, 3), draws.uniform(-1, 3)
    for each in (one, two):
        assert -1 <= float(each.min()) < -0.99 and 2.99 < float(each.max()) < 3
        assert float(each.mean()) == pytest.approx(1, abs=0.05)
        assert float(each.std()) == pytest.approx(4 / math.sqrt(12), abs=0.03)
    assert abs(float(torch.corrcoef(torch.stack([one, two]))[0, 1])) < 0.03
    counts = draws.integers(5).bincount()
    assert len(counts) == 5 and int(counts.min()) > 3_700 and int(counts.max()) < 4_300
    part = Draws(3, torch.arange(20_000)).part(7, 12)
    assert torch.equal(part.uniform(-1, 3), one[7:12])
