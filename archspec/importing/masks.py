"""Masks that an op of the language makes, recognised by their numbers."""

from __future__ import annotations

import math
from typing import Any

import torch


def relative_window(index: torch.Tensor) -> list[int] | None:
    """The window whose pairs of cells these are the offsets of; None else.

    Its sizes are a height and a width, or those of a video: time, height and width.
    """
    tokens = math.isqrt(index.numel())
    if tokens**2 != index.numel() or tokens < 2 or index.dtype != torch.int64:
        return None
    for height in _divisors(tokens):
        if _is_relative(index, [height, tokens // height]):
            return [height, tokens // height]
    for width in _divisors(tokens):
        for height in _divisors(tokens // width):
            window = [tokens // width // height, height, width]
            if window[0] > 1 and _is_relative(index, window):
                return window
    return None


def _is_relative(index: torch.Tensor, window: list[int]) -> bool:
    """Whether these are the offsets, counted row by row, of all pairs of cells."""
    cells = torch.cartesian_prod(*(torch.arange(size) for size in window))
    table = torch.zeros(len(cells), len(cells), dtype=torch.int64)
    for number, size in enumerate(window):
        line = cells[:, number]
        table = table * (2 * size - 1) + line[:, None] - line + size - 1
    return torch.equal(table.flatten(), index.flatten())


HIDDEN = -100.0
"""What a shifted window's mask adds to the logits of tokens that are kept apart."""


def shifted_windows(mask: torch.Tensor) -> dict[str, Any] | None:
    """The arguments of `shifted_window_mask` for a mask (windows, 1, tokens, tokens); None else."""
    count, tokens = mask.shape[0], mask.shape[-1]
    if mask.shape != (count, 1, tokens, tokens) or not bool((mask == HIDDEN).any()):
        return None
    for height in _divisors(tokens):
        width = tokens // height
        for rows in _divisors(count):
            columns = count // rows
            shift = _shifts(mask, (rows, columns), (height, width))
            if shift is not None:
                return {"windows": [rows, columns], "window": [height, width], "shift": shift}
    return None


def _divisors(number: int) -> list[int]:
    """The divisors, those nearest to the root first."""
    found = [each for each in range(1, number + 1) if number % each == 0]
    return sorted(found, key=lambda each: abs(each - number / each))


def _shifts(
    mask: torch.Tensor, windows: tuple[int, int], window: tuple[int, int]
) -> list[int] | None:
    """How far a map was rolled that has this mask: the border shows in the last window."""
    rows, columns = windows
    height, width = window
    last = mask.reshape(rows, columns, height, width, height, width)[-1, -1]
    down = [y for y in range(1, height) if bool((last[0, 0, y:, 0] == HIDDEN).all())]
    across = [x for x in range(1, width) if bool((last[0, 0, 0, x:] == HIDDEN).all())]
    shift = [height - down[0] if down else 0, width - across[0] if across else 0]
    return shift if torch.equal(_mask(windows, window, shift), mask) else None


def _mask(windows: tuple[int, int], window: tuple[int, int], shift: list[int]) -> torch.Tensor:
    sizes = [count * size for count, size in zip(windows, window, strict=True)]
    labels = torch.zeros(sizes, dtype=torch.int64)
    for axis, (size, cell, moved) in enumerate(zip(sizes, window, shift, strict=True)):
        where = torch.zeros(size, dtype=torch.int64)
        if moved:
            where[size - cell : size - moved] = 1
            where[size - moved :] = 2
        shape = [-1 if each == axis else 1 for each in range(2)]
        labels = labels * 3 + where.view(shape)
    (rows, columns), (height, width) = windows, window
    cells = labels.view(rows, height, columns, width).transpose(1, 2).reshape(-1, height * width)
    apart = cells[:, None, :] != cells[:, :, None]
    return torch.where(apart, HIDDEN, 0.0).unsqueeze(1)
