"""Several inputs and outputs of a spec, and `training_only`."""

from __future__ import annotations

import pytest
import torch
from listing import first_line, listed, listing, loaded, refusal, refused

import archspec

IMAGE = "inputs: {image: [3, 8, 8], meta: [16]}\n"


def test_inputs_are_named():
    arch = loaded(
        "- flatten\n- concat: ['0', meta]\n- linear: 5\n- {linear: 5, from: image}",
        input="",
        head=IMAGE + "outputs: {a: '2', b: '3'}\n",
    )
    assert listing(arch) == [
        "0 = flatten(image) -> 192",  # the first node reads the first input
        "1 = concat(0, meta) -> 208",
        "2 = linear(1) -> 5",
        "3 = linear(image) -> 3x8x5",
    ]
    assert arch.input_shape == {"image": ("N", 3, 8, 8), "meta": ("N", 16)}
    assert arch.output_shape == {"a": ("N", 5), "b": ("N", 3, 8, 5)}
    outputs = arch.build()(torch.rand(2, 3, 8, 8), torch.rand(2, 16))
    assert list(outputs) == ["a", "b"]
    assert archspec.loads(arch.expand()).input_shape == arch.input_shape


def test_one_input_may_have_a_name():
    assert listed("- relu\n- add: ['0', x, input]", input="", head="inputs: {x: [3]}\n") == [
        "0 = relu(x) -> 3",
        "1 = add(0, x, x) -> 3",
    ]


def test_the_caller_may_replace_inputs_by_name():
    text = f"{IMAGE}layers: [flatten, {{concat: ['0', meta]}}]\n"
    arch = archspec.loads(text, input_shape={"meta": (1,)})
    assert arch.output_shape == ("N", 193)
    with pytest.raises(archspec.SpecError, match="the spec has no input 'met'"):
        archspec.loads(text, input_shape={"met": (1,)})


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("inputs: {}", "`inputs` must be a mapping of names to sizes, not an empty mapping"),
        ("inputs: [x]", "`inputs` must be a mapping of names to sizes, not a list"),
        (
            "inputs: {in_shape: [3]}",
            "'in_shape' is a name of the language and cannot name an input",
        ),
        ("inputs: {a: 3}", "an input is a list of sizes, not the number 3"),
        ("input: [3]\ninputs: {a: [3]}", "`input` and `inputs` exclude each other"),
    ],
)
def test_wrong_inputs(head, message):
    said = first_line(refused("- relu", input="", head=head + "\n"))
    assert said.partition(": error ")[2].partition(": ")[2] == message


def test_a_node_may_not_bear_an_inputs_name():
    said = refused("- {name: image, relu}", input="", head=IMAGE)
    assert first_line(said) == "3:12: error AS209: 'image' is an input of this list"


# --- outputs -------------------------------------------------------------------------------------

BODY = "- {name: fc, linear: 5}\n- {name: aux, linear: 3, from: input}\n"


def test_one_output_returns_a_tensor():
    for outputs in ("outputs: fc\n", "outputs: [fc]\n", "outputs: {logits: fc}\n"):
        arch = loaded(BODY, head=outputs)
        assert arch.output_shape == ("N", 4, 8, 5)
        assert arch.build()(torch.rand(2, 4, 8, 8)).shape == (2, 4, 8, 5)


def test_several_outputs_return_a_dict_in_their_order():
    arch = loaded(BODY, head="outputs: {side: aux, logits: fc, raw: input}\n")
    shapes = {"side": ("N", 4, 8, 3), "logits": ("N", 4, 8, 5), "raw": ("N", 4, 8, 8)}
    assert arch.output_shape == shapes
    found = arch.build()(torch.rand(2, 4, 8, 8))
    assert [(name, tuple(y.shape[1:])) for name, y in found.items()] == [
        (name, shape[1:]) for name, shape in shapes.items()
    ]


def test_one_output_of_a_node_with_several_may_be_named():
    arch = loaded("- {name: h, chunk: 2}", head="outputs: {a: 'h[1]', b: 'h[0]'}\n")
    assert arch.output_shape == {"a": ("N", 2, 8, 8), "b": ("N", 2, 8, 8)}


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("{a: fd}", "no node before this one is called 'fd'"),
        ("{a: [fc, aux]}", "the output 'a' is one value, not a list"),
        ("[fc, aux]", "`outputs` lists 2 outputs, and several need names"),
        ("{a: h}", "'h' has 2 outputs"),
        ("{a-b: fc}", "'a-b' cannot name an output"),
        ("{}", "`outputs` names no node"),
        ("[]", "`outputs` names no node"),
    ],
)
def test_wrong_outputs(outputs, message):
    said = first_line(refused(BODY + "- {name: h, chunk: 2}", head=f"outputs: {outputs}\n"))
    assert said.partition(": error ")[2].partition(": ")[2] == message


def test_a_last_node_with_several_outputs_needs_names():
    assert refused("- chunk: 2") == (
        "<text>:3:5: error AS505: the last node has 2 outputs, and several need names\n"
        "  3 |   - chunk: 2\n"
        "    |     ^^^^^\n"
        "  help: name them at the top level of the file: `outputs: {a: '0[0]', b: '0[1]'}`"
    )


def test_it_is_the_last_node_that_is_shown():
    assert first_line(refused("- relu\n- chunk: 2")).startswith("4:5: error AS505")


def test_names_are_proposed_for_all_outputs_an_input_among_them():
    said = refused("- {name: a, relu: }", head="outputs: [input, a]\n")
    assert said.endswith("`outputs: {input: input, a: a}`")
    arch = loaded("- {name: a, relu: }", head="outputs: {input: input, a: a}\n")
    assert arch.output_shape == {"input": ("N", 4, 8, 8), "a": ("N", 4, 8, 8)}


def test_a_spec_needs_a_node():
    said = refused("- {relu: , when: false}")
    assert "error AS505: the spec has no nodes that are read" in said
    assert "error AS201: `layers` is empty" in refused("[]")


# --- training_only -------------------------------------------------------------------------------

AUXILIARY = """
- {name: body, linear: 6}
- {name: aux, training_only: true, layers: [{linear: 3}, relu]}
- {name: fc, linear: 5, from: body}
"""


def test_a_training_only_node_and_its_output_are_left_out_in_eval():
    arch = loaded(AUXILIARY, head="outputs: {logits: fc, aux: aux}\n")
    assert listing(arch)[1] == "aux = group(body) -> 4x8x3 in train()"
    net, x = arch.build(), torch.rand(2, 4, 8, 8)
    assert list(net.train()(x)) == ["logits", "aux"]
    assert net.eval()(x).shape == (2, 4, 8, 5)  # one output remains
    assert arch.output_shape == ("N", 4, 8, 5)
    assert arch.verify(batch_sizes=(2,)).ok


def test_costs_are_given_for_evaluation():
    arch = loaded(AUXILIARY, head="outputs: {logits: fc, aux: aux}\n")
    assert arch.macs == 4 * 8 * (8 * 6 + 6 * 5)


def test_what_is_left_stays_a_dict_where_several_outputs_remain():
    arch = loaded(AUXILIARY, head="outputs: {logits: fc, aux: aux, body: body}\n")
    assert list(arch.output_shape) == ["logits", "body"]
    assert list(arch.build().eval()(torch.rand(2, 4, 8, 8))) == ["logits", "body"]


@pytest.mark.parametrize(
    "node",
    [
        "{repeat: 2, linear: 3, training_only: true}",
        "{name: r, repeat: 2, linear: 3, training_only: true}",
        "{repeat: 2, layers: [{linear: 3}], training_only: true}",
        "{branches: [[{linear: 3}], [{linear: 3}]], merge: {name: r, add: }, training_only: true}",
        "{name: r, branches: [[{linear: 3}], [{linear: 3}]], merge: add, training_only: true}",
    ],
)
def test_it_holds_for_all_that_a_loop_or_branches_place(node):
    last = "r" if "name: r" in node else "2"
    arch = loaded(
        f"- {{name: body, linear: 6}}\n- {node}\n- {{name: fc, linear: 5, from: body}}",
        head=f"outputs: {{logits: fc, aux: {last}}}\n",
    )
    assert [step.training_only for step in arch.graph.steps[1:-1]] == [True] * (
        len(arch.graph.steps) - 2
    )
    assert arch.output_shape == ("N", 4, 8, 5)
    assert arch.verify(batch_sizes=(2,)).ok


@pytest.mark.parametrize(
    ("layers", "outputs", "message"),
    [
        (
            "- {relu: , training_only: true}\n- tanh",
            "",
            "it reads '0', which is not there in eval()",
        ),
        (
            "- {relu: , training_only: true}",
            "",
            "no output is left in eval(): all are training_only",
        ),
        (
            "- {layers: [{relu: , training_only: true}]}\n- tanh",
            "",
            "a block or group cannot return a training_only node",
        ),
    ],
)
def test_wrong_use_of_training_only(layers, outputs, message):
    assert f"error AS506: {message}" in refused(layers, head=outputs)


def test_a_wrong_input_is_all_that_is_told_though_the_caller_gives_another():
    said = refusal(
        "input: [0]\nlayers: [{conv1d: {out_channels: 2, kernel_size: 3}}]\n", input_shape=(4,)
    )
    assert said.count("error") == 1 and "AS201: an input's size cannot be 0" in said
