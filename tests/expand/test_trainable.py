"""`trainable: false`: what a node owns is not trained."""

import pytest
import torch
from torch import nn

import archspec

TEXT = """
params: {frozen: true}
input: [3, 8, 8]
blocks:
  stage:
    params: {channels: int}
    layers:
      - {name: conv, conv2d: {out_channels: channels, kernel_size: 3}}
      - {name: norm, batch_norm: }
      - relu
layers:
  - {name: stem, conv2d: {out_channels: 4, kernel_size: 1}, trainable: false}
  - {name: first, stage: {channels: 4}, trainable: not frozen}
  - {name: second, stage: {channels: 4}}
  - name: tower
    repeat: 2
    trainable: false
    layers: [{conv2d: {out_channels: 4, kernel_size: 1}}, relu]
  - {repeat: 1, trainable: false, layers: [{name: "last{index}", batch_norm: }]}
  - {name: scale, parameter: {shape: [4, 1, 1], init: ones}, trainable: false}
  - {name: shift, parameter: {shape: [4, 1, 1]}}
  - {name: scaled, mul: [last0, scale]}
  - {name: shifted, add: [scaled, shift]}
  - {name: again, share: stem, from: input}
  - {name: both, add: [shifted, shifted]}
  - global_avg_pool2d
  - flatten
  - {name: fc, linear: 2}
outputs: {fc: fc, again: again}
"""

FROZEN = {
    *("stem.weight", "stem.bias", "scale", "last0.weight", "last0.bias"),
    *(f"first.{key}" for key in ("conv.weight", "conv.bias", "norm.weight", "norm.bias")),
    *(f"tower.{i}.0.{key}" for i in (0, 1) for key in ("weight", "bias")),
}


@pytest.fixture(scope="module")
def arch():
    return archspec.loads(TEXT, warn=False)


def frozen(net: nn.Module):
    return {key for key, parameter in net.named_parameters() if not parameter.requires_grad}


def test_parameters_have_no_gradient(arch):
    net = arch.build()
    assert frozen(net) == FROZEN
    sum(value.sum() for value in net(torch.randn(2, 3, 8, 8)).values()).backward()
    assert {key for key, each in net.named_parameters() if each.grad is None} == FROZEN


def test_what_a_block_owns_trains_where_the_condition_says_so():
    net = archspec.loads(TEXT, {"frozen": False}, warn=False).build()
    assert frozen(net) == {key for key in FROZEN if not key.startswith("first.")}


def test_the_summary_counts_them(arch):
    net, summary = arch.build(), arch.summary()
    count = sum(each.numel() for each in net.parameters() if each.requires_grad)
    assert summary.num_trainable_parameters == count
    assert summary.num_parameters == sum(each.numel() for each in net.parameters())
    assert "frozen: conv2d(4, 1)" in str(summary)
    layers = {layer["path"]: layer for layer in summary.as_dict()["layers"]}
    assert layers["first.norm"]["frozen"] and not layers["second.norm"]["frozen"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_saved_memory_is_that_of_the_frozen_network(arch, dtype):
    report = arch.verify(dtype=dtype)
    assert report.ok, report
    whole = archspec.loads(TEXT.replace("trainable: false", "trainable: true"), warn=False)
    assert arch.summary(batch_size=4).saved_bytes < whole.summary(batch_size=4).saved_bytes


def test_expands_to_itself(arch):
    again = archspec.loads(arch.expand(), warn=False)
    assert again.expand() == arch.expand()
    assert frozen(again.build()) == FROZEN


def test_frozen_keys_survive_copies_precisions_and_taps(arch):
    assert frozen(arch.build(dtype=torch.bfloat16)) == FROZEN
    assert frozen(arch.build(outputs=["first"])) == {
        key for key in FROZEN if key[:5] != "first"
    } & {
        "stem.weight",
        "stem.bias",
    } | {key for key in FROZEN if key.startswith("first")}


def test_attention_that_nothing_trains_is_counted_all_the_same():
    text = "input: [5, 8]\nlayers: [{name: a, multi_head_attention: 2, trainable: false}]"
    report = archspec.loads(text).verify()
    assert report.ok, report


@pytest.mark.parametrize("loop", ["repeat: 3", "parallel: 3, merge: add"])
def test_every_use_of_one_frozen_module_saves_nothing(loop):
    arch = archspec.loads(
        f"input: [8]\nlayers: [{{name: a, linear: 8, {loop}, share: true, trainable: false}}, "
        "{linear: 2}]"
    )
    assert arch.summary(batch_size=2).saved_bytes == 2 * 8 * 4  # the input of the last layer
    assert [layer.frozen for layer in arch.nodes if layer.name.startswith("a")] == [True] * 3
    report = arch.verify()
    assert report.ok, report
