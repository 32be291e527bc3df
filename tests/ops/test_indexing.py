"""Elements chosen by position, put in order and added up, against torch and by hand."""

from __future__ import annotations

import pytest
import torch

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer, infer_types
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.types import BOOL, FLOAT, INT32, INT64, ValueType

MIXED = """
name: mixed
sizes: {T: 6}
inputs:
  x: [T, 8]
  rows: {shape: [3], dtype: int64, below: 4}
layers:
  - {name: best, topk: {k: 2, dim: 1}, from: x}
  - {name: again, gather: {dim: 1}, from: {input: x, index: "best[1]"}}
  - {name: last, argmin: {dim: 1, keepdim: true}, from: x}
  - {name: least, take_along_dim: {dim: 1}, from: {input: x, indices: last}}
  - {name: class, argmax: {dim: 2}, from: x}
  - {name: hot, one_hot: 8}
  - {name: hits, to: float}
  - {name: ordered, sort: {dim: 1, descending: true}, from: x}
  - {name: sums, cumsum: 1, from: "ordered[0]"}
  - {name: first, constant: {arange: 4}}
  - {name: four, index_select: {dim: 1}, from: {input: sums, index: first}}
  - {name: column, unsqueeze: 2, from: rows}
  - {name: wide, expand: [-1, 8]}
  - {name: named, gather: {dim: 1}, from: [x, wide]}
  - concat: ["best[0]", again, least, hits, sums, four, named]
"""


def test_a_network_gives_what_torch_gives():
    arch = archspec.loads(MIXED)
    assert arch.verify().ok, arch.verify()
    x, rows = torch.randn(5, 6, 8), torch.randint(4, (5, 3))
    best, where = x.topk(2, 1)
    ordered = x.sort(1, descending=True).values
    expected = torch.cat(
        (
            *(best, x.gather(1, where), x.amin(1, keepdim=True)),
            torch.nn.functional.one_hot(x.argmax(2), 8).float(),
            *(ordered.cumsum(1), ordered.cumsum(1)[:, :4]),
            torch.stack([each[row] for each, row in zip(x, rows, strict=True)]),
        ),
        1,
    )
    assert torch.equal(arch.build()(x, rows), expected)
    assert archspec.loads(arch.expand()).expand() == arch.expand()


def test_positions_are_a_condition_of_the_contract():
    said = "contract: T ≥ 4\n  T ≥ 4  four (index_select, line 18)"
    assert str(archspec.loads(MIXED).contract()) == said


@pytest.mark.parametrize(
    ("op", "args", "inputs", "types", "bounds"),
    [
        ("argmax", {"dim": 2}, [(N, 5, 4)], [FLOAT], [4]),
        ("argmin", {"dim": -2, "keepdim": True}, [(N, 5, 4)], [INT32], [5]),
        ("max", {"dim": 1}, [(N, 5, 4)], [ValueType("int64", 9)], [9, 5]),
        ("min", {"dim": 0}, [(3, 4)], [FLOAT], [None, 3]),
        ("topk", {"k": 2}, [(N, 5, 4)], [FLOAT], [None, 4]),
        ("sort", {"dim": 1}, [(N, 5, 4)], [ValueType("int32", 9)], [9, 5]),
        ("one_hot", {"num_classes": 4}, [(N,)], [INT64], [2]),
        ("cumsum", {"dim": 1}, [(N, 5)], [ValueType("int64", 9)], [None]),
        (
            "gather",
            {"dim": 1},
            [(N, 5), (N, 2)],
            [ValueType("int64", 9), ValueType("int64", 5)],
            [9],
        ),
        ("index_select", {"dim": 1}, [(N, 5), (2,)], [ValueType("int32", 9), INT32], [9]),
    ],
)
def test_integers_that_are_given_have_a_bound(op, args, inputs, types, bounds):
    made = REGISTRY[op](**args)
    given = infer_types(made, inputs, types, len(infer(made, inputs)))
    assert [kind.below for kind in given] == bounds


def refused(op: str, args: dict, inputs: list, types: list) -> Refusal:
    made = REGISTRY[op](**args)
    with pytest.raises(Refusal) as refusal:
        infer_types(made, inputs, types, len(infer(made, inputs)))
    return refusal.value


@pytest.mark.parametrize(
    ("op", "args", "inputs", "below", "message"),
    [
        *[
            (op, {"dim": 1}, [(N, 5, 4), index], 6, "its index goes up to 5, and dim 1 has size 5")
            for op, index in [
                ("gather", (N, 2, 4)),
                ("take_along_dim", (N, 2, 1)),
                ("index_select", (2,)),
            ]
        ],
        (
            *("take_along_dim", {"dim": -1}, [(1, 4), (N, 2)], 5),
            "its index goes up to 4, and dim 1 has size 4",
        ),
        (
            *("gather", {"dim": 0}, [(1, 4), (1, 4)], None),
            "dim 0 has size 1, and its index is not known to be 0 alone",
        ),
        ("one_hot", {"num_classes": 5}, [(N,)], 6, "its input goes up to 5, and num_classes is 5"),
        (
            *("one_hot", {"num_classes": 1}, [(N,)], None),
            "num_classes is 1, and its input is not known to be 0 alone",
        ),
    ],
)
def test_positions_past_the_end_are_refused(op, args, inputs, below, message):
    types = [FLOAT, INT64][-len(inputs) :]
    types[-1] = ValueType("int64", below)
    refusal = refused(op, args, inputs, types)
    assert (refusal.code, refusal.message) == (Code.DTYPE, message)
    types[-1] = ValueType("int64", below - 1 if below else 1)
    made = REGISTRY[op](**args)
    assert infer_types(made, inputs, types, 1)


@pytest.mark.parametrize(
    ("kind", "help_"),
    [
        (FLOAT, "give inputs by name: `from: {input: x, index: i}`"),
        (BOOL, "put `to: int64` before it"),
        (INT32, "put `to: int64` before it"),
    ],
)
def test_positions_are_integers(kind, help_):
    refusal = refused("gather", {"dim": 1}, [(N, 5), (N, 2)], [FLOAT, kind])
    assert refusal.message == f"its index, the second input, holds positions, and is {kind.name}"
    assert refusal.help == help_


@pytest.mark.parametrize(
    ("op", "args", "inputs", "code", "message"),
    [
        ("gather", {"dim": 1}, [(N, 5, 4), (N, 2)], Code.RANK, "differ in rank"),
        ("gather", {"dim": 0}, [(N, 5), (N, 5)], Code.MIXES_BATCH, "dim 0 is the batch"),
        ("gather", {"dim": 1}, [(3, 5), (N, 5)], Code.UNBATCHED, "one of its inputs has a batch"),
        ("gather", {"dim": 1}, [(N, 5, 4), (N, 5, 6)], Code.SHAPE, "is 4, below 6"),
        ("take_along_dim", {"dim": 1}, [(N, 5, 4), (N, 5, 3)], Code.SHAPE, "do not broadcast"),
        ("index_select", {"dim": 1}, [(N, 5), (N,)], Code.MIXES_BATCH, "slices of their own"),
        ("index_select", {"dim": 1}, [(N, 5), (2, 2)], Code.RANK, "the positions have 2 axes"),
        ("topk", {"k": 6, "dim": 1}, [(N, 5)], Code.SHAPE, "is 5, below 6"),
        ("topk", {"k": 1}, [(N,)], Code.MIXES_BATCH, "dim 0 is the batch"),
        ("sort", {"dim": 2}, [(N, 5)], Code.RANK, "outside a 2-D input"),
        ("cumsum", {"dim": 0}, [(N, 5)], Code.MIXES_BATCH, "dim 0 is the batch"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(op, args, inputs, code, message):
    with pytest.raises(Refusal, match=message) as refusal:
        infer(REGISTRY[op](**args), inputs)
    assert refusal.value.code is code


def test_places_of_grid_sample_go_by_name():
    text = """
    inputs: {places: [3, 2, 2], picture: [4, 5, 6]}
    layers:
      - {grid_sample: , from: {grid: places, input: picture}}
    """
    arch = archspec.loads(text)
    places, picture = torch.rand(2, 3, 2, 2), torch.randn(2, 4, 5, 6)
    expected = torch.nn.functional.grid_sample(picture, places, align_corners=False)
    assert torch.equal(arch.build()(places, picture), expected)
