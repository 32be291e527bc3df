"""Ops on tensors without the batch axis: learned ones and constants."""

import pytest
import torch
from torch import nn

import archspec


class HandWritten(nn.Module):
    """Attention of each row to learned keys and values, of which one pair stands apart."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.extra = nn.Parameter(torch.randn(3, 8)), nn.Parameter(torch.randn(8))
        self.values = nn.Parameter(torch.randn(2, 2, 5))

    def forward(self, x):
        keys = torch.cat((self.keys, self.extra.reshape(1, 8)))
        scores = torch.matmul(x, nn.functional.normalize(keys, dim=0).t()).softmax(-1)
        values = self.values.flatten(0, 1)
        first, second = values.softmax(0).chunk(2, dim=0)
        mixed = torch.matmul(scores, torch.cat((second, first)))
        return torch.matmul(mixed, torch.eye(5)[:, 1:4])


TEXT = """
input: [6, 8]
layers:
  - {name: keys, parameter: {shape: [3, 8], init: normal}}
  - {name: extra, parameter: {shape: [8], init: normal}}
  - {name: values, parameter: {shape: [2, 2, 5], init: normal}}
  - {name: row, reshape: [1, 8], from: extra}
  - {name: both, concat: {inputs: [keys, row], dim: 0}}
  - {name: unit, normalize: {dim: 0}}
  - {name: turned, permute: [1, 0]}
  - {name: products, matmul: , from: [input, turned]}
  - {name: scores, softmax: -1}
  - {name: folded, flatten: {start_dim: 0, end_dim: 1}, from: values}
  - {name: weights, softmax: 0}
  - {name: halves, chunk: {chunks: 2, dim: 0}}
  - {name: swapped, concat: {inputs: ["halves[1]", "halves[0]"], dim: 0}}
  - {name: mixed, matmul: , from: [scores, swapped]}
  - {name: eye, constant: {eye: 5}}
  - {name: part, slice: {dim: 1, start: 1, end: 4}}
  - {matmul: , from: [mixed, part]}
"""


def test_learned_tensors_are_worked_on_as_torch_does():
    arch, hand = archspec.loads(TEXT), HandWritten()
    net = arch.build()
    net.load_state_dict(hand.state_dict())
    x, way = torch.randn(4, 6, 8), torch.randn(4, 6, 3)
    assert torch.equal(net(x), hand(x))
    for each in (net, hand):
        each(x).backward(way)
    theirs = dict(hand.named_parameters())
    for key, parameter in net.named_parameters():
        assert torch.equal(parameter.grad, theirs[key].grad), key
    for dtype in ("float32", "bfloat16"):
        assert arch.verify(dtype=dtype).ok, arch.verify(dtype=dtype)
    assert archspec.loads(arch.expand()).expand() == arch.expand()


def test_work_on_learned_tensors_alone_counts_once():
    text = """
    input: [4]
    layers:
      - {name: a, parameter: [4, 5]}
      - {name: b, parameter: [5, 3]}
      - {name: ab, matmul: , from: [a, b]}
      - {name: y, matmul: , from: [input, ab]}
    """
    arch = archspec.loads(text)
    assert [layer.macs for layer in arch.summary().layers] == [0, 0, 4 * 5 * 3, 4 * 3]
    assert arch.verify().ok


@pytest.mark.parametrize("shape", ["[2, 3]", "[]", "[6]", "[-1, 2]"])
@pytest.mark.parametrize("batch", [1, 3])
def test_reshape_of_a_learned_tensor_lists_all_axes(shape, batch):
    size = "[1]" if shape == "[]" else "[6]"
    text = f"""
    input: [1, 1]
    layers:
      - {{name: p, parameter: {size}}}
      - {{name: r, reshape: {shape}}}
      - add: [input, r]
    """
    arch = archspec.loads(text)
    assert arch.verify(batch_sizes=(batch,)).ok
