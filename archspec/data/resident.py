"""Images that stay on the device as one uint8 tensor.

A batch costs a few kernels, no Python for each image, and never waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from archspec.data.draws import Draws
from archspec.data.prepare import Preparation
from archspec.data.split import Split


class ResidentSplit(Split):
    """A part of `stored`, uint8 (n, C, H, W) on a device; `places` are the positions in it."""

    def __init__(
        self, labels: Tensor, rows: Tensor, stored: Tensor, places: Tensor, prepare: Preparation
    ) -> None:
        super().__init__(labels, rows)
        self._stored, self._prepare = stored, prepare
        home = stored.device
        self._places, self._labels, self._rows = (t.to(home) for t in (places, labels, rows))

    def _batches(
        self, positions: Tensor, batch_size: int, device: torch.device, seed: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        positions = positions.to(self._stored.device, non_blocking=True)
        for start in range(0, len(positions), batch_size):
            images, labels = self.gather(positions[start : start + batch_size], seed)
            yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    @property
    def device(self) -> torch.device:
        return self._stored.device

    def gather(self, positions: Tensor, seed: int | Tensor | None) -> tuple[Tensor, Tensor]:
        draws = None
        if seed is not None and self._prepare.augment:
            draws = Draws(seed, self._rows[positions])
        return self._prepare(self._stored, self._places[positions], draws), self._labels[positions]
