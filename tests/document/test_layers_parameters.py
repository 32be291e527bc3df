"""A parameter may be layers: an op, a node with some arguments, a list of nodes."""

from __future__ import annotations

import pytest
from listing import first_line, listed, loaded, refused

from archspec.ir.shape import N

HEAD = """
blocks:
  b:
    params: {norm: batch_norm, act: relu, body: layers}
    layers:
      - $norm
      - $act
      - $body
"""


def inner(layers: str, head: str = HEAD, **more) -> list[str]:
    """What is below the first block's node."""
    return [row[2:] for row in listed(layers, head=head, **more) if row.startswith("0.")]


def test_a_parameter_stands_for_what_the_caller_gave():
    assert inner("- b: {body: tanh}") == [
        "0 = batch_norm(input) -> 4x8x8",
        "1 = relu(0) -> 4x8x8",
        "2 = tanh(1) -> 4x8x8",
    ]
    assert inner("- b: {norm: {group_norm: 2}, act: silu, body: {linear: 3}}") == [
        "0 = group_norm(input) -> 4x8x8",
        "1 = silu(0) -> 4x8x8",
        "2 = linear(1) -> 4x8x3",
    ]


def test_a_list_of_nodes_is_a_group():
    assert inner("- b: {body: [{name: a, tanh}, {add: [a, input]}]}")[2:] == [
        "2 = group(1) -> 4x8x8",
        "2.a = tanh(input) -> 4x8x8",
        "2.1 = add(a, input) -> 4x8x8",
    ]


def test_a_block_may_be_given_with_some_of_its_arguments():
    head = HEAD + "  fc: {params: {size: int}, layers: [{linear: size}]}\n"
    assert inner("- b: {body: {fc: {size: 5}}}", head)[2:] == [
        "2 = fc(1) -> 4x8x5",
        "2.0 = linear(input) -> 4x8x5",
    ]


def test_given_arguments_are_kept():
    arch = loaded(
        "- b: {norm: {batch_norm: {eps: 0.001, affine: false}}, body: identity}", head=HEAD
    )
    assert arch.num_parameters == 0
    assert arch.build(device="meta")[0][0].eps == 0.001


ADDING = """
blocks:
  fc: {params: {out_features: int, act: tanh}, layers: [{linear: out_features}, $act]}
  b:
    params: {layer: linear, n: 3}
    layers:
      - $layer: {out_features: n * 2}
      - {$layer: {out_features: in_features + 1}, name: last}
"""


def test_as_a_key_it_adds_arguments():
    assert inner("- b", ADDING)[0::1] == [
        "0 = linear(input) -> 4x8x6",
        "last = linear(0) -> 4x8x7",
    ]
    arch = loaded("- b: {layer: {linear: {bias: false}}}", head=ADDING)
    assert [layer.num_parameters for layer in arch.layers] == [48, 42]
    assert inner("- b: {layer: {fc: {act: relu}}}", ADDING) == [
        "0 = fc(input) -> 4x8x6",
        "0.0 = linear(input) -> 4x8x6",
        "0.1 = relu(0) -> 4x8x6",
        "last = fc(0) -> 4x8x7",
        "last.0 = linear(input) -> 4x8x7",
        "last.1 = relu(0) -> 4x8x7",
    ]


def test_the_same_argument_twice_is_an_error():
    said = refused("- b: {layer: {linear: {out_features: 3}}}", head=ADDING)
    assert "linear: out_features is given twice, here and with the layers" in said
    said = refused("- b: {layer: {fc: {out_features: 3}}}", head=ADDING)
    assert "out_features is given twice: here and with the layers" in said


def test_arguments_cannot_be_added_to_a_list():
    said = refused("- b: {layer: [relu]}", head=ADDING)
    assert "arguments can be added to one op or block, and $layer holds a list" in said


def test_an_argument_that_the_given_op_has_not():
    said = refused("- b: {layer: relu}", head=ADDING)
    assert "error AS206: relu has no argument 'out_features'" in said


def test_identity_stands_for_none():
    head = "blocks: {b: {params: {act: relu}, layers: [tanh, {$act, when: act != 'identity'}]}}\n"
    assert inner("- b: {act: identity}", head) == ["0 = tanh(input) -> 4x8x8"]
    assert inner("- b: {act: identity}", head.replace(", when: act != 'identity'", "")) == [
        "0 = tanh(input) -> 4x8x8",
        "1 = identity(0) -> 4x8x8",
    ]
    assert len(inner("- b", head)) == 2


def test_layers_see_the_names_where_they_were_written_and_the_sizes_where_they_are_placed():
    head = "params: {n: 3}\n" + HEAD
    rows = listed(
        "- {repeat: 2, b: {body: [{linear: n + index}, {linear: in_features * 2}]}}", head=head
    )
    assert [row for row in rows if "linear" in row] == [
        "0.2.0 = linear(input) -> 4x8x3",
        "0.2.1 = linear(0) -> 4x8x6",
        "1.2.0 = linear(input) -> 4x8x4",
        "1.2.1 = linear(0) -> 4x8x8",
    ]


def test_layers_are_handed_on():
    head = HEAD + "  outer: {params: {act: relu}, layers: [{b: {act: $act, body: $act}}]}\n"
    assert [row for row in listed("- outer: {act: gelu}", head=head) if "gelu" in row] == [
        "0.0.1 = gelu(0) -> 4x8x8",
        "0.0.2 = gelu(1) -> 4x8x8",
    ]


def test_a_specs_own_parameter_may_be_layers_and_overridden():
    text, head = "- linear: 3\n- $act\n- $act", "params: {act: relu}\n"
    assert listed(text, head=head)[1:] == ["1 = relu(0) -> 4x8x3", "2 = relu(1) -> 4x8x3"]
    assert listed(text, {"act": "tanh"}, head=head)[1:] == [
        "1 = tanh(0) -> 4x8x3",
        "2 = tanh(1) -> 4x8x3",
    ]
    assert listed(text, {"act": {"leaky_relu": {"negative_slope": 0.1}}}, head=head)[1].startswith(
        "1 = leaky_relu"
    )
    assert loaded(text, head=head).params == {"act": "relu"}


def test_a_node_key_beside_it_and_a_repeat():
    head = "blocks: {b: {params: {act: relu}, layers: [{name: a, $act, repeat: 2}]}}\n"
    assert inner("- b: {act: tanh}", head) == [
        "a = group(input) -> 4x8x8",
        "a.0 = tanh(input) -> 4x8x8",
        "a.1 = tanh(0) -> 4x8x8",
    ]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("- b", "b needs the argument 'body'"),
        ("- b: {body: 3}", "the number 3 is not a node"),
        ("- b: {body: rleu}", "'rleu' is not an op, nor a block that this file can see"),
        ("- $act", "no parameter 'act' is in scope"),
        ("- $n", "the parameter 'n' holds a number, and a node needs layers"),
    ],
)
def test_wrong_layers(layers, message):
    said = refused(layers, head="params: {n: 3}\n" + HEAD)
    assert first_line(said).partition(": error ")[2].partition(": ")[2] == message


def test_a_list_of_one_node_is_a_group_like_any_list():
    assert inner("- b: {body: [tanh]}")[2:] == [
        "2 = group(1) -> 4x8x8",
        "2.0 = tanh(input) -> 4x8x8",
    ]


def test_rows_of_a_table_are_no_nodes_though_a_column_is_called_like_an_op():
    head = "params: {stages: [{linear: 8, dropout: 0.1}, {linear: 5, dropout: 0.2}]}\n"
    text = "- {repeat: {s: stages}, layers: [{linear: s.linear}, {dropout: s.dropout}, tanh]}"
    arch = loaded(text, input="[3]", head=head)
    assert [layer.op for layer in arch.layers] == ["linear", "dropout", "tanh"] * 2
    assert arch.output_shape == (N, 5)


def test_layers_are_equal_where_they_are_the_same():
    head = (
        "params: {act: relu}\nblocks: {b: {params: {f: layers, g: layers},"
        " layers: [tanh, {sigmoid: , when: f == g}]}}\n"
    )
    assert len(listed("- b: {f: $act, g: $act}", head=head)) == 3
    assert len(listed("- b: {f: $act, g: tanh}", head=head)) == 2
