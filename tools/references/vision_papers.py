"""Networks for images and points, written after their papers as plain PyTorch."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from references import reference


class UNet(nn.Module):
    """Ronneberger et al., U-Net (arXiv 1505.04597), figure 1."""

    def __init__(self, width: int = 64, depth: int = 4, num_classes: int = 2) -> None:
        super().__init__()
        widths = [width << level for level in range(depth + 1)]
        before = [1, *widths]
        self.contracting = nn.ModuleList(
            self.convs(c, d) for c, d in zip(before, widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, 2) for c in widths[-2::-1])
        self.expanding = nn.ModuleList(self.convs(2 * c, c) for c in widths[-2::-1])
        self.score = nn.Conv2d(width, num_classes, 1)

    @staticmethod
    def convs(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            *(nn.Conv2d(inputs, outputs, 3), nn.ReLU()),
            *(nn.Conv2d(outputs, outputs, 3), nn.ReLU()),
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, convs in enumerate(self.contracting):
            x = convs(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for up, convs in zip(self.up, self.expanding, strict=True):
            x, skip = up(x), skips.pop()
            top, left = (skip.shape[2] - x.shape[2]) // 2, (skip.shape[3] - x.shape[3]) // 2
            skip = skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]
            x = convs(torch.cat([skip, x], 1))
        return self.score(x)


@reference(sizes={"H": 188, "W": 204})
def unet() -> nn.Module:
    return UNet()


class DCGANGenerator(nn.Module):
    """Radford et al., DCGAN (arXiv 1511.06434), figure 1, at the width of PyTorch's tutorial."""

    def __init__(self, ngf: int = 64) -> None:
        super().__init__()
        widths = [100, *(ngf * factor for factor in (8, 4, 2, 1))]
        layers: list[nn.Module] = []
        for index in range(4):
            stride, padding = (2, 1) if index else (1, 0)
            width = widths[index + 1]
            layers += [
                nn.ConvTranspose2d(widths[index], width, 4, stride, padding, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(ngf, 3, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


@reference()
def dcgan_generator() -> nn.Module:
    return DCGANGenerator()


class DCGANDiscriminator(nn.Module):
    """The network that tells DCGAN's images from those of the data."""

    def __init__(self, ndf: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for factor in (1, 2, 4):
            width = ndf * factor
            layers += [
                nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.Conv2d(8 * ndf, 1, 4, bias=False), nn.Sigmoid()]
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


@reference()
def dcgan_discriminator() -> nn.Module:
    return DCGANDiscriminator()


class Siamese(nn.Module):
    """Koch et al., Siamese Neural Networks for One-shot Image Recognition (2015), figure 4."""

    def __init__(self) -> None:
        super().__init__()
        self.twin = nn.Sequential(
            *(nn.Conv2d(1, 64, 10), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 7), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 128, 4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 256, 4), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(9216, 4096), nn.Sigmoid()),
        )
        self.score = nn.Linear(4096, 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.sigmoid(self.score((self.twin(first) - self.twin(second)).abs()))


@reference()
def siamese() -> nn.Module:
    return Siamese()


class ESPCN(nn.Module):
    """Shi et al., Real-Time Super-Resolution (arXiv 1609.05158), section 3.2."""

    def __init__(self, factor: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 5, padding=2)
        self.conv2 = nn.Conv2d(64, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, factor**2, 3, padding=1)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.conv2(torch.tanh(self.conv1(x))))
        return functional.pixel_shuffle(self.conv3(x), self.factor)


@reference(sizes={"H": 17, "W": 20})
def espcn() -> nn.Module:
    return ESPCN()


class Mixer(nn.Module):
    """Tolstikhin et al., MLP-Mixer (arXiv 2105.01601), figure 1 and table 1: S/16."""

    def __init__(self, depth: int = 8, width: int = 512, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 16, 16)
        self.blocks = nn.ModuleList(MixerBlock(width, 196, 256, 2048) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


class MixerBlock(nn.Module):
    def __init__(self, width: int, tokens: int, token_mlp: int, channel_mlp: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.token_mixing = nn.Sequential(
            nn.Linear(tokens, token_mlp), nn.GELU(), nn.Linear(token_mlp, tokens)
        )
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.channel_mixing = nn.Sequential(
            nn.Linear(width, channel_mlp), nn.GELU(), nn.Linear(channel_mlp, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token_mixing(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mixing(self.norm2(x))


INERT = {
    "blocks.*.token_mixing.2.bias": "adds the same to all channels, whose mean each later norm "
    "takes away"
}


@reference(inert=INERT)
def mlp_mixer() -> nn.Module:
    return Mixer()


class TNet(nn.Module):
    """The k x k matrix that aligns points: figure 2 of the paper, and its supplement C."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.features = point_mlp(k, 64, 128, 1024)
        self.regression = nn.Sequential(
            *(nn.Linear(1024, 512), nn.BatchNorm1d(512), nn.ReLU()),
            *(nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU()),
            nn.Linear(256, k * k),
        )
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.regression(self.features(x).amax(2)).view(-1, self.k, self.k)
        return matrix + torch.eye(self.k, dtype=x.dtype)


def point_mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class PointNet(nn.Module):
    """Qi et al., PointNet (arXiv 1612.00593), figure 2: classification."""

    def __init__(self, num_classes: int = 40) -> None:
        super().__init__()
        self.input_transform = TNet(3)
        self.mlp1 = point_mlp(3, 64, 64)
        self.feature_transform = TNet(64)
        self.mlp2 = point_mlp(64, 64, 128, 1024)
        self.classifier = nn.Sequential(
            *(nn.Linear(1024, 512), nn.BatchNorm1d(512), nn.ReLU()),
            *(nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU()),
            *(nn.Dropout(0.3), nn.Linear(256, num_classes)),
        )

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        x = self.mlp1(self.align(points, self.input_transform(points)))
        matrix = self.feature_transform(x)
        x = self.mlp2(self.align(x, matrix)).amax(2)
        return self.classifier(x), matrix

    @staticmethod
    def align(points: Tensor, matrix: Tensor) -> Tensor:
        return (points.transpose(1, 2) @ matrix).transpose(1, 2)


@reference(sizes={"P": 50})
def pointnet() -> nn.Module:
    return PointNet()
