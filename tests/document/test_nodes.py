"""The form of a node, its arguments, and the edges between nodes."""

from __future__ import annotations

import pytest
from listing import first_line, keys, listed, loaded, refused

import archspec

CHAIN = ["0 = conv2d(input) -> 2x8x8", "1 = relu(0) -> 2x8x8"]


@pytest.mark.parametrize(
    "node",
    [
        "relu",
        "{relu}",
        "{relu: }",
        "{relu: null}",
        "{relu: ~}",
        "{relu: {}}",
        '"relu"',
        "\n  relu:",
    ],
)
def test_an_op_without_arguments(node):
    assert listed(f"- conv2d: {{out_channels: 2, kernel_size: 1}}\n- {node}") == CHAIN


def test_a_node_is_a_mapping_with_one_op_key_and_node_keys():
    assert listed(
        """
        - {name: bn1, batch_norm}
        - name: act
          relu:
        - {relu: , from: bn1}
        - add: [act, '2']
        """
    ) == [
        "bn1 = batch_norm(input) -> 4x8x8",
        "act = relu(bn1) -> 4x8x8",
        "2 = relu(bn1) -> 4x8x8",
        "3 = add(act, 2) -> 4x8x8",
    ]


def test_the_primary_argument_may_stand_alone():
    arch = loaded("- linear: 10\n- linear: {out_features: 10}\n- dropout: 0.25\n- max_pool2d: 2")
    assert [layer.num_parameters for layer in arch.layers] == [90, 110, 0, 0]
    assert arch.output_shape == ("N", 4, 4, 5)


def test_input_sizes_are_inferred_and_never_written():
    said = refused("- linear: {in_features: 8, out_features: 3}")
    assert first_line(said) == "3:14: error AS206: linear has no argument 'in_features'"


def test_the_rank_decides_the_class_of_batch_norm():
    arch = loaded("- batch_norm\n- global_avg_pool2d\n- flatten\n- batch_norm")
    kinds = [type(module).__name__ for module in arch.build(device="meta").children()]
    assert (kinds[0], kinds[-1]) == ("BatchNorm2d", "BatchNorm1d")


def test_layers_in_the_place_of_an_op_makes_a_group():
    assert listed("- name: head\n  layers:\n    - relu\n    - layers: [tanh]\n- sigmoid") == [
        "head = group(input) -> 4x8x8",
        "head.0 = relu(input) -> 4x8x8",
        "head.1 = group(0) -> 4x8x8",
        "head.1.0 = tanh(input) -> 4x8x8",
        "1 = sigmoid(head) -> 4x8x8",
    ]


# --- edges ---------------------------------------------------------------------------------------


def test_from_reads_named_nodes_of_the_same_list():
    assert listed(
        """
        - {name: a, relu}
        - {name: b, tanh, from: input}
        - {add, from: [a, b]}
        - {concat, from: [a, b, '2']}
        """
    ) == [
        "a = relu(input) -> 4x8x8",
        "b = tanh(input) -> 4x8x8",
        "2 = add(a, b) -> 4x8x8",
        "3 = concat(a, b, 2) -> 12x8x8",
    ]


def test_input_is_the_lists_own_input():
    assert listed("- relu\n- name: g\n  layers:\n    - tanh\n    - add: ['0', input]\n") == [
        "0 = relu(input) -> 4x8x8",
        "g = group(0) -> 4x8x8",
        "g.0 = tanh(input) -> 4x8x8",
        "g.1 = add(0, input) -> 4x8x8",
    ]


def test_a_name_of_an_outer_list_is_unknown_inside():
    said = refused("- {name: a, relu}\n- layers: [{tanh: , from: a}]")
    assert first_line(said) == "4:29: error AS501: no node before this one is called 'a'"


def test_merges_take_their_inputs_as_the_primary_argument():
    assert listed(
        "- {name: a, sigmoid}\n- {name: b, mul: [a, input]}\n- concat: {inputs: [a, b], dim: 2}"
    ) == [
        "a = sigmoid(input) -> 4x8x8",
        "b = mul(a, input) -> 4x8x8",
        "2 = concat(a, b) -> 4x16x8",
    ]


def test_the_outputs_of_a_node_with_several():
    assert listed(
        """
        - {name: halves, chunk: 2}
        - {name: a, relu, from: 'halves[1]'}
        - {repeat: 1, name: g, layers: [{tanh: }], from: 'halves[0]'}
        - concat: [halves, a, g]
        - chunk: 4
        - add
        """
    ) == [
        "halves = chunk(input) -> 2x8x8, 2x8x8",
        "a = relu(halves[1]) -> 2x8x8",
        "g = group(halves[0]) -> 2x8x8",
        "g.0 = group(input) -> 2x8x8",
        "g.0.0 = tanh(input) -> 2x8x8",
        "3 = concat(halves[0], halves[1], a, g) -> 8x8x8",
        "4 = chunk(3) -> 2x8x8, 2x8x8, 2x8x8, 2x8x8",
        "5 = add(4[0], 4[1], 4[2], 4[3]) -> 2x8x8",
    ]


def test_an_outputs_index_may_be_an_expression():
    assert listed(
        "- {name: h, chunk: 2}\n- {name: a, relu, from: 'h[n - 1]'}\n- {add: ['h[1 - n]', a]}",
        head="params: {n: 1}\n",
    )[1:] == ["a = relu(h[0]) -> 2x8x8", "2 = add(h[0], a) -> 2x8x8"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "- {name: stem, relu}\n- {relu: , from: stam}",
            "<text>:4:20: error AS501: no node before this one is called 'stam'\n"
            "  4 |   - {relu: , from: stam}\n"
            "    |                    ^^^^\n"
            "  expected: one of stem, input\n"
            "  help: did you mean 'stem'?",
        ),
        (
            "- {name: a, add: [input, b]}\n- {name: b, relu, from: input}",
            "<text>:3:28: error AS502: 'b' stands after the node that reads it\n"
            "  3 |   - {name: a, add: [input, b]}\n"
            "    |                            ^\n"
            "  expected: a node before this one: a graph has no cycles\n"
            "  help: move 'b', at line 4, before its reader",
        ),
        (
            "- {name: a, add: [input, a]}",
            "<text>:3:28: error AS502: 'a' reads itself\n"
            "  3 |   - {name: a, add: [input, a]}\n"
            "    |                            ^\n"
            "  help: without `from` a node reads the one before it",
        ),
        (
            "- {name: h, chunk: 2}\n- {relu: , from: 'h[2]'}",
            "<text>:4:20: error AS503: 'h' has 2 outputs, counted from 0\n"
            "  4 |   - {relu: , from: 'h[2]'}\n"
            "    |                    ^^^^^^\n"
            "  expected: an index from 0 to 1\n"
            "  found:    2",
        ),
        (
            "- {name: h, chunk: 2}\n- relu",
            "<text>:4:5: error AS504: relu takes 1 input(s), got 2\n"
            "  4 |   - relu\n"
            "    |     ^^^^\n"
            "  expected: 1 input(s)\n"
            "  found:    2\n"
            "  help: 'h' gives 2 values: read one of them, as `from: h[0]`",
        ),
        (
            "- relu\n- add",
            "<text>:4:5: error AS504: add takes two or more inputs, got 1\n"
            "  4 |   - add\n"
            "    |     ^^^\n"
            "  expected: two or more inputs\n"
            "  found:    1\n"
            "  help: name both: `add: [input, 0]`",
        ),
        (
            "- {name: a, relu}\n- {add: [a, input], from: a}",
            "<text>:4:23: error AS201: the inputs are named twice: by `add` and by `from`\n"
            "  4 |   - {add: [a, input], from: a}\n"
            "    |                       ^^^^\n"
            "  help: keep one of the two",
        ),
        (
            "- add: [input, null]",
            "<text>:3:18: error AS201: `add` names nodes, and null is not a name\n"
            "  3 |   - add: [input, null]\n"
            "    |                  ^^^^\n"
            "  expected: a name, or a list of names",
        ),
    ],
)
def test_wrong_edges(layers, message):
    assert refused(layers) == message


def test_a_node_nobody_reads_is_left_out_with_a_warning_that_says_its_cost():
    arch = loaded(
        "- {name: a, relu}\n- {name: b, conv2d: {out_channels: 3, kernel_size: 1}}\n"
        "- tanh\n- {flatten: , from: a}"
    )
    assert [layer.path for layer in arch.layers] == ["a", "3"]
    assert keys(arch) == []
    assert [str(warning) for warning in arch.warnings] == [
        "<text>:4:15: warning AS901: nobody reads 'b' (conv2d): its 15 parameters are left out of "
        "the module\n"
        "  4 |   - {name: b, conv2d: {out_channels: 3, kernel_size: 1}}\n"
        "    |               ^^^^^^\n"
        "  help: read it with `from:` or a merge, or remove it",
        "<text>:5:5: warning AS901: nobody reads '2' (tanh): it is left out of the module\n"
        "  5 |   - tanh\n"
        "    |     ^^^^\n"
        "  help: read it with `from:` or a merge, or remove it",
    ]


# --- the rest of a spec's keys -------------------------------------------------------------------


def test_the_keys_of_a_whole_spec():
    arch = archspec.loads(
        "archspec: 1\nname: net\ndoc: Some words.\ninput: [3]\nparams: {n: 5}\n"
        "layers: [{linear: n}]\ninit: xavier_uniform\n"
        "train: {dataset: fashion_mnist, lr: 1e-1, resize: [1, 2], loss_weights: {a: 1}}\n"
    )
    assert (arch.name, arch.doc, arch.init, arch.params) == (
        *("net", "Some words.", "xavier_uniform"),
        {"n": 5},
    )
    assert arch.recipe == {
        "dataset": "fashion_mnist",
        "lr": 0.1,
        "resize": [1, 2],
        "loss_weights": {"a": 1},
    }
    assert arch.output_shape == ("N", 5)


def test_parameters_are_overridden_from_outside_and_typed_by_their_defaults():
    def out(params):
        return loaded("- linear: n", params, input="[3]", head="params: {n: 5}\n").output_shape

    assert (out({}), out({"n": 7})) == (("N", 5), ("N", 7))
    said = refused("- linear: n", {"n": 7.0}, input="[3]", head="params: {n: 5}\n")
    assert said == (
        "params['n']:1:1: error AS304: network: n cannot be 7.0\n"
        "  1 | 7.0\n"
        "    | ^^^\n"
        "  expected: a whole number, as declared at <text>:2:10\n"
        "  found:    a number\n"
        "  help: write 7"
    )
    said = refused("- linear: n", {"m": 7}, input="[3]", head="params: {n: 5}\n")
    assert said == (
        "params:1:1: error AS305: the spec has no parameter 'm'\n"
        "  1 | 'm': 7\n"
        "    | ^^^\n"
        "  expected: one of n"
    )


def test_a_parameter_that_nothing_uses_is_warned_of():
    arch = loaded("- linear: n", input="[3]", head="params: {n: 5, m: 6}\n")
    assert [warning.message for warning in arch.warnings] == [
        "nothing in the spec uses the parameter 'm'"
    ]


def test_sizes_of_the_input_may_name_parameters():
    arch = loaded("- relu", {"side": 6}, input="[3, side, side // 2]", head="params: {side: 8}\n")
    assert arch.input_shape == ("N", 3, 6, 3)


def test_the_caller_may_replace_the_input():
    arch = archspec.loads("input: [3, 8, 8]\nlayers: [relu]", input_shape=(1, 4, 4))
    assert arch.output_shape == ("N", 1, 4, 4)


@pytest.mark.parametrize(
    ("node", "head", "help_"),
    [
        ("conv2d: [[1], 2]", "", "write `conv2d: {argument: value}`"),
        ("conv2d: [1, 2, 3, 4, 5, 6, 7, 8, 9]", "", "write `conv2d: {argument: value}`"),
        ("conv2d: [4, 3]", "", "write `conv2d: {out_channels: 4, kernel_size: 3}`"),
        ("conv2d: [4]", "", "write `conv2d: {out_channels: 4, kernel_size: …}`"),
        ("b: [1]", "blocks: {b: {layers: [relu]}}\n", "it takes no arguments: write `b` alone"),
        ("{conv2d: {a: 4}, kernel_size: 3}", "", "move it into `conv2d: {…}`"),
        ("{conv_norm_act: {act: relu}, kernel_size: 3}", "", "move it into `conv_norm_act: {…}`"),
        ("{b: , c: 3}", "blocks: {b: {params: {c: 1}, layers: [relu]}}\n", "indent it under `b:`"),
    ],
)
def test_where_arguments_belong(node, head, help_):
    assert help_ in refused(f"- {node}", head=head)


def test_a_group_needs_its_list():
    said = refused("- relu\n- layers")
    assert first_line(said).startswith("4:5: error AS201: `layers` needs a list of nodes")


@pytest.mark.parametrize(
    ("name", "helps"),
    [("{index}", ['  help: quote it: "{index}"']), ("{}", []), ("{a: 1, b: 2}", []), ("[a]", [])],
)
def test_a_name_in_braces_is_quoted(name, helps):
    said = refused(f"- {{name: {name}, relu: }}")
    assert first_line(said).startswith("3:12: error AS208: ") and "cannot name a node" in said
    assert [line for line in said.splitlines() if "help" in line] == helps
