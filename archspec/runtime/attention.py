"""Modules of attention that torch has not, for the ops whose `build` returns one.

Like those of `archspec.runtime.modules` they live in a file so that pickle finds them by import.

`torch.jit.script` reads the annotations, so they must not be put off as texts.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)


class QKVLinear(nn.Linear):
    """Queries, keys and values, (..., in) to (..., 3 * features), the keys without a bias."""

    bias: nn.Parameter

    def __init__(self, in_features: int, features: int) -> None:
        super().__init__(in_features, 3 * features)

    def forward(self, input: Tensor) -> Tensor:
        queries, keys, values = self.bias.chunk(3)
        return F.linear(input, self.weight, torch.cat((queries, torch.zeros_like(keys), values)))


class ShiftedWindowMask(nn.Module):
    """Adds -100 to logits of tokens that only a cyclic shift brought into one window.

    Logits are (..., windows, heads, tokens, tokens), windows and tokens row by row. The mask is
    made anew in each pass, so it follows device and dtype and needs no place in the state dict.
    """

    def __init__(
        self, windows: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]
    ) -> None:
        super().__init__()
        self.windows, self.window, self.shift = windows, window, shift

    def forward(self, logits: Tensor) -> Tensor:
        down, right = (self._rolled_over(logits, axis) for axis in (0, 1))
        region = 2 * down[:, None] + right
        (rows, columns), (height, width) = self.windows, self.window
        region = region.reshape(rows, height, columns, width).transpose(1, 2)
        region = region.reshape(rows * columns, 1, height * width)
        apart = region[..., None, :] != region[..., None]
        return logits + logits.new_zeros(apart.shape).masked_fill(apart, -100.0)

    def _rolled_over(self, like: Tensor, axis: int) -> Tensor:
        """For each place along an axis 1 where it was rolled over the edge, else 0."""
        size = self.windows[axis] * self.window[axis]
        place = like.new_ones(size, dtype=torch.int64).cumsum(0)
        return (place > size - self.shift[axis]).long()

    def extra_repr(self) -> str:
        return f"windows={self.windows}, window={self.window}, shift={self.shift}"
