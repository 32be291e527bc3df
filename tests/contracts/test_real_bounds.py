"""Contracts on both sides of their bounds, where real runs of torch decide."""

from __future__ import annotations

import pytest
import torch
from test_follow_bundled import SMALL_MAXVIT, SMALL_SWIN

import archspec
from archspec.diagnostics.diagnostic import SpecError
from archspec.sizes.sets import from_to
from archspec.testing.edges import beside, edges
from archspec.testing.following import same_bits

BUNDLED = {
    "lenet_bn": ({}, 28, [15, 16, 27, 28, 29, 30, 31, 32]),
    "densenet": ({}, 32, [28, 29, 30, 32]),
    "torchvision/squeezenet1_1": ({"num_classes": 3}, 20, [16, 17, 18, 20]),
    "torchvision/swin_t": (SMALL_SWIN, 64, [3, 4, 59, 60, 61, 64]),
    "torchvision/maxvit_t": (SMALL_MAXVIT, 24, [20, 21, 22, 23, 24, 25, 44, 45, 46, 47, 48]),
}
"""Parameters, a side, and the sides that are run."""


@pytest.mark.parametrize("name", BUNDLED)
def test_bounds_of_bundled_specs_are_real(name):
    params, side, sizes = BUNDLED[name]
    channels = archspec.load(name, warn=False).graph.inputs[0][1]
    arch = archspec.load(name, params, input_shape=(channels, side, side), warn=False)
    found = list(edges(arch, arch.contract("S,S")))
    assert [str(each) for each in found if not each.is_right] == []
    assert sorted(each.sizes["S"] for each in found) == sizes


UNET = """\
sizes: {H: 12, W: 8}
input: [2, H, W]
layers:
  - {name: stem, conv2d: {out_channels: 2, kernel_size: 3, padding: 1}}
  - max_pool2d: 4
  - {conv_transpose2d: {out_channels: 2, kernel_size: 4, stride: 4}}
  - add: [stem, '2']
"""


def test_bounds_of_each_symbol_are_real():
    arch = archspec.loads(UNET, warn=False)
    found = {tuple(each.sizes.values()): each for each in edges(arch, arch.contract())}
    assert all(each.is_right for each in found.values())
    assert found[12, 4].found == found[12, 8].found == found[4, 8].found == "the same bits"
    for illegal in ((3, 8), (12, 3)):
        assert "Output size is too small" in found[illegal].found
    for illegal in ((5, 8), (12, 5)):
        assert "must match the size" in found[illegal].found


POOL = "input: [2, 9, 9]\nlayers: [{max_pool2d: {kernel_size: 4, stride: 1}}]\n"


@pytest.mark.parametrize(
    ("kernel", "size", "text"),
    [
        (3, 3, "S=3: WRONG, torch fails in eval(): "),
        (5, 4, "S=4: WRONG, the same bits"),
    ],
)
def test_a_wrong_bound_is_noticed(kernel, size, text):
    other = archspec.loads(POOL.replace("4", str(kernel)), warn=False).contract("S,S")
    found = {each.sizes["S"]: str(each) for each in edges(archspec.loads(POOL), other)}
    assert found[size].startswith(text)


def test_a_refusal_of_what_torch_runs_is_noticed(monkeypatch):
    arch = archspec.loads(POOL, warn=False)
    contract, compile = arch.contract("S,S"), archspec.Architecture.variant

    def careful(self, *, input_shape):
        if input_shape["input"][1] < 6:
            raise SpecError([])
        return compile(self, input_shape=input_shape)

    monkeypatch.setattr(archspec.Architecture, "variant", careful)
    found = {each.sizes["S"]: str(each) for each in edges(arch, contract)}
    assert found[4] == "S=4: WRONG, torch runs what does not compile"


def test_sizes_beside_bounds():
    assert beside(from_to(16, 20), 18) == [15, 16, 17, 18, 19, 20, 21]
    assert beside(from_to(29), 224) == [28, 29, 30, 224]


def test_equal_nan_are_the_same_bits():
    value = torch.tensor([float("nan"), 1.0])
    assert same_bits(value, value.clone()) and not same_bits(value, value.flip(0))
