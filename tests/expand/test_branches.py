"""`branches`: parallel paths from one input, merged."""

from __future__ import annotations

import pytest
from listing import first_line, keys, listed, loaded, refused


def test_each_branch_starts_at_the_nodes_input_and_the_results_are_merged():
    assert listed(
        """
        - tanh
        - branches:
            - [{conv2d: {out_channels: 2, kernel_size: 1}}, relu]
            - [{max_pool2d: {kernel_size: 3, stride: 1, padding: 1}}]
          merge: concat
        - sigmoid
        """
    ) == [
        "0 = tanh(input) -> 4x8x8",
        "1 = conv2d(0) -> 2x8x8",
        "2 = relu(1) -> 2x8x8",
        "3 = max_pool2d(0) -> 4x8x8",
        "4 = concat(2, 3) -> 6x8x8",
        "5 = sigmoid(4) -> 6x8x8",
    ]


def test_an_empty_branch_is_the_identity():
    assert listed("- tanh\n- {branches: [[], [relu]], merge: add}") == [
        "0 = tanh(input) -> 4x8x8",
        "1 = relu(0) -> 4x8x8",
        "2 = add(0, 1) -> 4x8x8",
    ]


def test_a_branch_may_be_one_node_without_a_list():
    assert listed("- {branches: [relu, {layers: [tanh]}], merge: mul}") == [
        "0 = relu(input) -> 4x8x8",
        "1 = group(input) -> 4x8x8",
        "1.0 = tanh(input) -> 4x8x8",
        "2 = mul(0, 1) -> 4x8x8",
    ]


def test_a_mapping_of_named_lists_gives_the_branches_names():
    assert listed(
        """
        - branches:
            main: [relu, tanh]
            skip: []
            pool: {max_pool2d: {kernel_size: 1}}
          merge: add
        - add: [main, skip, '2']
        """
    ) == [
        "main = group(input) -> 4x8x8",
        "main.0 = relu(input) -> 4x8x8",
        "main.1 = tanh(0) -> 4x8x8",
        "pool = group(input) -> 4x8x8",
        "pool.0 = max_pool2d(input) -> 4x8x8",
        # An empty branch is not a node: its name stands for what it passes on.
        "2 = add(main, input, pool) -> 4x8x8",
        "3 = add(main, input, 2) -> 4x8x8",
    ]


def test_a_name_on_the_node_opens_a_scope():
    assert listed("- {name: b, branches: [[relu], []], merge: add}\n- add: [b, input]") == [
        "b = group(input) -> 4x8x8",
        "b.0 = relu(input) -> 4x8x8",
        "b.1 = add(0, input) -> 4x8x8",
        "1 = add(b, input) -> 4x8x8",
    ]


def test_input_and_from_inside_a_branch():
    assert listed(
        """
        - {name: a, tanh}
        - {name: b, relu}
        - from: a
          branches:
            - [{name: c, sigmoid}, {add: [c, input, b]}]
            - []
          merge: {concat: {dim: 2}}
        """
    ) == [
        "a = tanh(input) -> 4x8x8",
        "b = relu(a) -> 4x8x8",
        "c = sigmoid(a) -> 4x8x8",
        "3 = add(c, a, b) -> 4x8x8",
        "4 = concat(3, a) -> 4x16x8",
    ]


def test_branches_within_branches():
    assert listed(
        "- {branches: [[{branches: [[relu], []], merge: add}], [tanh]], merge: concat}"
    ) == [
        "0 = relu(input) -> 4x8x8",
        "1 = add(0, input) -> 4x8x8",
        "2 = tanh(input) -> 4x8x8",
        "3 = concat(1, 2) -> 8x8x8",
    ]


def test_a_merge_may_have_a_name_a_condition_and_arguments():
    text = "- branches: [[relu], [tanh]]\n  merge: {name: m, concat: {dim: 3}, when: both}"
    head = "params: {both: true}\n"
    assert listed(text, head=head)[-1] == "m = concat(0, 1) -> 4x8x16"
    # A merge that is not there passes its first input through.
    assert listed(text, {"both": False}, head=head) == ["0 = relu(input) -> 4x8x8"]


def test_a_block_with_several_inputs_may_merge():
    assert listed(
        "- {branches: [[relu], [tanh]], merge: gate}",
        head="blocks: {gate: {inputs: [x, g], layers: [{sigmoid: , from: g}, {mul: [x, '0']}]}}\n",
    ) == [
        "0 = relu(input) -> 4x8x8",
        "1 = tanh(input) -> 4x8x8",
        "2 = gate(0, 1) -> 4x8x8",
        "2.0 = sigmoid(g) -> 4x8x8",
        "2.1 = mul(x, 0) -> 4x8x8",
    ]


def test_branches_in_a_repeat():
    assert listed("- {repeat: 2, branches: [[relu], []], merge: concat}") == [
        "0 = relu(input) -> 4x8x8",
        "1 = concat(0, input) -> 8x8x8",
        "2 = relu(1) -> 8x8x8",
        "3 = concat(2, 1) -> 16x8x8",
    ]
    assert listed("- {name: r, repeat: 2, branches: [[relu], []], merge: add}") == [
        "r = group(input) -> 4x8x8",
        "r.0 = group(input) -> 4x8x8",
        "r.0.0 = relu(input) -> 4x8x8",
        "r.0.1 = add(0, input) -> 4x8x8",
        "r.1 = group(0) -> 4x8x8",
        "r.1.0 = relu(input) -> 4x8x8",
        "r.1.1 = add(0, input) -> 4x8x8",
    ]


def test_keys_of_branches():
    arch = loaded("- {branches: {a: [{linear: 3}], b: [{linear: 3}]}, merge: add}", input="[2]")
    assert keys(arch) == ["a.0.weight", "a.0.bias", "b.0.weight", "b.0.bias"]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{branches: 3, merge: add}", "`branches` must be a list of lists, not the number 3"),
        ("{branches: , merge: add}", "`branches` must be a list of lists, not nothing"),
        ("{branches: [[relu], []], merge: [add]}", "`merge` is one op, not a list"),
        (
            "{branches: [[relu], []], merge: {add: [input, input]}}",
            "a merge of branches takes the branches, and names no inputs of its own",
        ),
        ("{branches: [[relu], []], merge: relu}", "relu takes 1 input(s), got 2"),
        ("{branches: [[relu]], merge: add}", "add takes two or more inputs, got 1"),
        (
            "{branches: [[{chunk: 2}], []], merge: add}",
            "add: shapes do not broadcast: (N, 2, 8, 8) and (N, 2, 8, 8) and (N, 4, 8, 8)",
        ),
        ("{branches: {a b: []}, merge: add}", "'a b' cannot name a node"),
        (
            "{branches: [[], []], merge: {add: , repeat: 2}}",
            "a merge stands once and cannot repeat",
        ),
        (
            "{branches: [[relu], []], merge: ad}",
            "'ad' is not an op, nor a block that this file can see",
        ),
        ("{relu: , merge: add}", "`merge` joins branches, or the elements of a parallel"),
    ],
)
def test_wrong_branches(node, message):
    said = first_line(refused(f"- {node}")).partition(": error ")[2].partition(": ")[2]
    assert said == message


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        ("- {branches: [[relu], [tanh]], merge: {add: , when: 1}}\n- {tanh: , from: '2'}", "3:55"),
        ("- {branches: {'{1 / 2}': [], b: [{linear: 3}]}, merge: add}", "3:17"),
        ("- {branches: {'{1 / 2}': [relu], b: [{linear: 3}]}, merge: add}", "3:17"),
    ],
)
def test_what_follows_from_a_mistake_in_branches_is_not_told(layers, place):
    said = refused(layers)
    assert first_line(said).startswith(f"{place}: error AS303") and said.count("error") == 1
