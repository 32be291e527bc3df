"""Tensors about the cells of a window of attention, for the ops that keep them as buffers."""

from collections.abc import Sequence

import torch
from torch import Tensor


def relative_position_index(window: Sequence[int], flat: bool = True) -> Tensor:
    """The row of the table of biases for each pair of tokens: (t, t), or (t * t) where `flat`."""
    tokens = torch.Size(window).numel()
    axes = [torch.arange(size) for size in window]
    index = torch.zeros(tokens, tokens, dtype=torch.int64)
    for place, size in zip(torch.meshgrid(*axes, indexing="ij"), window, strict=True):
        cell = place.flatten()
        index = index * (2 * size - 1) + cell[:, None] - cell + size - 1
    return index.flatten() if flat else index


def relative_position_coordinates(window: Sequence[int]) -> Tensor:
    """The offsets between two cells on a logarithmic scale: (1, 2h - 1, 2w - 1, 2)."""
    # A window of one cell has the offset 0 alone, and nothing to divide by.
    down, right = (torch.arange(1.0 - size, size) / max(size - 1, 1) * 8 for size in window)
    offsets = torch.stack(torch.meshgrid(down, right, indexing="ij"), dim=-1).unsqueeze(0)
    return torch.sign(offsets) * torch.log2(torch.abs(offsets) + 1.0) / 3.0
