"""Reference networks in plain PyTorch, written by hand and without archspec.

Modules are declared in the order in which the specs list them, so the state dicts of both can be
compared and copied position by position; the names differ.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def lenet_bn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.BatchNorm2d(6),
        nn.Sigmoid(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(6, 16, 5),
        nn.BatchNorm2d(16),
        nn.Sigmoid(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.BatchNorm1d(120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.BatchNorm1d(84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )


def _nin_block(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, padding: int
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1),
        nn.ReLU(),
    )


def nin() -> nn.Module:
    return nn.Sequential(
        _nin_block(1, 96, 11, 4, 0),
        nn.MaxPool2d(3, 2),
        _nin_block(96, 256, 5, 1, 2),
        nn.MaxPool2d(3, 2),
        _nin_block(256, 384, 3, 1, 1),
        nn.MaxPool2d(3, 2),
        nn.Dropout(0.5),
        _nin_block(384, 10, 3, 1, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class Inception(nn.Module):
    def __init__(
        self, in_channels: int, c1: int, c2: tuple[int, int], c3: tuple[int, int], c4: int
    ) -> None:
        super().__init__()
        self.b1 = nn.Conv2d(in_channels, c1, 1)
        self.b2_1 = nn.Conv2d(in_channels, c2[0], 1)
        self.b2_2 = nn.Conv2d(c2[0], c2[1], 3, padding=1)
        self.b3_1 = nn.Conv2d(in_channels, c3[0], 1)
        self.b3_2 = nn.Conv2d(c3[0], c3[1], 5, padding=2)
        self.b4_1 = nn.MaxPool2d(3, 1, 1)
        self.b4_2 = nn.Conv2d(in_channels, c4, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        relu = torch.relu
        path1 = relu(self.b1(x_nchw))
        path2 = relu(self.b2_2(relu(self.b2_1(x_nchw))))
        path3 = relu(self.b3_2(relu(self.b3_1(x_nchw))))
        path4 = relu(self.b4_2(self.b4_1(x_nchw)))
        return torch.cat((path1, path2, path3, path4), dim=1)


def googlenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 64, 7, 2, 3),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(64, 64, 1),
        nn.ReLU(),
        nn.Conv2d(64, 192, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64),
        nn.MaxPool2d(3, 2, 1),
        Inception(480, 192, (96, 208), (16, 48), 64),
        Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64),
        Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128),
        nn.MaxPool2d(3, 2, 1),
        Inception(832, 256, (160, 320), (32, 128), 128),
        Inception(832, 384, (192, 384), (48, 128), 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1024, 10),
    )


class Residual(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv3: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.conv3 = nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x_nchw: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x_nchw)))))
        shortcut = x_nchw if self.conv3 is None else self.conv3(x_nchw)
        return torch.relu(y + shortcut)


def resnet18() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 64, 7, 2, 3),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        Residual(64, 64),
        Residual(64, 64),
        Residual(64, 128, 2),
        Residual(128, 128),
        Residual(128, 256, 2),
        Residual(256, 256),
        Residual(256, 512, 2),
        Residual(512, 512),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


class Dense(nn.Module):
    def __init__(self, in_channels: int, num_convs: int, growth_rate: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(in_channels + step * growth_rate),
                nn.ReLU(),
                nn.Conv2d(in_channels + step * growth_rate, growth_rate, 3, padding=1),
            )
            for step in range(num_convs)
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        for step in self.steps:
            x_nchw = torch.cat((x_nchw, step(x_nchw)), dim=1)
        return x_nchw


def _transition(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, 1),
        nn.AvgPool2d(2, 2),
    )


def densenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 64, 7, 2, 3),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        Dense(64, 4, 32),
        _transition(192, 96),
        Dense(96, 4, 32),
        _transition(224, 112),
        Dense(112, 4, 32),
        _transition(240, 120),
        Dense(120, 4, 32),
        nn.BatchNorm2d(248),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(248, 10),
    )


REFERENCES: dict[str, Callable[[], nn.Module]] = {
    "lenet_bn": lenet_bn,
    "nin": nin,
    "googlenet": googlenet,
    "resnet18": resnet18,
    "densenet": densenet,
}
"""A constructor for each reference network that is written out here."""
