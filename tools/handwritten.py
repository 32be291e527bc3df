"""Modules as a careful person writes them by hand. tools/bench.py compares with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LenetBN(nn.Sequential):
    """LeNet with batch normalisation, as one chain."""

    def __init__(self) -> None:
        def norm(layer: nn.Module, width: int, norm: type[nn.Module]) -> list[nn.Module]:
            return [layer, norm(width), nn.Sigmoid()]

        super().__init__(
            *norm(nn.Conv2d(1, 6, 5), 6, nn.BatchNorm2d),
            nn.MaxPool2d(2, 2),
            *norm(nn.Conv2d(6, 16, 5), 16, nn.BatchNorm2d),
            nn.MaxPool2d(2, 2),
            nn.Flatten(),
            *norm(nn.Linear(256, 120), 120, nn.BatchNorm1d),
            *norm(nn.Linear(120, 84), 84, nn.BatchNorm1d),
            nn.Linear(84, 10),
        )


class Dense(nn.Module):
    """Four convolutions, each reading all features before it."""

    def __init__(self, channels: int, growth: int = 32) -> None:
        super().__init__()
        for index in range(4):
            width = channels + growth * index
            self.add_module(str(4 * index), nn.BatchNorm2d(width))
            self.add_module(str(4 * index + 1), nn.ReLU())
            self.add_module(str(4 * index + 2), nn.Conv2d(width, growth, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        m = self._modules
        x = torch.cat((x, m["2"](m["1"](m["0"](x)))), dim=1)
        x = torch.cat((x, m["6"](m["5"](m["4"](x)))), dim=1)
        x = torch.cat((x, m["10"](m["9"](m["8"](x)))), dim=1)
        return torch.cat((x, m["14"](m["13"](m["12"](x)))), dim=1)


class Transition(nn.Sequential):
    """Halves the channels, the height and the width."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(channels, out_channels, 1)
        self.pool = nn.AvgPool2d(2, 2)


class Densenet(nn.Sequential):
    """The small DenseNet of the reference networks."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 64, 7, stride=2, padding=3),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        )
        channels = 64
        for index in range(4):
            self.append(Dense(channels))
            channels += 4 * 32
            if index < 3:
                self.append(Transition(channels, channels // 2))
                channels //= 2
        self.extend([nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()])
        self.add_module("fc", nn.Linear(channels, 10))
