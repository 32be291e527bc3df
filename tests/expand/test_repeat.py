"""`repeat`: counts and lists, in place, named, and with a name for each iteration."""

from __future__ import annotations

import pytest
from listing import first_line, listed, refused


def test_a_count_binds_index():
    assert listed("- {repeat: 3, linear: index + 1}\n- relu", input="[2]") == [
        "0 = linear(input) -> 1",
        "1 = linear(0) -> 2",
        "2 = linear(1) -> 3",
        "3 = relu(2) -> 3",
    ]


def test_a_list_binds_each_element_and_index():
    assert listed("- repeat: {size: [5, 7]}\n  linear: size * 10 + index", input="[2]") == [
        "0 = linear(input) -> 50",
        "1 = linear(0) -> 71",
    ]


def test_a_mapping_of_a_table_is_bound_whole():
    head = "params: {stages: [{channels: 5, depth: 1}, {channels: 7, depth: 2}]}\n"
    text = (
        "- repeat: {stage: stages}\n  layers:\n    - {repeat: stage.depth, linear: stage.channels}"
    )
    assert listed(text, input="[2]", head=head) == [
        "0 = linear(input) -> 5",
        "1 = linear(0) -> 7",
        "2 = linear(1) -> 7",
    ]


def test_several_lists_are_walked_together():
    text = "- repeat: {depth: depths, width: widths}\n  linear: depth * width"
    head = "params: {depths: [1, 2], widths: [10, 20]}\n"
    assert [row[-2:] for row in listed(text, input="[2]", head=head)] == ["10", "40"]
    assert refused(text, {"widths": [1]}, input="[2]", head=head) == (
        "<text>:4:13: error AS306: lists that are walked together have one length\n"
        "  4 |   - repeat: {depth: depths, width: widths}\n"
        "    |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "  found:    depth has 2, width has 1"
    )


def test_on_a_node_with_a_name_iterations_are_numbered_below_it():
    assert listed("- {name: r, repeat: 2, linear: index + 1}\n- relu", input="[2]") == [
        "r = group(input) -> 2",
        "r.0 = linear(input) -> 1",
        "r.1 = linear(0) -> 2",
        "1 = relu(r) -> 2",
    ]


def test_a_named_repeat_of_a_group_or_branches_opens_a_scope_for_each_iteration():
    assert listed(
        "- name: r\n  repeat: 2\n  layers: [relu, {add: ['0', input]}]\n"
        "- {name: b, repeat: 1, branches: [[], []], merge: add}"
    ) == [
        "r = group(input) -> 4x8x8",
        "r.0 = group(input) -> 4x8x8",
        "r.0.0 = relu(input) -> 4x8x8",
        "r.0.1 = add(0, input) -> 4x8x8",
        "r.1 = group(0) -> 4x8x8",
        "r.1.0 = relu(input) -> 4x8x8",
        "r.1.1 = add(0, input) -> 4x8x8",
        "b = group(r) -> 4x8x8",
        "b.0 = group(input) -> 4x8x8",
        "b.0.0 = add(input, input) -> 4x8x8",
    ]


def test_where_the_name_holds_an_expression_each_iteration_bears_its_own():
    assert listed(
        "- {name: 'layer{index + 1}', repeat: 2, relu}\n"
        "- {name: '{tag}_{n}', repeat: {tag: [\"'a'\", \"'b'\"], n: [3, 4]}, layers: [tanh]}"
    ) == [
        "layer1 = relu(input) -> 4x8x8",
        "layer2 = relu(layer1) -> 4x8x8",
        "a_3 = group(layer2) -> 4x8x8",
        "a_3.0 = tanh(input) -> 4x8x8",
        "b_4 = group(a_3) -> 4x8x8",
        "b_4.0 = tanh(input) -> 4x8x8",
    ]


def test_the_text_of_a_name_may_come_from_a_table():
    head = "params: {stages: [{tag: a}, {tag: b}]}\n"
    text = "- {name: 'x{stage.tag}', repeat: {stage: stages}, relu}"
    assert [row.split(" =")[0] for row in listed(text, head=head)] == ["xa", "xb"]


def test_unnamed_iterations_join_the_enclosing_list_and_open_no_scope():
    assert listed("- tanh\n- repeat: 2\n  layers: [relu, {linear: 3}]\n- sigmoid", input="[2]") == [
        "0 = tanh(input) -> 2",
        "1 = relu(0) -> 2",
        "2 = linear(1) -> 3",
        "3 = relu(2) -> 3",
        "4 = linear(3) -> 3",
        "5 = sigmoid(4) -> 3",
    ]


def test_input_inside_is_the_iterations_input():
    assert listed("- tanh\n- repeat: 2\n  layers: [relu, {add: [input, '{2 * index + 1}']}]") == [
        "0 = tanh(input) -> 4x8x8",
        "1 = relu(0) -> 4x8x8",
        "2 = add(0, 1) -> 4x8x8",
        "3 = relu(2) -> 4x8x8",
        "4 = add(2, 3) -> 4x8x8",
    ]


def test_names_with_the_index_are_read_within_the_iteration():
    assert listed(
        "- repeat: 2\n  layers:\n    - {name: 'a{index}', relu}\n    - {add: ['a{index}', input]}"
    ) == [
        "a0 = relu(input) -> 4x8x8",
        "1 = add(a0, input) -> 4x8x8",
        "a1 = relu(1) -> 4x8x8",
        "3 = add(a1, 1) -> 4x8x8",
    ]


def test_name_from_and_when_belong_to_the_whole_loop():
    assert listed(
        "- {name: a, relu}\n- tanh\n- {repeat: 2, relu: , from: a}\n- {add: ['1', '3']}"
    ) == [
        "a = relu(input) -> 4x8x8",
        "1 = tanh(a) -> 4x8x8",
        "2 = relu(a) -> 4x8x8",
        "3 = relu(2) -> 4x8x8",
        "4 = add(1, 3) -> 4x8x8",
    ]
    said = refused("- {repeat: 2, relu: , when: index == 0}")
    assert first_line(said) == "3:31: error AS302: `index` is known inside a repeat only"


def test_a_condition_for_each_iteration_stands_inside():
    assert listed(
        "- repeat: 3\n  layers: [{relu: , when: index != 1}, {tanh: , when: index == 1}]"
    ) == [
        "0 = relu(input) -> 4x8x8",
        "1 = tanh(0) -> 4x8x8",
        "2 = relu(1) -> 4x8x8",
    ]


def test_an_inner_index_hides_an_outer_one_so_the_outer_counter_gets_a_name():
    assert listed(
        "- repeat: {stage: 2}\n  layers:\n    - repeat: 2\n      linear: 10 * stage + index + 1",
        input="[2]",
    ) == [
        "0 = linear(input) -> 1",
        "1 = linear(0) -> 2",
        "2 = linear(1) -> 11",
        "3 = linear(2) -> 12",
    ]


def test_a_repeat_may_count_with_sizes_of_its_input():
    assert len(listed("- {repeat: in_channels - 1, relu}")) == 3


def test_no_iteration_passes_the_input_on():
    assert listed(
        "- {repeat: n, relu}\n- {name: r, repeat: {x: xs}, relu}\n- {add: [r, input]}",
        head="params: {n: 0, xs: []}\n",
    ) == ["0 = add(input, input) -> 4x8x8"]


@pytest.mark.parametrize("times", ["1", "2", "n"])
def test_a_fixed_name_inside_an_unnamed_repeat_is_an_error_that_proposes_index(times):
    said = refused(f"- repeat: {times}\n  layers: [{{name: a, relu}}]", head="params: {n: 1}\n")
    assert said == (
        "<text>:5:21: error AS209: every iteration would be called 'a'\n"
        "  5 |     layers: [{name: a, relu}]\n"
        "    |                     ^\n"
        "  expected: a name with an expression in braces, since the repeat has no name\n"
        '  help: write `name: "a{index}"`, or name the repeat'
    )


@pytest.mark.parametrize(
    "node",
    [
        "branches: [[{name: a, relu}], []]\n  merge: add",
        "branches: [[relu], []]\n  merge: {name: a, add: }",
        "layers: [{branches: [[{name: a, relu}], []], merge: add}]",
    ],
)
def test_so_it_is_in_branches_that_join_the_list(node):
    assert "error AS209: every iteration would be called 'a'" in refused(f"- repeat: 1\n  {node}")


def test_a_fixed_name_that_is_alive_once_is_right():
    text = "- repeat: 2\n  layers: [{name: a, relu, when: index == 0}, tanh]"
    assert listed(text)[0] == "a = relu(input) -> 4x8x8"
    said = refused(text.replace("index == 0", "true"))
    assert said.splitlines()[0].endswith("error AS209: the name 'a' stands twice in this list")
    assert "help: both conditions hold here" in said


def test_a_fixed_name_inside_a_named_repeat_is_right():
    rows = listed("- name: r\n  repeat: 2\n  layers: [{name: a, relu}]")
    assert [row.split(" =")[0] for row in rows] == ["r", "r.0", "r.0.a", "r.1", "r.1.a"]


@pytest.mark.parametrize(
    ("repeat", "message"),
    [
        ("0", "a repeat of 0"),
        ("-1", "a repeat of -1"),
        ("1.0", "a repeat counts in whole numbers, got a number, 1.0"),
        ("true", "a repeat counts in whole numbers, got a truth value, true"),
        ("n - 4", "a repeat of -1"),
        ("xs", "a repeat counts in whole numbers, got a list, [1, 2]"),
        ("[1, 2]", "a list to repeat over needs a name for its elements"),
        ("{}", "`repeat` over nothing"),
        ("{x: 1.5}", "'x' walks a list, got a number, 1.5"),
        ("{x: }", "'x' has no list to walk"),
        ("{n: [1]}", "'n' is a parameter already"),
        ("{index: [1]}", "`index` counts every repeat and cannot name a loop variable"),
        ("{len: [1]}", "'len' is a name of the language and cannot name a loop variable"),
        ("{a-b: [1]}", "'a-b' cannot name a loop variable"),
        ("100001", "the number of iterations is over the limit of 100,000 (repeat)"),
    ],
)
def test_wrong_repeats(repeat, message):
    said = refused(f"- relu:\n  repeat: {repeat}\n- linear: n + xs[0]",
                   head="params: {n: 3, xs: [1, 2]}\n")  # fmt: skip
    assert first_line(said).partition(": error ")[2].partition(": ")[2] == message
