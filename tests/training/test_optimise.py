"""The optimisers against torch.optim's: the same bits."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import torch
from torch import nn

from archspec.recipe.optimizers import UpdateRule
from archspec.recipe.recipe import Recipe
from archspec.training import optimise
from archspec.training.optimise import Average, Optimizer, renewed_share


def networks():
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    torch.manual_seed(0)
    return one, nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def gradients(net, x):
    net.zero_grad()
    net(x).square().sum().backward()


@pytest.mark.parametrize(
    ("recipe", "theirs"),
    [
        ({"optimizer": "sgd"}, lambda p, lr: torch.optim.SGD(p, lr, fused=True)),
        (
            {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01, "decay_all": True},
            lambda p, lr: torch.optim.SGD(p, lr, 0.9, weight_decay=0.01, fused=True),
        ),
        (
            {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
            lambda p, lr: torch.optim.SGD(p, lr, 0.9, nesterov=True, fused=True),
        ),
        ({"optimizer": "adam"}, lambda p, lr: torch.optim.Adam(p, lr, fused=True)),
        (
            {"optimizer": "adam", "weight_decay": 0.1, "decay_all": True, "betas": (0.8, 0.9)},
            lambda p, lr: torch.optim.Adam(p, lr, (0.8, 0.9), weight_decay=0.1, fused=True),
        ),
        (
            {"optimizer": "adamw", "weight_decay": 0.1, "decay_all": True},
            lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=0.1, fused=True),
        ),
        ({"optimizer": "nadam"}, torch.optim.NAdam),
        (
            {"optimizer": "nadam", "betas": (0.8, 0.9), "eps": 0.1, "momentum_decay": 0.1}
            | {"weight_decay": 0.1, "decay_all": True},
            lambda p, lr: torch.optim.NAdam(p, lr, (0.8, 0.9), 0.1, 0.1, momentum_decay=0.1),
        ),
        ({"optimizer": "rmsprop"}, torch.optim.RMSprop),
        (
            {"optimizer": "rmsprop", "alpha": 0.9, "eps": 0.1, "momentum": 0.5, "centered": True}
            | {"weight_decay": 0.1, "decay_all": True},
            lambda p, lr: torch.optim.RMSprop(p, lr, 0.9, 0.1, 0.1, 0.5, True),
        ),
    ],
)
def test_steps_are_torchs_bit_for_bit(recipe, theirs):
    mine, reference = networks()
    optimizer = Optimizer(mine.named_parameters(), Recipe(**recipe))
    torchs = theirs(reference.parameters(), 0.1)
    for step in range(5):
        x = torch.randn(6, 4)
        gradients(mine, x)
        gradients(reference, x)
        lr = 0.1 / (step + 1)
        optimizer.step(lr)
        torchs.param_groups[0]["lr"] = lr
        torchs.step()
        for a, b in zip(mine.parameters(), reference.parameters(), strict=True):
            assert torch.equal(a, b)


def test_vectors_do_not_decay_unless_told():
    net, _ = networks()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = Optimizer(net.named_parameters(), Recipe(optimizer="adamw", weight_decay=0.5))
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step(0.1)
    for name, p in net.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.5) if p.ndim > 1 else before[name]
        assert torch.allclose(p, expected), name


def of(name):
    return Recipe(optimizer=name)


def test_a_raised_flag_keeps_a_step_from_happening():
    for recipe in (Recipe(optimizer="sgd", momentum=0.9), *map(of, UpdateRule.entries)):
        net, reference = networks()
        optimizer = Optimizer(net.named_parameters(), recipe)
        plain = Optimizer(reference.named_parameters(), recipe)
        gradients(net, torch.full((2, 4), float("nan")))
        optimizer.found_inf = torch.ones(())
        optimizer.step(0.1)
        optimizer.found_inf = torch.zeros(())
        x = torch.ones(2, 4)
        for each, stepper in ((net, optimizer), (reference, plain)):
            gradients(each, x)
            stepper.step(0.1)
        for a, b in zip(net.parameters(), reference.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("recipe", [Recipe(optimizer="sgd", momentum=0.9), Recipe()])
def test_kernels_that_cannot_read_a_flag_are_not_called(recipe, monkeypatch):
    """As on MPS, whose kernels take the flag and update all the same."""
    monkeypatch.setattr(optimise, "READ_FLAGS", frozenset({"cuda"}))
    asked = []

    def watched(kernel):
        def call(*given, found_inf, **more):
            asked.append(found_inf)
            kernel(*given, found_inf=found_inf, **more)

        return call

    for name in ("sgd", "adam"):
        module = import_module(f"torch.optim.{name}")
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    net, _ = networks()
    optimizer = Optimizer(net.named_parameters(), recipe)
    before = [p.detach().clone() for p in net.parameters()]
    gradients(net, torch.ones(2, 4))
    for flags in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        optimizer.found_inf, optimizer.frozen = map(torch.tensor, flags)
        optimizer.step(0.1)
    assert asked == []
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    optimizer.found_inf = optimizer.frozen = torch.zeros(())
    optimizer.step(0.1)
    assert asked == [None, None]  # with weight decay, and without
    assert not torch.equal(before[0], net[0].weight)


def test_a_scaler_leaves_out_a_step_that_overflows_and_no_other():
    """Against the same steps without the one that overflows, and without a scaler."""
    recipe = Recipe(optimizer="sgd", momentum=0.9)
    net, reference = networks()
    optimizer, plain = (Optimizer(each.named_parameters(), recipe) for each in (net, reference))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def scaled(x, factor=1.0):
        optimizer.zero_grad()
        scaler.scale(net(x).square().sum() * factor).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer, 0.01)
        scaler.update()

    for step in range(4):
        x = torch.randn(3, 4)
        scaled(x, 1e38 if step == 1 else 1.0)
        if step != 1:
            gradients(reference, x)
            plain.step(0.01)
        for a, b in zip(net.parameters(), reference.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-6), step
    assert scaler.get_scale() == 512
    optimizer.frozen = torch.ones(())
    before = net[0].weight.detach().clone()
    scaled(x)
    assert torch.equal(net[0].weight, before)


def test_the_average_follows_by_its_decay():
    net, _ = networks()
    average = Average(net)
    start = net[0].weight.detach().clone()
    with torch.no_grad():
        net[0].weight.add_(1)
    average.update(net, renewed_share(0.5, step=1))  # (1 + 1) / (10 + 1)
    assert torch.allclose(average.net[0].weight, start + 1 - 2 / 11)
    average.update(net, renewed_share(0.5, step=1000))
    assert torch.allclose(average.net[0].weight, start + 1 - 1 / 11)


def test_a_first_step_does_not_import_torchs_compiler():
    """It takes as long as importing torch: a plain loop with torch.optim waits for it."""
    program = (
        "import sys, torch\n"
        "from archspec.training.optimise import Optimizer\n"
        "from archspec.recipe.optimizers import UpdateRule\n"
        "from archspec.recipe.recipe import Recipe\n"
        "net = torch.nn.Linear(2, 2)\n"
        "for name in UpdateRule.entries:\n"
        "    optimizer = Optimizer(net.named_parameters(), Recipe(optimizer=name))\n"
        "    net(torch.ones(1, 2)).sum().backward()\n"
        "    optimizer.step(0.1)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr


def test_a_gradient_scaler_steps_as_with_torchs_own():
    mine, reference = networks()
    pairs = [
        (mine, Optimizer(mine.named_parameters(), Recipe(optimizer="sgd")), (0.1,)),
        (reference, torch.optim.SGD(reference.parameters(), 0.1, fused=True), ()),
    ]
    scales = []
    for net, optimizer, arguments in pairs:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        torch.manual_seed(2)
        for step in range(4):
            optimizer.zero_grad()
            loss = net(torch.randn(6, 4)).square().sum() * (1e38 if step == 1 else 1.0)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            scaler.step(optimizer, *arguments)
            scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [2.0**9, 2.0**9]  # the second step overflowed, and changed nothing
    for one, other in zip(mine.parameters(), reference.parameters(), strict=True):
        assert one.isfinite().all() and torch.equal(one, other)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_eps_is_the_recipe_s(name):
    """One step from zero: by hand, w - lr * g / (|g| + eps), for the bias corrections cancel."""
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
    optimizer = Optimizer(net.named_parameters(), Recipe(optimizer=name, eps=0.5))
    net.weight.grad = torch.full((1, 1), 2.0)
    optimizer.step(0.1)
    assert float(net.weight.detach()) == pytest.approx(1 - 0.1 * 2 / (2 + 0.5))


def test_the_average_has_the_buffers_of_the_live_network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = Average(net)
    for step in (1, 2):
        net(torch.randn(8, 3))
        average.update(net, renewed_share(0.9, step))
    assert float(net[1].running_mean.abs().max()) > 0.01
    assert torch.equal(average.net[1].running_mean, net[1].running_mean)
    assert torch.equal(average.net[1].running_var, net[1].running_var)
    assert int(average.net[1].num_batches_tracked) == 2
    assert not average.net.training and not any(p.requires_grad for p in average.net.parameters())
