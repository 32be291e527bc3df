"""Tables of whole numbers that are sums of a column and a row, as those of relative positions."""

from __future__ import annotations

import math

import torch

from archspec.record import Record

LEAST = 64
"""Tables of fewer numbers are listed as they are."""


class Separated(Record):
    """A table `column + row`; `left` and `top` are a first column and row that are not of it.

    `column` is (rows, 1), `row` (columns). The table is flattened in the end where it is `flat`.
    """

    column: torch.Tensor
    row: torch.Tensor
    left: torch.Tensor | None = None
    top: torch.Tensor | None = None
    flat: bool = False


def separated(real: torch.Tensor) -> Separated | None:
    """The parts of a table of whole numbers, square where it is flattened; None for another."""
    if real.dtype != torch.int64 or real.numel() < LEAST or real.dim() not in (1, 2):
        return None
    flat = real.dim() == 1
    side = math.isqrt(real.numel())
    if flat:
        if side * side != real.numel():
            return None
        real = real.view(side, side)
    if min(real.shape) < 3:
        return None
    for framed in (False, True):
        inner = real[1:, 1:] if framed else real
        column, row = (inner[:, :1] - inner[:1, :1]).clone(), inner[0].clone()
        if torch.equal(column + row, inner):
            left, top = (real[1:, :1].clone(), real[:1].clone()) if framed else (None, None)
            return Separated(column, row, left, top, flat)
    return None
