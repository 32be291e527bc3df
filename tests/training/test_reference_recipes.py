"""Steps of every reference network's recipe against a plain loop, bit for bit, on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import optim
from torch.nn.functional import cross_entropy

import archspec
from archspec.data import open_dataset
from archspec.recipe.recipe import Recipe
from archspec.training import compatibility
from archspec.training.loop import Trainer
from archspec.training.loss import Loss
from archspec.training.plan import Plan

SIZES = {
    "lenet_bn": 28,
    "lenet_bn_scratch": 28,
    "alexnet": 80,
    "vgg11": 32,
    "vgg11_small": 32,
    "nin": 80,
    "googlenet": 32,
    "resnet18": 32,
    "densenet": 32,
}
"""The smallest images, or nearly, that each of them takes."""

BATCH, IMAGES = 3, 6
VGG = {"optimizer": "sgd", "lr": 0.05}  # of vgg11_small; vgg11 itself has no recipe
OPTIMIZERS = {"sgd": optim.SGD, "adam": optim.Adam}


@pytest.mark.parametrize("name", SIZES)
def test_a_recipe_has_the_bits_of_a_plain_loop(name):
    size, cpu = SIZES[name], torch.device("cpu")
    arch = archspec.load(name, input_shape=(1, size, size), warn=False)
    given = arch.recipe or VGG
    own = {key: given[key] for key in ("optimizer", "lr")}
    assert given.keys() <= {*own, "dataset", "resize", "batch_size", "epochs"}
    data = open_dataset("digits", resize=size, limit_train=IMAGES, limit_test=2, validation=0)

    net = arch.build(seed=0)
    torch.manual_seed(0)
    optimizer = OPTIMIZERS[own["optimizer"]](net.parameters(), lr=own["lr"], fused=True)
    for rows in Plan(IMAGES, BATCH, seed=0).order(0).split(BATCH):
        images, labels = next(data.train.batches(BATCH, order=rows, device="cpu"))
        optimizer.zero_grad()
        (cross_entropy(net(images), labels, reduction="sum") / BATCH).backward()
        optimizer.step()

    recipe = Recipe(**own, batch_size=BATCH, epochs=1, memory_format="contiguous")
    recipe = recipe.with_values(precision="fp32", evaluation_memory_format="channels_last")
    other = arch.build(seed=0)
    torch.manual_seed(0)
    loss = Loss(recipe, *compatibility.outputs_of(arch))
    plan = Plan(IMAGES, BATCH, seed=0, least=2)
    trainer = Trainer(other, data, recipe, cpu, loss, plan)
    trainer.fit()
    assert trainer.position.step == IMAGES // BATCH
    start = arch.build(seed=0).state_dict()
    trained = other.state_dict()
    for key, tensor in net.state_dict().items():
        assert torch.equal(tensor, trained[key]), key
    assert any(not torch.equal(start[key], trained[key]) for key in start)
