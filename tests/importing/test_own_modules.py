"""Modules that archspec emitted are imported as the network that they were made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from same_network import computed
from torch import Tensor

import archspec
from archspec import testing
from archspec.diagnostics.diagnostic import SpecError

DTYPES = {
    "float": torch.float32,
    "int64": torch.int64,
    "int32": torch.int32,
    "bool": torch.bool,
}


def examples(arch: archspec.Architecture) -> tuple[Tensor, ...]:
    graph = arch.graph
    return tuple(
        torch.zeros(2, *shape[1:], dtype=DTYPES[kind.name])  # type: ignore[arg-type]
        for shape, kind in zip(graph.inputs, graph.input_types, strict=True)
    )


def imported_again(arch: archspec.Architecture, **options: Any) -> archspec.Architecture:
    return archspec.from_module(arch.build(), examples(arch), verify=False, **options)


@pytest.mark.parametrize("name", ["lenet_bn", "lenet_bn_scratch", "nin", "unet"])
def test_a_bundled_network_comes_back(name):
    arch = archspec.load(name)
    assert computed(imported_again(arch, flat=True).graph) == computed(arch.graph)


def test_a_folded_text_is_the_same_network():
    arch = archspec.load("resnet18")
    again = imported_again(arch)
    assert computed(again.graph) == computed(arch.graph)
    assert len(again.source.text.splitlines()) < 30


def test_other_networks_are_told_apart():
    texts = [f"input: [4]\nlayers: [{{linear: 4}}, {act}]\n" for act in ("relu", "gelu", "relu")]
    one, two, again = (computed(archspec.loads(text).graph) for text in texts)
    assert one == again != two


@settings(max_examples=6)
@given(testing.specs(max_nodes=3))
def test_a_drawn_network_comes_back(spec):
    text = testing.to_text(spec)
    if "spectral_norm" in text and "old" in text:  # its steps in training are no op's
        return
    try:
        arch = archspec.loads(text, warn=False)
    except SpecError:
        return
    assert computed(imported_again(arch, flat=True).graph) == computed(arch.graph), text
