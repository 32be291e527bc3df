"""From stored bytes to what a network reads: resized, augmented, scaled, normalised.

Shape legend: N images, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from archspec.data.augment import Augment
from archspec.data.buffers import Buffers
from archspec.data.draws import Draws
from archspec.data.errors import DataError
from archspec.data.resize import LANES, Resize, fitted, resize_images
from archspec.data.threads import for_each

CHUNK = 600_000
"""Values handled at a time on the CPU, so that they stay in its cache between the steps."""

LITTLE = 1 << 16
"""Up to so many values, one thread is quicker than sharing them out."""


class MeanAndStd(Protocol):
    """Mean and standard deviation of each channel (or one for all), for pixels of 0 to 1."""

    @property
    def mean(self) -> Sequence[float]: ...

    @property
    def std(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class Preparation:
    """What happens to every batch. `shift` and `scale` are (C, 1, 1) on the batches' device.

    On the CPU it happens in as many threads as torch had when this was made.
    """

    resize: Resize
    augment: Augment = field(default_factory=Augment)
    shift: Tensor | None = None
    scale: Tensor | None = None
    threads: int = field(default_factory=torch.get_num_threads, compare=False)
    buffers: Buffers = field(default_factory=Buffers, repr=False, compare=False)

    def __call__(self, stored: Tensor, rows: Tensor | None, draws: Draws | None) -> Tensor:
        """Images `rows` (all where None) of uint8 `stored` (n, C, H, W), as float32.

        `draws` belong to the rows in their order; without them nothing is augmented.
        """
        count = len(stored) if rows is None else len(rows)
        shape = (count, stored.shape[1], *fitted(stored.shape[2], stored.shape[3], self.resize))
        if stored.device.type != "cpu":
            return self._finished(self._bytes(stored, rows, draws))
        images = self.buffers.empty(shape)
        step = _step(count, math.prod(shape[1:]), self.threads)

        def piece(start: int) -> None:
            stop = min(start + step, count)
            part = None if rows is None else rows[start:stop]
            source = stored[start:stop] if rows is None else stored
            chunk = self._bytes(source, part, draws and draws.part(start, stop))
            self._finished(images[start:stop].copy_(chunk))

        for_each(piece, range(0, count, step), self.threads)
        return images

    def _bytes(self, stored: Tensor, rows: Tensor | None, draws: Draws | None) -> Tensor:
        """Whole numbers of 0 to 255: as bytes for augmentation, else as floats at once."""
        images = stored if rows is None else stored.index_select(0, rows)
        if not (self.augment and draws):
            return resize_images(images, self.resize, torch.float32)
        return self.augment(resize_images(images, self.resize), draws).float()

    def _finished(self, images: Tensor) -> Tensor:
        # The same operations as torchvision's ToTensor and Normalize, so the same bits.
        images.div_(255)
        if self.shift is not None and self.scale is not None:
            images.sub_(self.shift).div_(self.scale)
        return images


def _step(count: int, values: int, threads: int) -> int:
    """Images of a piece, a multiple of `LANES`.

    A piece fits the cache, and where there is much to do, each thread has one.
    """
    most = CHUNK // max(1, values)
    if count * values > LITTLE:
        most = min(most, -(-count // threads))
    return max(1, -(-most // LANES)) * LANES


def prepared(
    resize: Resize,
    augment: Augment,
    normalize: MeanAndStd | None,
    channels: int,
    device: torch.device,
) -> Preparation:
    """The preparation of images with that many channels. Raises `DataError`."""
    if normalize is None:
        return Preparation(resize, augment)
    mean, std = tuple(normalize.mean), tuple(normalize.std)
    if len(mean) != len(std) or len(mean) not in (1, channels):
        raise DataError(
            f"normalize has {len(mean)} means and {len(std)} deviations, "
            f"but the images have {channels} channel{'s' * (channels > 1)}"
        )
    if not all(value > 0 for value in std):
        raise DataError("a standard deviation to normalise by must be above 0")
    shift, scale = (torch.tensor(v, device=device).view(-1, 1, 1) for v in (mean, std))
    return Preparation(resize, augment, shift, scale)
