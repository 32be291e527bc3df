"""Values that each layer joins anew are joined outside, once."""

from __future__ import annotations

import torch

import archspec
from archspec.importing.hoisting import hoisted
from archspec.importing.rewriting import Hint, rewritten

JOINED = """
input: [6, 8, 8]
blocks:
  one: {layers: [{name: norm, batch_norm}, {name: conv, conv2d: {out_channels: 4, kernel_size: 1}}]}
  two:
    inputs: [a, b]
    layers:
      - concat: [a, b]
      - {name: norm, batch_norm}
      - {name: conv, conv2d: {out_channels: 4, kernel_size: 1}}
  three:
    inputs: [a, b, c]
    layers:
      - concat: [a, b, c]
      - {name: norm, batch_norm}
      - {name: conv, conv2d: {out_channels: 4, kernel_size: 1}}
layers:
  - {name: unit1, one}
  - {name: unit2, two: , from: [input, unit1]}
  - {name: unit3, three: , from: [input, unit1, unit2]}
  - concat: [input, unit1, unit2, unit3]
"""
GROWING = """\
archspec: 1
name: network
input: [6, 8, 8]
blocks:
  unit:
    layers:
      - {name: norm, batch_norm}
      - {name: conv, conv2d: {out_channels: 4, kernel_size: 1}}
layers:
  - repeat: 3
    layers:
      - {name: "unit{index + 1}", unit}
      - concat: [input, "unit{index + 1}"]
"""


def test_layers_that_join_all_before_them_become_a_loop():
    hints = {f"unit{i}": Hint("Unit") for i in (1, 2, 3)}
    arch = archspec.loads(JOINED, name="network", warn=False)
    assert rewritten(arch, hints=hints, loose=True) == GROWING


def test_the_results_have_the_same_bits():
    one, other = (archspec.loads(text, warn=False).build(seed=3) for text in (JOINED, GROWING))
    assert list(one.state_dict()) == list(other.state_dict())
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one(x), other(x))


def test_other_graphs_stay_as_they_are():
    graph = archspec.load("resnet18", warn=False).graph
    assert hoisted(graph) is graph


BESIDE = """
input: [6, 8, 8]
blocks:
  total:
    inputs: [a, b]
    layers: [{name: both, concat: [a, b]}, {slice: {dim: 1, end: 6}}, {add: [-1, a]}]
layers:
  - {name: conv, conv2d: {out_channels: 6, kernel_size: 1}}
  - {total: , from: [input, conv]}
"""


def test_an_input_that_is_read_beside_the_concatenation_keeps_it_inside():
    graph = archspec.loads(BESIDE, warn=False).graph
    assert hoisted(graph) is graph
