"""Functions of one and two values and reductions, as specs write them, against torch."""

from __future__ import annotations

import pytest
import torch
from listing import loaded, refused

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer, infer_types
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.types import BOOL, FLOAT, INT64, ValueType

X = torch.tensor([[[-2.0, 0.0, 1.5], [3.0, -1.0, 0.25]]])
Y = torch.tensor([[[1.0, -2.0, 1.5], [0.5, 4.0, -3.0]]])

TWO = "inputs: {x: [2, 3], y: [2, 3]}\nlayers:\n  - "


def given(node: str) -> torch.Tensor:
    return archspec.loads(f"{TWO}{node}\n").build()(X, Y)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("sub: [x, y]", X - Y),
        ("sub: 2", X - 2),
        ("{sub: 2, from: y}", Y - 2),
        ("sub: {inputs: y, other: 2}", Y - 2),
        ("div: [x, y]", X / Y),
        ("div: {other: 2, rounding_mode: floor}", torch.floor(X / 2)),
        ("pow: 2", X * X),
        ("pow: {inputs: y, other: 3}", Y * Y * Y),
        ("maximum: [x, y]", torch.maximum(X, Y)),
        ("maximum: 0", torch.relu(X)),
        ("minimum: -0.5", X.clamp(max=-0.5)),
        ("gt: 0", X > 0),
        ("ge: [x, y]", X >= Y),
        ("eq: [x, y]", X == Y),
        ("abs", torch.tensor([[[2.0, 0.0, 1.5], [3.0, 1.0, 0.25]]])),
        ("round", torch.tensor([[[-2.0, 0.0, 2.0], [3.0, -1.0, 0.0]]])),
        ("{mean: 1}", torch.tensor([[0.5, -0.5, 0.875]])),
        ("{sum: [1, 2]}", torch.tensor([1.75])),
        ("{amax: {dim: -1, keepdim: true}}", torch.tensor([[[1.5], [3.0]]])),
        ("{argmin: 2}", torch.tensor([[0, 1]])),
        ("{vector_norm: {dim: 1, ord: 1}}", torch.tensor([[5.0, 1.0, 1.75]])),
    ],
)
def test_a_node_gives_what_torch_does(node, expected):
    torch.testing.assert_close(given(node), expected)


def test_where_takes_numbers_for_its_values():
    head = "inputs: {x: [2, 3], y: [2, 3]}\nlayers:\n  - {name: mask, gt: 0}\n  - where: "
    for form, expected in (
        ("[mask, x, y]", torch.where(X > 0, X, Y)),
        ("{inputs: [mask, x], other: -9}", X.masked_fill(X <= 0, -9)),
        ("{inputs: [mask, y], input: 0.5}", Y.masked_fill(X > 0, 0.5)),
        ("{inputs: mask, input: 1, other: 0}", (X > 0).long()),
    ):
        made = archspec.loads(head + form).build()(X, Y)
        assert made.dtype == expected.dtype and torch.equal(made, expected)


def test_max_gives_values_and_positions():
    text = (
        "input: [2, 3]\nlayers:\n  - {name: top, max: 2}\noutputs: {value: 'top[0]', at: 'top[1]'}"
    )
    arch = archspec.loads(text)
    made = arch.build()(X)
    assert made["value"].tolist() == [[1.5, 3.0]] and made["at"].tolist() == [[2, 0]]
    assert arch.verify().ok


def test_a_list_names_nodes_and_a_number_alone_is_other():
    lines = "- {name: a, tanh: }\n- relu\n- sub: [a, '1']"
    x = torch.randn(2, 4)
    made = loaded(lines, input="[4]").build()(x)
    assert torch.equal(made, torch.tanh(x) - torch.relu(torch.tanh(x)))
    made = loaded("- sub: $k", head="params: {k: 3}\n", input="[4]").build()(x)
    assert torch.equal(made, x - 3)


def test_a_size_as_other_follows_the_input():
    spec = "sizes: {W: 8}\ninput: [3, W]\nlayers:\n  - div: $(size(input, 2))\n  - {sum: 2}\n"
    net = archspec.loads(spec).build()
    for width in (8, 5):
        x = torch.randn(2, 3, width)
        torch.testing.assert_close(net(x), x.mean(dim=2))


def test_a_clamp_by_a_size_follows_the_input():
    head = "sizes: {L: 6}\ninput: {shape: [L], dtype: int64}\nlayers:\n"
    clamp = "  - clamp: {min: 0, max: 'size(input, 1) - 1'}\n"
    net = archspec.loads(head + clamp).build()
    for length in (6, 3, 40):
        x = torch.arange(length).repeat(2, 1) * 2 - 4
        assert torch.equal(net(x), x.clamp(0, length - 1))
    table = "  - embedding: {num_embeddings: 12, embedding_dim: 3}\n"
    assert "1 ≤ L ≤ 12" in str(archspec.loads(head + clamp + table).contract())


def test_a_learned_tensor_counts_its_own_axes():
    lines = """
        - {name: table, parameter: {shape: [3, 4], init: normal}}
        - {name: norm, vector_norm: {dim: 0}, from: table}
        - {name: p, softmax: 0, from: norm}
        - mul: [input, p]
    """
    net = loaded(lines, input="[4]").build(seed=0)
    x = torch.randn(2, 4)
    expected = x * net.table.norm(dim=0).softmax(dim=0)
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("mean: 0", "AS405"),
        ("{sum: [1, 1]}", "names one axis twice"),
        ("{mean: 3}", "dim 3 is outside"),
        ("{var: {dim: 1, correction: 4}}", "divides by 0"),
        ("sub: [input]", "takes 2 inputs, got 1"),
        ("sub: {inputs: [input, input], other: 2}", "takes one input beside a number, got 2"),
        ("where: [input, input, input]", "its condition is float"),
        ("hardtanh: {min_val: 1, max_val: 1}", "not below"),
        ("celu: 0", "divides by 0"),
        ("logical_and: 2", "AS5"),
    ],
)
def test_a_wrong_use_is_refused(node, said):
    assert said in refused(f"- {node}", input="[4, 5]")


@pytest.mark.parametrize(
    ("node", "help_"),
    [
        ("div: 2", "or write `div: {other: 2, rounding_mode: floor}`"),
        ("div: {other: 0, rounding_mode: floor}", "integers are divided by 0"),
        ("pow: -1", "put `to: float` before it"),
        ("sub: 0.5", "put `to: float` before it"),
        ("maximum: 2.0", "or write `other: 2`"),
        ("clamp: {min: 1.0}", "or write `min: 1`"),
        ("round: {decimals: 1}", "put `to: float` before it"),
        ("mean: 1", "put `to: float` before it"),
    ],
)
def test_integers_that_would_become_float32_are_refused(node, help_):
    said = refused(f"- {node}", input="{shape: [4], dtype: int64}")
    assert "AS407" in said and help_ in said


def types(name: str, *given: ValueType, **args) -> list[ValueType]:
    return list(infer_types(REGISTRY[name](**args), [(N, 3)] * len(given), given, 1))


def test_bounds_of_integers():
    bounded = ValueType("int64", 7)
    assert types("neg", bounded) == [INT64]
    assert types("abs", bounded) == [bounded]
    assert types("clamp", bounded, max=4) == [ValueType("int64", 5)]
    assert types("clamp", bounded, min=9) == [ValueType("int64", 10)]
    assert types("clamp", bounded, max=-1) == [INT64]
    assert types("clamp", INT64, min=0, max=15) == [ValueType("int64", 16)]
    assert types("clamp", INT64, min=-1, max=15) == [INT64]
    assert types("div", bounded, other=-2, rounding_mode="trunc") == [INT64]
    assert types("sum", bounded, dim=1) == types("prod", BOOL, dim=1) == [INT64]
    assert types("amax", bounded, dim=1) == [bounded]
    assert types("gt", FLOAT, other=1) == types("logical_not", INT64) == [BOOL]


def test_reductions_keep_the_batch():
    assert infer(REGISTRY["sum"](dim=(1, 2)), [(N, 3, 4)]) == ((N,),)
    with pytest.raises(Refusal) as raised:
        infer(REGISTRY["sum"](dim=(1, -3)), [(N, 3, 4)])
    assert raised.value.code is Code.MIXES_BATCH
