"""Augmentations of whole batches, by name: `random_crop`, or `random_crop:2` with an amount.

Shape legend: N images, C channels, H height, W width. Images are uint8 (N, C, H, W) throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)

from archspec.data.draws import Draws
from archspec.data.errors import DataError
from archspec.diagnostics.suggestions import did_you_mean


class Augmentation(NamedTuple):
    """`apply(images, draws, amount)`; `amount` lies within `least` to `most`, `default` unsaid."""

    apply: Callable[[Tensor, Draws, float], Tensor]
    amount: str
    default: float
    least: float
    most: float


@dataclass(frozen=True)
class Augment:
    """Augmentations in the order they are applied."""

    steps: tuple[tuple[Augmentation, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        for augmentation, amount in self.steps:
            images = augmentation.apply(images, draws, amount)
        return images


def parse(names: Sequence[str]) -> Augment:
    """The augmentations of texts like `random_crop:2`. Raises `DataError`."""
    return Augment(tuple(_parse(text) for text in names))


def _parse(text: str) -> tuple[Augmentation, float]:
    name, colon, amount = text.partition(":")
    found = AUGMENTATIONS.get(name.strip())
    if found is None:
        raise DataError(
            f"there is no augmentation {name.strip()!r}",
            did_you_mean(name.strip(), AUGMENTATIONS) or f"there are {', '.join(AUGMENTATIONS)}",
        )
    if not colon:
        return found, found.default
    try:
        value = float(amount)
    except ValueError:
        value = math.nan
    whole = isinstance(found.default, int)
    if not found.least <= value <= found.most or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise DataError(
            f"{text!r}: {name.strip()} takes {kind} of {found.least:g} to {found.most:g} "
            f"({found.amount})"
        )
    return found, value


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def random_crop(images: Tensor, draws: Draws, padding: float) -> Tensor:
    """Each image moved by up to `padding` pixels either way; black moves in."""
    size, shifts = images.shape[2:], 2 * int(padding) + 1
    down, right = draws.integers(shifts), draws.integers(shifts)
    windows = F.pad(images, (int(padding),) * 4).unfold(2, size[0], 1).unfold(3, size[1], 1)
    # (N, C, shifts, shifts, H, W), a view of overlapping windows: only the chosen are copied.
    chosen = torch.arange(len(images), device=images.device)
    return windows[chosen, :, down, right]


def random_horizontal_flip(images: Tensor, draws: Draws, probability: float) -> Tensor:
    """Left and right exchanged in that share of the images."""
    return torch.where(_per_image(draws.coin(probability)), images.flip(3), images)


def random_vertical_flip(images: Tensor, draws: Draws, probability: float) -> Tensor:
    """Top and bottom exchanged in that share of the images."""
    return torch.where(_per_image(draws.coin(probability)), images.flip(2), images)


def random_erasing(images: Tensor, draws: Draws, probability: float) -> Tensor:
    """A black rectangle in that share of the images (Zhong et al. 2017, with zeros).

    It covers 2 % to a third of the image, with sides in proportions of 0.3 to 3.3.
    """
    height, width = images.shape[2:]
    area = draws.uniform(0.02, 1 / 3) * (height * width)
    ratio = draws.uniform(math.log(0.3), math.log(1 / 0.3)).exp()
    rows = (area * ratio).sqrt().clamp(max=height).floor()
    columns = (area / ratio).sqrt().clamp(max=width).floor()
    top = (draws.uniform() * (height - rows + 1)).floor()
    left = (draws.uniform() * (width - columns + 1)).floor()
    y = torch.arange(height, device=images.device)
    x = torch.arange(width, device=images.device)
    inside_y = (y >= top[:, None]) & (y < (top + rows)[:, None])
    inside_x = (x >= left[:, None]) & (x < (left + columns)[:, None])
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    return images.masked_fill(inside & _per_image(draws.coin(probability)), 0)


def random_brightness(images: Tensor, draws: Draws, amount: float) -> Tensor:
    """Values times a factor of 1 - amount to 1 + amount."""
    factor = _per_image(draws.uniform(1 - amount, 1 + amount))
    return _bytes(images.float().mul_(factor))


def random_contrast(images: Tensor, draws: Draws, amount: float) -> Tensor:
    """Distances from the image's mean times a factor of 1 - amount to 1 + amount."""
    factor = _per_image(draws.uniform(1 - amount, 1 + amount))
    values = images.float()
    mean = values.mean((1, 2, 3), keepdim=True)
    return _bytes(values.sub_(mean).mul_(factor).add_(mean))


def random_rotation(images: Tensor, draws: Draws, degrees: float) -> Tensor:
    """Each image turned about its middle by up to `degrees` either way; black moves in."""
    angle = draws.uniform(-math.radians(degrees), math.radians(degrees))
    proportion = images.shape[2] / images.shape[3]
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    # Coordinates run from -1 to 1 along both sides, so the sine is scaled by their proportion.
    rows = (cosine, -sine * proportion, zero), (sine / proportion, cosine, zero)
    return _warped(images, rows, "zeros")


def random_resized_crop(images: Tensor, draws: Draws, least: float) -> Tensor:
    """A part of `least` to all of each image's area, with sides in proportions of 3:4 to 4:3,
    enlarged to the whole (Szegedy et al. 2015). It starts from the resized image."""
    area = draws.uniform(least, 1.0)
    ratio = draws.uniform(math.log(3 / 4), math.log(4 / 3)).exp().sqrt()
    width, height = (area.sqrt() * ratio).clamp(max=1), (area.sqrt() / ratio).clamp(max=1)
    x, y = (draws.uniform(-1, 1) * (1 - side) for side in (width, height))
    zero = torch.zeros_like(area)
    return _warped(images, ((width, zero, x), (zero, height, y)), "border")


def _warped(images: Tensor, rows: Sequence[Sequence[Tensor]], outside: str) -> Tensor:
    """Images sampled (bilinear) where the affine map of `rows` (2 by 3, each (N,)) leads."""
    theta = torch.stack([torch.stack(tuple(row), 1) for row in rows], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return _bytes(F.grid_sample(images.float(), grid, padding_mode=outside, align_corners=False))


def _bytes(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).to(torch.uint8)


AUGMENTATIONS = {
    "random_crop": Augmentation(random_crop, "pixels of padding", 4, 1, 64),
    "random_horizontal_flip": Augmentation(random_horizontal_flip, "probability", 0.5, 0, 1),
    "random_vertical_flip": Augmentation(random_vertical_flip, "probability", 0.5, 0, 1),
    "random_erasing": Augmentation(random_erasing, "probability", 0.5, 0, 1),
    "random_brightness": Augmentation(random_brightness, "largest change", 0.2, 0, 1),
    "random_contrast": Augmentation(random_contrast, "largest change", 0.2, 0, 1),
    "random_rotation": Augmentation(random_rotation, "degrees either way", 10.0, 0, 180),
    "random_resized_crop": Augmentation(random_resized_crop, "smallest area", 0.08, 0.01, 1),
}
