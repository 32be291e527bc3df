"""Modules of attention that torch has not, for the ops whose `build` returns one.

Like those of `archspec.runtime.modules` they live in a file so that pickle finds them by import.

`torch.jit.script` reads the annotations, so they must not be put off as texts.
"""

from collections.abc import Sequence

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
    made anew in each pass, so it follows device and dtype and needs no place in the state dict. A
    window and a shift that follow sizes are given at each call, behind the numbers of windows.
    """

    def __init__(self, window: Sequence[int], shift: Sequence[int]) -> None:
        super().__init__()
        self.window, self.shift = list(window), list(shift)

    def forward(self, logits: Tensor, windows: list[int]) -> Tensor:
        axes = len(self.window)
        window, shift = self.window, self.shift
        assert len(windows) in (axes, 3 * axes) and len(shift) == axes
        if len(windows) > axes:
            window, shift = windows[axes : 2 * axes], windows[2 * axes :]
        region = logits.new_zeros(1, 1, dtype=torch.int64)  # (windows, tokens) of the axes so far
        for count, size, step in zip(windows, window, shift):  # noqa: B905 (scripted)
            over = self._rolled_over(logits, count * size, step).reshape(count, size)
            region = 2 * region[:, None, :, None] + over[:, None]
            region = region.flatten(2).flatten(0, 1)
        apart = region[:, None, None] != region[:, None, :, None]
        return logits + logits.new_zeros(apart.shape).masked_fill(apart, -100.0)

    def _rolled_over(self, like: Tensor, size: int, shift: int) -> Tensor:
        """For each place along an axis 1 where it was rolled over the edge, else 0."""
        place = like.new_ones(size, dtype=torch.int64).cumsum(0)
        return (place > size - shift).long()

    def extra_repr(self) -> str:
        return f"window={tuple(self.window)}, shift={tuple(self.shift)}"


class ScaledDotProductAttention(nn.Module):
    """torch's function of that name as a module, which drops attention weights in training."""

    def __init__(
        self,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        super().__init__()
        self.dropout_p, self.is_causal = dropout_p, is_causal
        self.scale, self.enable_gqa = scale, enable_gqa

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
    ) -> Tensor:
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask,
            self.dropout_p if self.training else 0.0,
            self.is_causal,
            scale=self.scale,
            enable_gqa=self.enable_gqa,
        )

    def extra_repr(self) -> str:
        return (
            f"dropout_p={self.dropout_p}, is_causal={self.is_causal}, scale={self.scale}, "
            f"enable_gqa={self.enable_gqa}"
        )
