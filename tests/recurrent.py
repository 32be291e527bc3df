"""Modules as users write them, around a recurrent layer and others, for specs of tests to name."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Last(nn.Module):
    """What an LSTM says at the end of a sequence (n, length, features), and a linear layer."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Mix(nn.Module):
    """Products that torch's counter knows, of weights that are looked up and normalised."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.table = nn.Embedding(3, features)
        self.norm = nn.LayerNorm([2, features])
        self.linear = nn.utils.parametrizations.weight_norm(nn.Linear(features, 5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x + self.table(torch.tensor([1, 2], device=x.device)))
        return self.linear(nn.functional.softmax(y, dim=-1))


@torch.library.custom_op("archspec_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    """An op of which nothing is known but that it runs."""
    return x + x


@twice.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Twice(nn.Module):
    """An op of another library."""

    def forward(self, x: Tensor) -> Tensor:
        return twice(x)
