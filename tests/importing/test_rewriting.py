"""A network that was written out in full, as a person would write it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

import archspec
from archspec import testing
from archspec.diagnostics.diagnostic import SpecError
from archspec.importing.rewriting import rewritten
from archspec.ir.facts import facts

RESNET = """\
archspec: 1
name: small
input: [3, 32, 32]
params: {num_classes: 10}
blocks:
  unit:
    params:
      out_channels: int
      stride: 1
      has_shortcut: $(stride != 1 or in_channels != out_channels)
    layers:
      - name: conv
        conv2d: {out_channels: out_channels, kernel_size: 3, stride: stride, padding: 1}
      - {name: norm, batch_norm}
      - name: shortcut
        from: input
        when: has_shortcut
        layers:
          - conv2d: {out_channels: out_channels, kernel_size: 1, stride: stride, bias: false}
          - batch_norm
      - add: [norm, shortcut]
      - relu
layers:
  - {name: stem, conv2d: {out_channels: 16, kernel_size: 3, padding: 1}}
  - repeat: {channels: [16, 24, 40, 72], stride: [1, 2, 2, 2], depth: [2, 3, 4, 2]}
    name: layer{index + 1}
    layers:
      - {repeat: depth, unit: {out_channels: channels, stride: stride if index == 0 else 1}}
  - global_avg_pool2d
  - flatten
  - {name: head, linear: num_classes}
"""

DENSE = """\
archspec: 1
name: dense
input: [8, 8, 8]
params: {num_classes: 2}
blocks:
  dense:
    params: {depth: int}
    layers:
      - repeat: depth
        layers:
          - name: unit{index + 1}
            layers:
              - batch_norm
              - relu
              - conv2d: {out_channels: 4, kernel_size: 3, padding: 1}
          - concat: [input, "unit{index + 1}"]
layers:
  - repeat: {depth: [2, 5, 4, 3]}
    layers:
      - {name: "dense{index + 1}", dense: {depth: depth}}
      - name: half{index + 1}
        when: index < 3
        layers: [{conv2d: {out_channels: in_channels // 2, kernel_size: 1}}, {max_pool2d: 2}]
  - global_avg_pool2d
  - flatten
  - linear: num_classes
"""

SIZES = """\
archspec: 1
name: tokens
input: {shape: [T], dtype: int64, below: 50}
sizes: {T: 12}
layers:
  - {name: wte, embedding: {num_embeddings: 50, embedding_dim: 8}}
  - {name: positions, constant: {arange: "size(input, 1)", dtype: int64}}
  - {name: wpe, embedding: {num_embeddings: 20, embedding_dim: 8}}
  - add: [wte, wpe]
  - {linear: {out_features: 50, bias: false}, weights: {weight: wte.weight}}
"""

STANDARD = """\
archspec: 1
name: standard
input: [3, 64, 64]
layers:
  - conv_norm_act: {out_channels: 16, stride: 2, act: silu}
  - {name: stage, repeat: 3, bottleneck: {channels: 8, stride: 2 if index == 0 else 1}}
  - {name: attention, squeeze_excitation: {squeeze_channels: 4}}
"""


@pytest.mark.parametrize("text", [RESNET, DENSE, SIZES, STANDARD])
def test_what_a_person_wrote_comes_back(text):
    """The graph that is folded has no loops and no parameters left."""
    assert rewritten(archspec.loads(text, warn=False)) == text


def test_flat_has_no_parameters_and_no_loops():
    arch = archspec.loads(RESNET, warn=False)
    text = rewritten(arch, flat=True)
    assert "repeat" not in text
    assert "params" not in text
    assert facts(archspec.loads(text, warn=False).graph) == facts(arch.graph)


def test_standard_blocks_are_known_by_structure_alone():
    arch = archspec.loads(STANDARD, warn=False)
    assert rewritten(arch, named=False) == STANDARD


SPECS = ("resnet18", "lenet_bn", "gpt2", "unet", "lstm_classifier", "torchvision/squeezenet1_0")


@pytest.mark.parametrize("name", SPECS)
def test_bundled_specs_are_the_same_network(name):
    arch = archspec.load(name, warn=False)
    again = archspec.loads(rewritten(arch), warn=False)
    assert facts(again.graph) == facts(arch.graph)
    assert again.sizes == arch.sizes
    assert again.init == arch.init


@given(testing.specs())
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_drawn_specs_are_the_same_network(spec):
    try:
        arch = archspec.loads(testing.to_text(spec), warn=False)
    except SpecError:
        return
    for flat in (False, True):
        text = rewritten(arch, flat=flat)
        assert facts(archspec.loads(text, warn=False).graph) == facts(arch.graph), text
