"""`torch.jit.script` takes what is emitted, numbered children among it, and gives equal results."""

from __future__ import annotations

import warnings

import pytest
import torch

import archspec

REFERENCE = (
    *("alexnet", "densenet", "googlenet", "lenet_bn", "lenet_bn_scratch", "nin", "resnet18"),
    "vgg11_small",
)


def scripted(net: torch.nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.script(net)


@pytest.mark.parametrize("name", REFERENCE)
def test_a_reference_network_is_scripted(name):
    arch = archspec.load(name)
    net = arch.build(seed=0).eval()
    x = torch.rand(1, *arch.input_shape[1:])
    with torch.no_grad():
        assert torch.equal(scripted(net)(x), net(x))


@pytest.mark.parametrize(
    "layers",
    [
        "[relu, {linear: 4}, {add: ['0', '1']}]",
        "[{parameter: [1, 4]}, {add: ['0', input]}]",
        "[{stochastic_depth: 0.5}, {layer_norm: {axes: [1]}}, {add: ['0', '1']}]",
        "[{stochastic_depth: {p: 0.5, mode: batch}}, batch_norm_scratch, {add: ['0', '1']}]",
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_children_without_names_are_scripted(layers, training):
    net = archspec.loads(f"input: [4]\nlayers: {layers}\n").build().train(training)
    x = torch.rand(3, 4)
    results = []
    for each in (scripted(net), net):
        torch.manual_seed(0)
        results.append(each(x))
    assert torch.equal(*results)
