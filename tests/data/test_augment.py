"""Augmentations against what their names say."""

from __future__ import annotations

import pytest
import torch
from samples import noise
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)

from archspec.data import DataError
from archspec.data.augment import AUGMENTATIONS, parse
from archspec.data.draws import Draws


def augmented(images: torch.Tensor, *names: str, seed: int = 0) -> torch.Tensor:
    return parse(names)(images, Draws(seed, torch.arange(len(images))))


def test_a_crop_moves_each_image_by_its_own_offset() -> None:
    images = noise(300, 3, 10, 12)
    padded = F.pad(images, (2, 2, 2, 2))
    seen = set()
    for before, after in zip(padded, augmented(images, "random_crop:2"), strict=True):
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(before[:, top : top + 10, left : left + 12], after)
        ]
        assert len(found) == 1
        seen.update(found)
    assert len(seen) == 25


@pytest.mark.parametrize(
    ("name", "axis"), [("random_horizontal_flip", 2), ("random_vertical_flip", 1)]
)
def test_a_flip_turns_its_share_of_the_images(name: str, axis: int) -> None:
    images = noise(400, 1, 6, 5)
    result = augmented(images, f"{name}:0.25")
    flipped = sum(torch.equal(a.flip(axis), b) for a, b in zip(images, result, strict=True))
    kept = sum(torch.equal(a, b) for a, b in zip(images, result, strict=True))
    assert kept + flipped == 400 and 70 <= flipped <= 130
    assert torch.equal(augmented(images, f"{name}:1"), images.flip(axis + 1))


def test_erasing_blacks_out_one_rectangle() -> None:
    images = torch.full((500, 1, 32, 32), 255, dtype=torch.uint8)
    result = augmented(images, "random_erasing")
    black = [image[0] == 0 for image in result]
    touched = [b for b in black if b.any()]
    assert 200 <= len(touched) <= 300
    for mask in touched:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)
        assert int(mask.sum()) <= 32 * 32 / 3
        for line in (rows, columns):  # without gaps
            assert int(line.int().diff().abs().sum()) <= 2
    assert max(int(mask.sum()) for mask in touched) > 32 * 32 / 4


def test_brightness_and_contrast_change_values_by_at_most_the_amount() -> None:
    images = torch.full((200, 1, 4, 4), 100, dtype=torch.uint8)
    bright = augmented(images, "random_brightness:0.2")[:, 0, 0, 0]
    assert 80 <= int(bright.min()) < 85 and 115 < int(bright.max()) <= 120
    assert torch.equal(augmented(images, "random_contrast:0.5"), images)
    images[:, :, :2] = 140
    spread = augmented(images, "random_contrast:0.5")[:, 0, [0, 3], 0].int()
    assert set((spread.sum(1)).tolist()) <= {239, 240, 241}
    gap = spread[:, 0] - spread[:, 1]
    assert 20 <= int(gap.min()) < 25 and 55 < int(gap.max()) <= 60


def test_a_rotation_keeps_proportions() -> None:
    images = torch.zeros(200, 1, 20, 60, dtype=torch.uint8)
    images[:, :, 9:11, 29:31] = 255  # the middle stays where it is
    images[:, :, 9:11, 37:39] = 255  # eight pixels from it, wherever it turns to
    result = augmented(images, "random_rotation:90")[:, 0].float()
    y, x = torch.meshgrid(torch.arange(20.0) - 9.5, torch.arange(60.0) - 29.5, indexing="ij")
    away = (x**2 + y**2).sqrt() > 4
    weight = (result * away).sum((1, 2))
    distance = (
        ((result * x * away).sum((1, 2)) / weight) ** 2
        + ((result * y * away).sum((1, 2)) / weight) ** 2
    ).sqrt()
    assert float((distance - 8).abs().max()) < 0.5
    assert torch.equal(augmented(images, "random_rotation:0"), images)


def test_a_resized_crop_enlarges_a_part() -> None:
    x = torch.linspace(0, 255, 64).round().to(torch.uint8)
    images = x.expand(300, 1, 64, 64)
    result = augmented(images, "random_resized_crop:0.25")[:, 0].float()
    span = (result[:, 32, -1] - result[:, 32, 0]) / 255
    # A quarter of the area at 4:3 is 0.43 high; the widest is all of it.
    assert 0.40 < float(span.min()) < 0.5 and 0.9 < float(span.max()) <= 1
    assert float(result.std(1).max()) < 0.5  # a straight cut


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_depends_on_the_seed_and_the_example_alone(name: str) -> None:
    images, examples = noise(40, 3, 16, 16), torch.arange(40) * 5
    augment = parse((name, "random_horizontal_flip"))
    whole = augment(images, Draws(1, examples))
    assert whole.shape == images.shape and whole.dtype == torch.uint8
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:11]
    assert torch.equal(augment(images[order], Draws(1, examples[order])), whole[order])
    assert not torch.equal(augment(images, Draws(2, examples)), whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "random_crp",
            "there is no augmentation 'random_crp'\n  help: did you mean 'random_crop'?",
        ),
        (
            "random_crop:1.5",
            "'random_crop:1.5': random_crop takes a whole number of 1 to 64 (pixels of padding)",
        ),
        (
            "random_erasing:2",
            "'random_erasing:2': random_erasing takes a number of 0 to 1 (probability)",
        ),
        (
            "random_rotation:",
            "'random_rotation:': random_rotation takes a number of 0 to 180 (degrees either way)",
        ),
    ],
)
def test_a_wrong_name_or_amount_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        parse((text,))
    assert str(error.value) == message
