"""The reference networks on real images: they accept them, and a few steps of SGD learn."""

from __future__ import annotations

import pytest
import torch
from fashion_mnist import find_root
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torchvision.datasets import FashionMNIST

import archspec

# A smaller image where the network allows one: the test is of the path, not of the accuracy.
SIZES = {
    "lenet_bn": 28,
    "lenet_bn_scratch": 28,
    "alexnet": 96,
    "vgg11": 32,
    "vgg11_small": 64,
    "nin": 96,
    "googlenet": 64,
    "resnet18": 48,
    "densenet": 48,
}
LEARNING_RATES = {"lenet_bn": 0.5, "lenet_bn_scratch": 0.5, "nin": 0.1}


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    data = FashionMNIST(find_root(), train=True, download=False)
    return data.data[:8, None].float() / 255, data.targets[:8]


@pytest.mark.parametrize("name", SIZES)
def test_a_few_steps_of_sgd_lower_the_loss_on_real_images(
    name: str, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    images, labels = batch
    size = SIZES[name]
    images = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    net = archspec.load(name, input_shape=(1, size, size)).build(seed=0)
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATES.get(name, 0.02))
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(4):
            logits = net(images)
            assert logits.shape == (8, 10)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert min(losses[1:]) < losses[0], losses
