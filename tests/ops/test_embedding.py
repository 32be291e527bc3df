"""Rows looked up by their numbers, against torch and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer, infer_types
from archspec.ir.shape import N
from archspec.ir.tape import Storage, Tape, Tensor
from archspec.ir.types import BOOL, FLOAT, INT32, INT64, ValueType
from archspec.ops.embedding import Embedding


def test_it_gives_the_rows():
    op = Embedding(num_embeddings=3, embedding_dim=2)
    module = op.build((N, 2))
    assert type(module) is nn.Embedding
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]]))
    rows = module(torch.tensor([[2, 0], [1, 1]]))
    assert rows.tolist() == [[[20.0, 21.0], [0.0, 1.0]], [[10.0, 11.0], [10.0, 11.0]]]
    assert infer(op, [(N, 2)]) == ((N, 2, 2),)


@pytest.mark.parametrize("shape", [(N,), (N, 5), (N, 5, 4, 3)])
@pytest.mark.parametrize("kind", [INT64, INT32])
def test_the_row_is_the_last_axis(shape, kind):
    op = Embedding(num_embeddings=9, embedding_dim=4)
    assert infer(op, [shape]) == ((*shape, 4),)
    assert infer_types(op, [shape], [kind], 1) == (FLOAT,)
    assert [(w.name, w.shape) for w in op.weights(shape)] == [("weight", (9, 4))]
    assert op.macs([shape], [(*shape, 4)]) == 0


@pytest.mark.parametrize(("kind", "nbytes"), [(INT64, 2 * 5 * 8), (INT32, 2 * 5 * 4)])
def test_autograd_keeps_the_numbers_alone(kind, nbytes):
    tape = Tape()
    x = Tensor((2, 5), (5, 1), Storage(nbytes), requires_grad=False, type=kind)
    y = Embedding(num_embeddings=9, embedding_dim=4).record(tape, x)
    assert tape.saved_bytes == nbytes
    assert (y.shape, y.requires_grad, y.type) == ((2, 5, 4), True, FLOAT)


@pytest.mark.parametrize("index", [0, 2, -1, -3])
def test_the_row_of_the_padding_is_zero_and_learns_nothing(index):
    module = Embedding(num_embeddings=3, embedding_dim=2, padding_idx=index).build((N, 3))
    assert module.weight[index].tolist() == [0.0, 0.0]
    module(torch.tensor([[0, 1, 2]])).sum().backward()
    assert module.weight.grad.sum(dim=1).tolist() == [0 if i == index % 3 else 2 for i in range(3)]


@pytest.mark.parametrize("index", [3, -4])
def test_the_padding_is_one_of_the_rows(index):
    with pytest.raises(ArgumentsError, match="it counts one of 3 rows, from -3 to 2"):
        Embedding(num_embeddings=3, embedding_dim=2, padding_idx=index)
    with pytest.raises(AssertionError):
        nn.Embedding(3, 2, padding_idx=index)


def refusal(rows: int, kind: ValueType) -> Refusal:
    with pytest.raises(Refusal) as refused:
        infer_types(Embedding(num_embeddings=rows, embedding_dim=2), [(N,)], [kind], 1)
    assert refused.value.code is Code.DTYPE
    return refused.value


def test_an_input_with_more_values_than_rows_is_refused():
    op = Embedding(num_embeddings=10, embedding_dim=2)
    assert infer_types(op, [(N,)], [ValueType("int64", 10)], 1)
    found = refusal(10, ValueType("int64", 11))
    assert found.message == "its input goes up to 10, and it has 10 rows"
    assert (found.expected, found.found) == (
        "an input below 10, or num_embeddings: 11",
        "below: 11",
    )
    assert found.help == (
        "write `num_embeddings: 11`, or declare the input with `below: 10` where none of it is "
        "greater"
    )


def test_a_single_row_needs_an_input_that_is_known_to_be_zero():
    found = refusal(1, INT32)
    assert found.message == "it has 1 row, and its input is not known to be 0 alone"
    assert found.help == "write `below: 1` where the input is declared"
    op = Embedding(num_embeddings=1, embedding_dim=2)
    assert infer_types(op, [(N,)], [ValueType("int32", 1)], 1) == (FLOAT,)
    op = Embedding(num_embeddings=2, embedding_dim=2)
    assert infer_types(op, [(N,)], [INT32], 1) == (FLOAT,)


def test_other_types_are_refused_with_a_way_out():
    assert refusal(10, FLOAT).help == (
        "declare the input as `{shape: […], dtype: int64, below: 10}`, or put `to: int64` before it"
    )
    assert refusal(10, FLOAT).message == "it takes int64 or int32, and reads float"
    assert refusal(10, BOOL).help == "put `to: int64` before it"


CLASSES = """
name: classes
input: [6]
layers:
  - {name: kept, to: bool}
  - {name: kinds, to: int64}
  - {name: three, mul: {other: 3}}
  - {name: up, add: {inputs: kinds, other: 1}}
  - {name: both, concat: [kinds, up]}
  - {name: first, embedding: {num_embeddings: 2, embedding_dim: 3}, from: kinds}
  - {name: second, embedding: {num_embeddings: 4, embedding_dim: 3}, from: three}
  - {name: sum, add: [first, second]}
  - {name: mask, unflatten: {dim: 1, unflattened_size: [6, 1]}, from: kept}
  - {name: masked, mul: [sum, mask]}
  - {name: wide, flatten: , from: both}
  - {name: own, to: float}
  - {name: flat, flatten: , from: masked}
  - concat: [flat, own]
  - {name: fc, linear: 2}
"""


def test_a_network_of_all_types_is_as_real_as_it_says():
    arch = archspec.loads(CLASSES)
    assert arch.verify().ok
    net = arch.build().eval()
    x = torch.tensor([[0.5, 0.0, 2.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]])
    kinds = (x != 0).long()
    rows = (net.first.weight[kinds] + net.second.weight[3 * kinds]) * kinds[..., None]
    whole = torch.cat((rows.flatten(1), kinds, kinds + 1), dim=1)
    assert torch.equal(net(x), net.fc(whole))
    assert net.half()(x.half()).dtype == torch.float16
