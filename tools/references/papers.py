"""Networks for vectors, sounds and texts, written after their papers as plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from references import reference


class VAE(nn.Module):
    """Kingma and Welling, Auto-Encoding Variational Bayes (arXiv 1312.6114), appendix C."""

    def __init__(self, hidden: int = 400, latent: int = 20) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, hidden)
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(
            *(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Sigmoid())
        )

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = functional.relu(self.hidden(image))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        latent = mean + torch.exp(0.5 * log_variance) * noise
        return self.decoder(latent), mean, log_variance


@reference()
def vae() -> nn.Module:
    return VAE()


class TemporalBlock(nn.Module):
    """Two causal convolutions: figure 1 (b) of the paper."""

    def __init__(self, inputs: int, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.margin = (kernel - 1) * dilation
        how = {"padding": self.margin, "dilation": dilation}
        self.conv1 = weight_norm(nn.Conv1d(inputs, channels, kernel, **how))
        self.conv2 = weight_norm(nn.Conv1d(channels, channels, kernel, **how))
        self.dropout = nn.Dropout(0.05)
        self.downsample = nn.Conv1d(inputs, channels, 1) if inputs != channels else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(functional.relu(self.conv1(x)[..., : -self.margin]))
        y = self.dropout(functional.relu(self.conv2(y)[..., : -self.margin]))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class TCN(nn.Module):
    """Bai et al., Convolutional and Recurrent Networks for Sequences (arXiv 1803.01271)."""

    def __init__(self, channels: int = 25, depth: int = 8, num_classes: int = 10) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(TemporalBlock(channels if i else 1, channels, 7, 2**i) for i in range(depth))
        )
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.network(x)[:, :, -1])


@reference(sizes={"T": 60})
def tcn() -> nn.Module:
    return TCN()


class NeRF(nn.Module):
    """Mildenhall et al., NeRF (arXiv 2003.08934), figure 7, with the names of its code."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        inputs = [63, *4 * [width], width + 63, *2 * [width]]
        self.pts_linears = nn.ModuleList(nn.Linear(size, width) for size in inputs)
        self.alpha_linear = nn.Linear(width, 1)
        self.feature_linear = nn.Linear(width, width)
        self.views_linears = nn.ModuleList([nn.Linear(width + 27, width // 2)])
        self.rgb_linear = nn.Linear(width // 2, 3)

    @staticmethod
    def encode(x: Tensor, bands: int) -> Tensor:
        waves = [wave(x * 2**band) for band in range(bands) for wave in (torch.sin, torch.cos)]
        return torch.cat([x, *waves], -1)

    def forward(self, position: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.encode(position, 10)
        h = encoded
        for index, linear in enumerate(self.pts_linears):
            h = functional.relu(linear(torch.cat([encoded, h], -1) if index == 5 else h))
        density = functional.relu(self.alpha_linear(h))
        h = torch.cat([self.feature_linear(h), self.encode(direction, 4)], -1)
        colour = torch.sigmoid(self.rgb_linear(functional.relu(self.views_linears[0](h))))
        return colour, density


@reference()
def nerf() -> nn.Module:
    return NeRF()


class WaveNet(nn.Module):
    """van den Oord et al., WaveNet (arXiv 1609.03499), figure 4 and equation 2."""

    def __init__(self, channels: int = 32, skip: int = 256, stacks: int = 3) -> None:
        super().__init__()
        self.dilations = [2**i for _ in range(stacks) for i in range(10)]
        self.embedding = nn.Embedding(256, channels)
        self.causal = nn.Conv1d(channels, channels, 2)
        self.filter = nn.ModuleList(
            nn.Conv1d(channels, channels, 2, dilation=each) for each in self.dilations
        )
        self.gate = nn.ModuleList(
            nn.Conv1d(channels, channels, 2, dilation=each) for each in self.dilations
        )
        self.skip = nn.ModuleList(nn.Conv1d(channels, skip, 1) for _ in self.dilations)
        self.residual = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in self.dilations[1:])
        self.end = nn.Sequential(
            *(nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, 256, 1))
        )

    def forward(self, sound: Tensor) -> Tensor:
        x = self.causal(functional.pad(self.embedding(sound).transpose(1, 2), (1, 0)))
        skips = []
        for index, dilation in enumerate(self.dilations):
            before = functional.pad(x, (dilation, 0))
            z = torch.tanh(self.filter[index](before)) * torch.sigmoid(self.gate[index](before))
            skips.append(self.skip[index](z))
            if index < len(self.residual):
                x = x + self.residual[index](z)
        return self.end(sum(skips))


@reference(sizes={"T": 40})
def wavenet() -> nn.Module:
    return WaveNet()


class LSTMClassifier(nn.Module):
    """Hochreiter and Schmidhuber, Long Short-Term Memory (1997), over embedded words."""

    def __init__(self, vocab: int, width: int, hidden: int, depth: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.lstm = nn.LSTM(width, hidden, depth, batch_first=True, dropout=0.5)
        self.fc = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, words: Tensor) -> Tensor:
        _, (states, _) = self.lstm(self.dropout(self.embedding(words)))
        return self.fc(self.dropout(states[-1]))


@reference(sizes={"T": 7}, arguments={"vocab": 100, "width": 12, "hidden": 16})
def lstm_classifier() -> nn.Module:
    return LSTMClassifier(vocab=100, width=12, hidden=16, depth=2, num_classes=4)
