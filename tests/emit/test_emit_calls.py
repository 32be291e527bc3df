"""Ops that are called otherwise than `module(x)`, and tensors that become buffers."""

from __future__ import annotations

import copy
import pickle

import torch
from torch import nn

import archspec

ATTENTION = """
archspec: 1
name: attention
input: [5, 8]
layers:
  - linear: 8
  - multi_head_attention: 2
"""

BUFFERS = """
archspec: 1
name: biased
input: [2, 6, 6]
layers:
  - relative_position_coordinates: [2, 3]
  - linear: 2
  - name: bias
    relative_position_bias: [2, 3]
  - add: [input, bias]
"""


def test_an_op_says_how_its_module_is_called() -> None:
    net = archspec.loads(ATTENTION).build()
    assert not isinstance(net, nn.Sequential)
    assert 'getattr(self, "1")(x, x, x, need_weights=False)[0]' in net.code
    assert type(net.get_submodule("1")) is nn.MultiheadAttention
    x = torch.randn(3, 5, 8)
    traced = torch.fx.symbolic_trace(net)
    for twin in (traced, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), net(x))


def test_attention_verifies_with_each_of_its_kernels() -> None:
    report = archspec.loads(ATTENTION).verify()
    assert report.ok, str(report)


def test_tensors_that_are_not_learned_become_buffers() -> None:
    net = archspec.loads(BUFFERS).build()
    assert dict(net.named_buffers()).keys() == {"0", "bias"}
    assert dict(net.named_parameters()).keys() == {"1.weight", "1.bias"}
    assert 'getattr(self, "0")' in net.code
    assert "self.bias.reshape(-1)" in net.code
    x = torch.randn(3, 2, 6, 6)
    for twin in (torch.fx.symbolic_trace(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), net(x))


def test_work_on_tensors_without_batch_is_done_and_counted_once() -> None:
    arch = archspec.loads(BUFFERS)
    assert arch.macs == 3 * 5 * 2 * 2  # a 3 x 5 grid of offsets, 2 coordinates to 2 heads
    report = arch.verify()
    assert report.ok, str(report)
    assert report.checked["macs"] > 0


def test_buffers_are_built_on_meta_and_loaded() -> None:
    source = archspec.loads(BUFFERS).build()
    net = archspec.loads(BUFFERS).build(device="meta")
    assert all(value.is_meta for value in net.state_dict().values())
    net = net.to_empty(device="cpu")
    net.load_state_dict(source.state_dict())
    x = torch.randn(3, 2, 6, 6)
    assert torch.equal(net(x), source(x))
