"""`when: EXPR`: a node that is not there passes its input through."""

from __future__ import annotations

import pytest
from listing import first_line, listed, loaded, refused


def test_a_false_condition_takes_no_number_and_makes_no_module():
    text = "- relu\n- {conv2d: {out_channels: 9, kernel_size: 1}, when: wide}\n- tanh"
    assert listed(text, {"wide": False}, head="params: {wide: true}\n") == [
        "0 = relu(input) -> 4x8x8",
        "1 = tanh(0) -> 4x8x8",
    ]
    assert listed(text, head="params: {wide: true}\n")[1:] == [
        "1 = conv2d(0) -> 9x8x8",
        "2 = tanh(1) -> 9x8x8",
    ]


def test_a_name_that_is_not_there_stands_for_what_it_would_have_read():
    assert listed(
        "- {name: a, relu}\n- {name: b, tanh, from: input, when: false}\n- add: [a, b]"
    ) == [
        "a = relu(input) -> 4x8x8",
        "1 = add(a, input) -> 4x8x8",
    ]


def test_a_merge_passes_its_first_input_through():
    assert listed(
        "- {name: conv, relu}\n- {add: [conv, input], when: residual}\n- tanh",
        head="params: {residual: false}\n",
    ) == ["conv = relu(input) -> 4x8x8", "1 = tanh(conv) -> 4x8x8"]


def test_on_a_node_of_several_values_it_needs_an_else():
    assert refused("- {name: h, chunk: 2, when: true}\n- {relu: , from: 'h[0]'}") == (
        "<text>:3:31: error AS201: a node of 2 values with a `when` needs an `else`\n"
        "  3 |   - {name: h, chunk: 2, when: true}\n"
        "    |                               ^^^^\n"
        "  expected: an `else:` with 2 values: a node that is not there hands on one, its first "
        "input\n"
        "  help: say what stands there, or put the `when` on the nodes that read them"
    )


def test_values_of_a_node_that_is_not_there_cannot_be_counted():
    assert refused("- {name: h, chunk: 2, when: false}\n- {relu: , from: 'h[0]'}") == (
        "<text>:4:20: error AS508: 'h' is not there: its name stands for one value, which it "
        "would read\n"
        "  4 |   - {relu: , from: 'h[0]'}\n"
        "    |                    ^^^^^^\n"
        "  expected: `h` alone\n"
        "  found:    h[0]\n"
        "  help: say with `else:` at line 3 what stands there"
    )
    assert listed("- {name: h, chunk: 2, when: false}\n- {relu: , from: h}") == [
        "0 = relu(input) -> 4x8x8"
    ]


@pytest.mark.parametrize("condition", ["true", "false"])
def test_on_a_block_with_several_outputs_too(condition):
    said = refused(
        f"- {{two: , when: {condition}}}\n- tanh",
        head="blocks: {two: {outputs: [a, b], layers: [{name: a, relu}, {name: b, tanh}]}}\n",
    )
    assert "error AS201: a node of 2 values with a `when` needs an `else`" in said


def test_two_nodes_may_bear_one_name_where_at_most_one_is_alive():
    text = "- {name: a, relu, when: first}\n- {name: a, tanh, when: not first}\n- add: [a, input]"
    head = "params: {first: true}\n"
    assert listed(text, head=head)[0] == "a = relu(input) -> 4x8x8"
    assert listed(text, {"first": False}, head=head)[0] == "a = tanh(input) -> 4x8x8"
    said = refused(text.replace("not first", "first"), head=head)
    assert first_line(said) == "5:12: error AS209: the name 'a' stands twice in this list"


def test_in_channels_belongs_to_the_node_itself():
    text = (
        "- conv2d: {out_channels: 6, kernel_size: 1}\n"
        "- {batch_norm: , when: in_channels == 6}\n"
        "- {relu: , from: input, when: in_channels == 6}\n"
        "- {name: r, repeat: in_channels // 2, tanh, from: input}\n"
    )
    assert listed(text, head="outputs: {a: '1', b: r}\n") == [
        "0 = conv2d(input) -> 6x8x8",
        "1 = batch_norm(0) -> 6x8x8",
        "r = group(input) -> 4x8x8",
        "r.0 = tanh(input) -> 4x8x8",
        "r.1 = tanh(0) -> 4x8x8",
    ]


def test_what_it_hands_on_is_read_by_position_where_it_stood_before():
    text = "- {name: x, relu}\n- {add: [%s], when: false}\n- {linear: 3, when: false}\n- tanh"
    assert listed(text % "x, input") == ["x = relu(input) -> 4x8x8", "1 = tanh(x) -> 4x8x8"]
    assert refused(text % "input, x") == (
        "<text>:6:5: error AS508: what this reads is not clear: the add at line 4 is not there, "
        "and its first input is not what stands before it\n"
        "  6 |   - tanh\n"
        "    |     ^^^^\n"
        "  found:    its first input is 'input', and before it stands 'x'\n"
        "  help: say what: `from: input` or `from: x`"
    )
    said = refused((text % "input, x").replace("tanh", "{repeat: 2, tanh}"))
    assert first_line(said).startswith("6:17: error AS508: what this reads is not clear")


def test_a_list_gives_what_is_not_there_only_where_that_is_clear():
    inner = "{name: x, relu}, {name: y, tanh}, {linear: 8, from: x, when: false}"
    for layers in (
        f"- {{layers: [{inner}]}}",
        f"- {{branches: [[{inner}], []], merge: add}}",
        f"- {{repeat: 2, name: r, layers: [{inner}]}}",
    ):
        said = refused(layers)
        assert "error AS508: what this list gives is not clear: the linear at line 3" in said
        assert "help: say beside the `when` what stands there: `else: x` or `else: y`" in said
        assert loaded(layers.replace("when: false", "when: false, else: x")).layers
    both = "- {name: x, relu}\n- {linear: 8, from: input, when: false}"
    assert "AS508" in refused(both)
    assert listed(both, head="outputs: x\n") == ["x = relu(input) -> 4x8x8"]
    again = "- {repeat: 2, layers: [{name: 'x{index}', relu}, {linear: 8, from: input, when: no_}]}"
    assert "AS508" in refused(again, head="params: {no_: false}\n")


def test_learned_tensors_read_nothing_and_so_nothing_unclear():
    rows = listed(
        "- {name: x, relu}\n- {linear: 8, from: input, when: false}\n"
        "- {name: w, parameter: [4, 1, 1]}\n- mul: [x, w]"
    )
    assert rows[1:] == ["w = parameter() -> [4x1x1]", "2 = mul(x, w) -> 4x8x8"]


def test_of_what_is_not_there_no_edge_with_braces_is_computed():
    for edge in ("h{1 - 2}", "{1 // 0}", "x[in_channels]"):
        text = f"- {{name: x, relu}}\n- {{name: s, add: [x, '{edge}'], when: false}}\n- tanh"
        assert listed(text)[1] == "1 = tanh(x) -> 4x8x8"
    text = "- {name: h1, relu}\n- {name: s, from: 'h{%d}', tanh, when: false}\n- add: [s, h1]"
    assert listed(text % 1)[1] == "1 = add(h1, h1) -> 4x8x8"
    assert refused(text % 2) == (
        "<text>:5:11: error AS508: 's' is not there, and 'h{2}', which it would read, is not there "
        "either\n"
        "  5 |   - add: [s, h1]\n"
        "    |           ^\n"
        "  help: say with `else:` at line 4 what stands there"
    )
    # A condition that asks for the sizes of the input needs the first edge.
    said = refused((text % 2).replace("when: false", "when: in_channels > 9"))
    assert first_line(said) == "4:21: error AS501: no node before this one is called 'h2'"


@pytest.mark.parametrize("key", ["from: h2, tanh: ", "share: h2", "add: [input, h2]"])
def test_of_what_is_not_there_a_name_written_out_is_looked_up(key):
    said = refused(f"- relu\n- {{{key}, when: false}}\n- tanh")
    assert "error AS501: no node before this one is called 'h2'" in said


def test_what_is_not_there_need_not_fit():
    assert listed("- {max_pool2d: 9, when: false}\n- {linear: n - 4, when: n > 4}\n- relu",
                  head="params: {n: 3}\n") == ["0 = relu(input) -> 4x8x8"]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "- {relu: , when: 1}",
            "<text>:3:20: error AS303: `when` must be true or false, got a number\n"
            "  3 |   - {relu: , when: 1}\n"
            "    |                    ^\n"
            "  help: compare it: `x > 0`, `x == 'text'`",
        ),
        (
            "- {relu: , when: yes}",
            "<text>:3:20: error AS205: `yes` is text in YAML 1.2, and no truth value\n"
            "  3 |   - {relu: , when: yes}\n"
            "    |                    ^^^\n"
            "  expected: true or false\n"
            "  help: write true",
        ),
        (
            "- {relu: , when: }",
            "<text>:3:14: error AS201: `when` has no value\n"
            "  3 |   - {relu: , when: }\n"
            "    |              ^^^^",
        ),
        (
            "- flatten\n- {relu: , when: in_height > 2}",
            "<text>:4:20: error AS303: in_height has no value for an input of shape (N, 256)\n"
            "  4 |   - {relu: , when: in_height > 2}\n"
            "    |                    ^^^^^^^^^^^^^\n"
            "  help: in_shape lists all its sizes but N; in_features is the last one",
        ),
    ],
)
def test_wrong_conditions(layers, message):
    assert refused(layers) == message


RESIDUAL = """
blocks:
  res:
    params: {out_channels: int, stride: 1, project: $(stride != 1 or in_channels != out_channels)}
    layers:
      - {name: conv1, conv2d: {out_channels: out_channels, kernel_size: 1, stride: stride}}
      - relu
      - name: conv3
        from: input
        when: project
        conv2d: {out_channels: out_channels, kernel_size: 1, stride: stride}
      - add: ['1', conv3]
"""


def test_a_residual_block_needs_nothing_more():
    assert listed(
        "- res: {out_channels: 4}\n- res: {out_channels: 4, stride: 2}", head=RESIDUAL
    ) == [
        "0 = res(input) -> 4x8x8",
        "0.conv1 = conv2d(input) -> 4x8x8",
        "0.1 = relu(conv1) -> 4x8x8",
        "0.2 = add(1, input) -> 4x8x8",
        "1 = res(0) -> 4x4x4",
        "1.conv1 = conv2d(input) -> 4x4x4",
        "1.1 = relu(conv1) -> 4x4x4",
        "1.conv3 = conv2d(input) -> 4x4x4",
        "1.3 = add(1, conv3) -> 4x4x4",
    ]


def test_a_whole_loop_or_group_may_be_left_out():
    assert listed(
        "- {repeat: 2, relu: , when: false}\n- {name: r, repeat: 2, relu, when: false}\n"
        "- {layers: [relu], when: false}\n"
        "- {branches: [[relu], []], merge: add, when: false}\n- add: [r, input]"
    ) == ["0 = add(input, input) -> 4x8x8"]


def test_the_name_of_what_is_not_there_is_checked_at_its_place():
    said = refused("- {relu: , name: '{1 / 2}', when: false}\n- tanh")
    assert first_line(said).startswith("3:20: error AS303: {1 / 2} gives a number")
