"""Recurrent layers of torch that give their last states too, the batch first.

They live in a file so that pickle finds them by import.
"""

from torch import Tensor, nn


class LSTM(nn.LSTM):
    """(N, L, features), and perhaps first states h and c, to the sequence, h and c."""

    def forward(  # type: ignore[override]
        self, input: Tensor, h: Tensor | None = None, c: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        states = None if h is None or c is None else (_swapped(h), _swapped(c))
        y, (h, c) = super().forward(input, states)
        return y, h.transpose(0, 1), c.transpose(0, 1)


class GRU(nn.GRU):
    """(N, L, features), and perhaps a first state h, to the sequence and h."""

    def forward(  # type: ignore[override]
        self, input: Tensor, h: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        y, h = super().forward(input, None if h is None else _swapped(h))
        return y, h.transpose(0, 1)


class RNN(nn.RNN):
    """(N, L, features), and perhaps a first state h, to the sequence and h."""

    def forward(  # type: ignore[override]
        self, input: Tensor, h: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        y, h = super().forward(input, None if h is None else _swapped(h))
        return y, h.transpose(0, 1)


def _swapped(state: Tensor) -> Tensor:
    """(N, layers, features) as torch reads it; cuDNN takes no views."""
    return state.transpose(0, 1).contiguous()
