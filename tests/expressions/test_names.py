"""Which names a node may bear, and how names make paths."""

from __future__ import annotations

import pytest
from listing import first_line, keys, listed, loaded, refused

from archspec.diagnostics.diagnostic import Refusal
from archspec.expressions.names import check_identifier, check_node_name


def test_the_lists_own_input_is_the_one_name_that_is_taken():
    for name in ("input", "input.conv"):
        with pytest.raises(Refusal) as raised:
            check_node_name(name)
        assert raised.value.message.startswith("'input' stands for the list's own input")
    check_node_name("input_conv")


@pytest.mark.parametrize(
    "name",
    [
        *("a", "0", "conv1", "3x3", "a-b", "_a", "A_1-b", "match", "x" * 200, "layer1", "None_"),
        *("a.b", "0.0", "down.0.attn.1", "a-b.c_d", "self", "forward", "lambda", "__class__"),
    ],
)
def test_names_that_fit_the_pattern(name):
    check_node_name(name)
    assert listed(f"- {{name: '{name}', relu}}") == [f"{name} = relu(input) -> 4x8x8"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        ".a",
        "a.",
        "a..b",
        "a.-b",
        "a.*",
        "a b",
        "é",
        "a\n",
        "a/b",
        "x" * 201,
        "a{",
        "}",
        "a[0]",
        "٣",
    ],
)
def test_names_that_do_not(name):
    with pytest.raises(Refusal):
        check_node_name(name)


@pytest.mark.parametrize("name", ["a-b", "1a", "in_channels", "len", "true", "if", "é", ""])
def test_names_of_parameters_are_identifiers_that_the_language_does_not_use(name):
    with pytest.raises(Refusal):
        check_identifier(name, "a parameter")


def test_a_wrong_name_is_shown_with_a_right_one():
    assert refused("- {relu: , name: a/b}") == (
        "<text>:3:20: error AS208: 'a/b' cannot name a node\n"
        "  3 |   - {relu: , name: a/b}\n"
        "    |                    ^^^\n"
        "  expected: letters, digits, _ and -, not beginning with -; dots between parts of a path\n"
        "  help: call it a_b"
    )


def test_a_computed_name_is_checked_too():
    said = refused("- {repeat: 2, relu: , name: '{index}..{index}'}")
    assert first_line(said) == "3:31: error AS208: '0..0' cannot name a node"


def test_a_name_stands_once_in_a_list():
    said = refused("- {relu: , name: a}\n- {tanh: , name: a}")
    assert first_line(said) == "4:20: error AS209: the name 'a' stands twice in this list"


def test_a_name_that_is_another_nodes_position_stands_twice():
    said = refused("- {relu: , name: '1'}\n- tanh")
    assert first_line(said) == "4:5: error AS209: the name '1' stands twice in this list"
    assert "  found:    the first is at line 3" in said
    said = refused("- relu\n- {tanh: , name: '0'}")
    assert first_line(said) == "4:20: error AS209: the name '0' stands twice in this list"
    assert "found:    the node at line 3, which has no name, is called by its number" in said


def test_the_same_name_may_stand_in_two_lists():
    assert listed("- {name: a, layers: [{name: a, relu}]}\n- {name: b, layers: [{name: a, relu}]}")[
        1::2
    ] == ["a.a = relu(input) -> 4x8x8", "b.a = relu(input) -> 4x8x8"]


def test_a_node_without_a_name_is_called_by_its_position():
    assert listed("- relu\n- {name: b, tanh}\n- sigmoid\n- add: ['0', '2']\n- gelu") == [
        "0 = relu(input) -> 4x8x8",
        "b = tanh(0) -> 4x8x8",
        "2 = sigmoid(b) -> 4x8x8",
        "3 = add(0, 2) -> 4x8x8",
        "4 = gelu(3) -> 4x8x8",
    ]


def test_naming_a_node_never_renames_another():
    body = "- relu\n- {}tanh{}\n- add: [input, '0']\n- batch_norm"
    plain = listed(body.replace("{}", ""))
    named = listed(body.replace("{}", "{name: x, ", 1).replace("{}", "}", 1))
    assert [line.split(" = ")[0] for line in plain] == ["0", "2", "3"]
    assert [line.split(" = ")[0] for line in named] == ["0", "2", "3"]


def test_groups_blocks_named_repeats_and_named_branches_open_a_scope_and_nothing_else_does():
    arch = loaded(
        """
        - linear: 2
        - layers: [{linear: 3}]
        - b
        - {repeat: 2, linear: 4}
        - {repeat: 2, name: r, linear: 5}
        - {repeat: 2, name: 's{index}', linear: 6}
        - {branches: [[{linear: 7}], [{linear: 7}]], merge: add}
        - {branches: {p: [{linear: 8}], q: [{linear: 8}]}, merge: add}
        - {name: t, branches: [[{linear: 9}], [{linear: 9}]], merge: add}
        - {repeat: 2, layers: [{linear: 10}, relu]}
        """,
        input="[1]",
        head="blocks: {b: {layers: [{linear: 3}]}}\n",
    )
    assert [key.removesuffix(".weight") for key in keys(arch) if key.endswith("weight")] == [
        *("0", "1.0", "2.0", "3", "4", "r.0", "r.1", "s0", "s1"),
        # Two unnamed branches and their merge take the numbers 8 to 10, the named ones count too.
        *("8", "9", "p.0", "q.0", "t.0", "t.1", "15", "17"),
    ]


def test_names_reproduce_the_keys_of_existing_models():
    arch = loaded(
        """
        - name: layer1
          layers:
            - layers:
                - {name: conv1, conv2d: {out_channels: 4, kernel_size: 1, bias: false}}
                - {name: bn1, batch_norm: {affine: false, track_running_stats: false}}
                - name: downsample
                  from: input
                  layers: [{conv2d: {out_channels: 4, kernel_size: 1, bias: false}}]
                - add: [bn1, downsample]
        """
    )
    assert keys(arch) == ["layer1.0.conv1.weight", "layer1.0.downsample.0.weight"]
