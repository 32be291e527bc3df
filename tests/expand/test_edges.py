"""Edges: the node before as `-1`, and inputs that are given by name."""

from __future__ import annotations

import pytest
from listing import first_line, listed, listing, loaded, refused

import archspec

TWO = "blocks: {two: {inputs: [x, memory], layers: [{matmul: , from: [memory, x]}]}}\n"
A_AND_B = (
    "- {name: a, conv2d: {out_channels: 4, kernel_size: 1}}\n"
    "- {name: b, from: input, conv2d: {out_channels: 4, kernel_size: 1}}\n"
)


def test_minus_one_is_the_node_before():
    arch = loaded(A_AND_B + "- relu\n- add: [-1, input]\n- {concat: [a, -1]}")
    assert listing(arch)[2:] == [
        "2 = relu(b) -> 4x8x8",
        "3 = add(2, input) -> 4x8x8",
        "4 = concat(a, 3) -> 8x8x8",
    ]


def test_minus_one_of_a_first_node_is_the_input_of_its_list():
    rows = listed(
        "- {repeat: 2, layers: [tanh, {add: [-1, input]}]}\n- layers: [{add: [-1, input]}]"
    )
    assert rows == [
        "0 = tanh(input) -> 4x8x8",
        "1 = add(0, input) -> 4x8x8",
        "2 = tanh(1) -> 4x8x8",
        "3 = add(2, 1) -> 4x8x8",
        "4 = group(3) -> 4x8x8",
        "4.0 = add(input, input) -> 4x8x8",
    ]


def test_minus_one_is_every_value_of_the_node_before_and_can_be_numbered():
    rows = listed("- chunk: 2\n- {concat: [-1, input]}\n- chunk: 2\n- {relu: , from: '-1[1]'}")
    assert rows[1] == "1 = concat(0[0], 0[1], input) -> 8x8x8"
    assert rows[3] == "3 = relu(2[1]) -> 4x8x8"


def test_minus_one_is_an_edge_for_sizes_and_outputs_too():
    rows = listed(
        "- {name: a, conv2d: {out_channels: 8, kernel_size: 3}}\n"
        "- {interpolate: {like: -1}, from: input}\n"
        "- {conv2d: {out_channels: \"size('-1', 1) + size('-1', 2)\", kernel_size: 1}, from: a}\n"
        "- {concat: [-1, '1']}"
    )
    assert rows[1:3] == ["1 = interpolate(input) -> 4x6x6", "2 = conv2d(a) -> 10x6x6"]
    arch = loaded("- {name: a, relu: }\n- tanh", head="outputs: {y: -1, a: a}\n")
    assert [ref.step for ref in arch.graph.outputs] == [1, 0]


def test_inputs_are_given_by_name_in_any_order():
    by_position = loaded(A_AND_B + "- {two: , from: [a, b]}", head=TWO)
    by_name = loaded(A_AND_B + "- {two: , from: {memory: b, x: a}}", head=TWO)
    assert listing(by_name) == listing(by_position)
    assert listing(by_name)[2] == "2 = two(a, b) -> 4x8x8"
    assert listing(archspec.loads(by_name.expand())) == listing(by_name)


@pytest.mark.parametrize(
    ("node", "reads"),
    [
        ("{matmul: , from: {other: a, input: b}}", "b, a"),
        ("{name: again, share: first, from: {memory: a, x: b}}", "b, a"),
        ("{wrap: {held: two}, from: {x: b, y: a}}", "b, a"),
    ],
)
def test_ops_shared_blocks_and_layers_have_named_inputs(node, reads):
    wrap = (
        "  wrap: {inputs: [x, y], params: {held: layers}, "
        "layers: [{$held: , from: {memory: y, x: x}}]}\n"
    )
    head = TWO.replace("{two:", "\n  two:").replace("]}}", "]}") + wrap
    first = "- {name: first, two: , from: [a, b]}\n"
    rows = listed(A_AND_B + first + f"- {node}\n- add: [-1, first]", head=head)
    assert any(f"({reads})" in row for row in rows[4:])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{two: , from: {x: a}}", "two needs the input 'memory'"),
        ("{two: , from: {x: a, memory: b, z: a}}", "two has no input 'z'"),
        ("{two: , from: {x: a, memory: [a, b]}}", "the input 'memory' of two is one value, got 2"),
        ("{relu: , from: {x: a}}", "the inputs of relu have no names"),
        ("{layers: [relu], from: {input: a}}", "the inputs of a group have no names"),
        ("{two: , from: {x: a, memory: c}}", "no node before this one is called 'c'"),
    ],
)
def test_a_wrong_name_of_an_input_is_refused(given, said):
    assert first_line(refused(A_AND_B + f"- {given}", head=TWO)).endswith(said)
