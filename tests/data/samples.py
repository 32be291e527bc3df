"""Small made-up pictures for the tests of the data path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random bytes: harder on rounding than any photograph."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def to_pil(image_chw: torch.Tensor) -> Image.Image:
    array = image_chw.permute(1, 2, 0).numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def from_pil(image: Image.Image) -> torch.Tensor:
    array = np.array(image)
    return torch.from_numpy(array).reshape(*array.shape[:2], -1).permute(2, 0, 1)


def save(image_chw: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    to_pil(image_chw).save(path)


def folder(top: Path, counts: dict[str, int], size: tuple[int, int] = (20, 24)) -> None:
    """`counts` of colour pictures under each class, with bytes that tell them apart."""
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            save(noise(3, *size, seed=100 * number + i), top / name / f"{i:03}.png")
