"""Sums that grow on the device and are read once an interval."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Figures(NamedTuple):
    """Means over some examples."""

    loss: float
    accuracy: float
    examples: int


class Sums:
    """Loss, hits and examples since the last reset, as one tensor of float64 (float32 on MPS).

    Adding never waits for the device; reading does.
    """

    def __init__(self, device: torch.device) -> None:
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.total = torch.zeros(3, dtype=dtype, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """`loss` is a sum over the examples."""
        self.total[0] += loss.detach()
        self.total[1] += (logits.argmax(1) == labels).sum()
        self.total[2] += len(labels)

    def reset(self) -> None:
        self.total.zero_()


def figures_of(total: Tensor) -> Figures:
    """The means of sums (loss, hits, examples); zeros where nothing was added."""
    loss, hits, examples = total.tolist()
    count = max(examples, 1)
    return Figures(loss / count, hits / count, int(examples))
