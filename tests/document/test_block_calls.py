"""Blocks: parameters, scopes, look-up, several inputs and outputs, and layers as parameters."""

from __future__ import annotations

import pytest
from listing import first_line, keys, listed, listing, loaded, refused, spec, write_files

import archspec
from archspec.document import blocks
from archspec.text import files

FC = (
    "blocks: {fc: {params: {size: int, bias: true}, "
    "layers: [{linear: {out_features: size, bias: bias}}]}}\n"
)


def test_a_block_is_a_scope_with_parameters():
    arch = loaded(
        "- fc: {size: 3}\n- {name: b, fc: {size: 2 + 3, bias: false}}", input="[2]", head=FC
    )
    assert listing(arch) == [
        "0 = fc(input) -> 3",
        "0.0 = linear(input) -> 3",
        "b = fc(0) -> 5",
        "b.0 = linear(input) -> 5",
    ]
    assert keys(arch) == ["0.0.weight", "0.0.bias", "b.0.weight"]


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ("int", ["3", "'[1, 2]'"], ["3.0", "true", "'$text'"]),
        ("float", ["0.5", "3", "'[1, 2]'"], ["false", "'$text'"]),
        ("bool", ["true", "1 < 2"], ["1", "'$text'"]),
        ("str", ["words", "1 < 2", "'$text'"], ["3", "true"]),
        ("list", ["[1, 2]", "'[1] + [2]'"], ["3", "'$text'"]),
        ("3", ["4"], ["3.5", "true"]),
        ("0.5", ["4", "1.5"], ["true"]),
        ("false", ["true"], ["0"]),
        ("word", ["other"], ["3"]),
        ("[1, 2]", ["[3]"], ["3"]),
        ("{a: 1}", ["{b: 2}"], ["3", "[1]"]),
        ("$(1 + 1)", ["3"], ["true", "3.5"]),
        ("null", ["3", "true", "[1]"], []),
    ],
)
def test_a_type_or_a_default_fixes_what_is_taken(declared, good, bad):
    head = f"params: {{text: abc}}\nblocks: {{b: {{params: {{p: {declared}}}, layers: [relu]}}}}\n"
    for given in good:
        assert listed(f"- b: {{p: {given}}}", head=head)[0] == "0 = b(input) -> 4x8x8"
    for given in bad:
        assert "error AS304: b: p cannot be" in refused(f"- b: {{p: {given}}}", head=head)


def test_a_wrong_value_is_shown_with_the_declaration():
    assert refused("- fc: {size: 3.0}", input="[2]", head=FC) == (
        "<text>:4:16: error AS304: fc: size cannot be 3.0\n"
        "  4 |   - fc: {size: 3.0}\n"
        "    |                ^^^\n"
        "  expected: a whole number, as declared at line 2\n"
        "  found:    a number\n"
        "  help: write 3"
    )


def test_a_required_parameter_must_be_given():
    assert refused("- fc", input="[2]", head=FC) == (
        "<text>:4:5: error AS207: fc needs the argument 'size'\n"
        "  4 |   - fc\n"
        "    |     ^^\n"
        "  expected: size: int\n"
        "  help: add it: `fc: {size: …}`"
    )


def test_parameters_are_computed_in_written_order_and_see_the_input():
    head = """
        blocks:
          b:
            params: {a: 2, b: $(a * in_channels), c: $(b + 1)}
            layers: [{linear: c}]
        """
    assert listed("- b\n- b: {a: 3}\n- b: {b: 1}", input="[4]", head=head)[1::2] == [
        "0.0 = linear(input) -> 9",
        "1.0 = linear(input) -> 28",
        "2.0 = linear(input) -> 2",
    ]
    said = refused("- b", input="[4]", head=head.replace("a: 2, b: $(a *", "a: $(c), b: $(a *"))
    assert "the name 'c' is not known here" in said


def test_a_block_sees_nothing_of_its_caller():
    head = "params: {n: 3}\nblocks: {b: {layers: [{linear: n}]}}\n"
    said = refused("- b\n- linear: n", input="[4]", head=head)
    assert first_line(said) == (
        "3:32: error AS302: the name 'n' is a parameter of the file, which a block does not see"
    )
    said = refused("- {repeat: 2, b: }", input="[4]",
                   head="blocks: {b: {layers: [{linear: index}]}}\n")  # fmt: skip
    assert "`index` is known inside a repeat only" in said


def test_arguments_see_the_callers_names_and_the_calls_input():
    head = "params: {size: 7}\n" + FC
    assert listed("- {repeat: 2, fc: {size: size + in_channels + index}}", input="[2]", head=head)[
        ::2
    ] == ["0 = fc(input) -> 9", "1 = fc(0) -> 17"]


def test_equal_calls_share_one_graph_and_values_that_only_look_equal_do_not():
    arch = loaded("- fc: {size: 2}\n- fc: {size: 2}\n- fc: {size: $(1 + 1)}", input="[2]", head=FC)
    assert len({id(step.body) for step in arch.graph.steps}) == 1
    head = "blocks: {b: {params: {t: {v: 0}}, layers: [{linear: 1 if t.v == 1 else 2}]}}\n"
    calls = "- b: {t: {v: 1}}\n- b: {t: {v: true}, from: '0'}\n".replace(", from: '0'", "")
    rows = listed(f"- {{linear: 1}}\n{calls}", input="[1]", head=head)
    assert [row for row in rows if "linear" in row][1:] == [
        "1.0 = linear(input) -> 1",
        "2.0 = linear(input) -> 2",
    ]


def test_blocks_may_call_each_other_in_any_order():
    head = "blocks: {a: {layers: [b]}, b: {layers: [relu]}}\n"
    assert listed("- a", head=head)[-1] == "0.0.0 = relu(input) -> 4x8x8"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("blocks: {relu: {layers: [tanh]}}", "'relu' is a primitive op and cannot name a block"),
        ("blocks: {layers: {layers: [tanh]}}", "'layers' is a primitive op and"),
        ("blocks: {a-b: {layers: [tanh]}}", "'a-b' cannot name a block"),
        ("blocks: {b: }", "the block 'b' must be a mapping, not nothing"),
        ("blocks: {b: [relu]}", "the block 'b' must be a mapping, not a list"),
        ("blocks: [relu]", "`blocks` must be a mapping, not a list"),
        ("blocks: {b: {params: {}}}", "the block 'b' has no `layers`"),
        ("blocks: {b: {layers: [relu], x: 1}}", "'x' is not a key of the block 'b'"),
        ("blocks: {b: {params: {len: 1}, layers: [relu]}}", "'len' is a name of the language"),
        ("blocks: {b: {params: {index: 1}, layers: [relu]}}", "`index` counts a repeat and"),
        ("blocks: {b: {params: [a], layers: [relu]}}", "`params` of the block 'b' must be"),
        ("blocks: {b: {inputs: x, layers: [relu]}}", "`inputs` of a block must be a list of names"),
        ("blocks: {b: {inputs: [x, x], layers: [relu]}}", "the input 'x' stands twice"),
        ("blocks: {b: {inputs: [x, 1y], layers: [relu]}}", "'1y' cannot name an input"),
    ],
)  # fmt: skip
def test_wrong_declarations(head, message):
    said = first_line(refused("- relu", head=head + "\n"))
    assert said.partition(": error ")[2].partition(": ")[2].startswith(message)


# --- look-up -------------------------------------------------------------------------------------


def test_names_are_looked_up_in_the_file_then_use_then_the_library(tmp_path):
    write_files(
        tmp_path,
        shared="blocks: {a: {layers: [tanh]}, transition: {layers: [tanh]}, c: {layers: [a]}}\n",
        one="doc: A file that is one block.\nparams: {n: 2}\nlayers: [{linear: n}]\n",
        net="""
            input: [4, 8, 8]
            use: [shared.yaml, one.yaml]
            blocks: {a: {layers: [relu]}}
            layers: [a, transition, c, {one: {n: 5}}, {vgg_block: {num_convs: 1, out_channels: 3}}]
            """,
    )
    rows = listing(archspec.load(tmp_path / "net.yaml"))
    assert [row for row in rows if row.count(".") or "one" in row][:5] == [
        "0.0 = relu(input) -> 4x8x8",  # the file's own
        "1.0 = tanh(input) -> 4x8x8",  # that of `use:`, before the standard one
        "2.0 = a(input) -> 4x8x8",
        "2.0.0 = tanh(input) -> 4x8x8",  # from the file where the name is written
        "3 = one(2) -> 4x8x5",
    ]
    assert rows[-1] == "4.2 = max_pool2d(1) -> 3x4x2"


def test_use_takes_one_name_too_and_files_of_blocks_may_use_others(tmp_path):
    write_files(
        tmp_path,
        net="use: a.yaml\ninput: [3]\nlayers: [x]\n",
        a="use: b.yaml\nblocks: {x: {layers: [y]}}\n",
        b="archspec: 1\nblocks: {y: {layers: [relu]}}\n",
    )
    assert listing(archspec.load(tmp_path / "net.yaml"))[-1] == "0.0.0 = relu(input) -> 3"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "cannot read "),
        ({"a": "use: net_b.yaml\n", "net_b": "use: a.yaml\n"}, "'a.yaml' uses, in the end, itself"),
        ({"a": "[1]"}, "a file of blocks is a mapping, not a list"),
        ({"a": "input: [3]\nblocks: {}"}, "'input' is not a key of a file of blocks"),
        ({"a": "archspec: 3\nblocks: {}"}, "this archspec reads version 1 of the language"),
    ],
)
def test_wrong_use(tmp_path, texts, message):
    write_files(tmp_path, net="use: a.yaml\ninput: [3]\nlayers: [relu]\n", **texts)
    with pytest.raises(archspec.SpecError) as raised:
        archspec.load(tmp_path / "net.yaml")
    assert raised.value.diagnostics[0].message.startswith(message)


def test_files_outside_the_specs_folder_are_not_read(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    write_files(tmp_path, a="blocks: {x: {layers: [relu]}}\n")
    write_files(inner, net="use: ../a.yaml\ninput: [3]\nlayers: [x]\n")
    with pytest.raises(archspec.SpecError, match=r"AS605.*lies outside the folder of the spec"):
        archspec.load(inner / "net.yaml")
    assert archspec.load(inner / "net.yaml", allow_outside=True).output_shape == ("N", 3)


# --- several inputs and outputs ------------------------------------------------------------------

TWO = """
blocks:
  swap:
    inputs: [x, skip]
    outputs: [b, a]
    layers:
      - {name: a, relu}
      - {name: b, tanh, from: skip}
"""
TWO_ROWS = [
    "left = sigmoid(input) -> 4x8x8",
    "s = swap(left, input) -> 4x8x8, 4x8x8",
    "s.a = relu(x) -> 4x8x8",
    "s.b = tanh(skip) -> 4x8x8",
    "2 = concat(s[1], s[0], left) -> 12x8x8",
]
TWO_LAYERS = (
    "- {name: left, sigmoid}\n- {name: s, swap, from: [left, input]}\n"
    "- concat: ['s[1]', 's[0]', left]"
)


def test_a_block_of_the_file_with_several_inputs_and_outputs():
    assert listed(TWO_LAYERS, head=TWO) == TWO_ROWS


def test_its_outputs_may_bear_names_and_are_counted_all_the_same():
    head = TWO.replace("[b, a]", "{first: b, second: a}")
    arch = loaded(TWO_LAYERS, head=head)
    assert listing(arch) == TWO_ROWS
    assert arch.verify(batch_sizes=(2,)).ok


def test_a_block_of_a_used_file_with_several_inputs_and_outputs(tmp_path):
    write_files(tmp_path, blocks=TWO)
    (tmp_path / "net.yaml").write_text("use: [blocks.yaml]\n" + spec(TWO_LAYERS))
    assert listing(archspec.load(tmp_path / "net.yaml")) == TWO_ROWS


def test_a_block_of_the_library_with_several_inputs_and_outputs(tmp_path, monkeypatch):
    text = (
        "inputs: [x, skip]\noutputs: [b, a]\n"
        "layers: [{name: a, relu}, {name: b, tanh, from: skip}]\n"
    )
    write_files(tmp_path, swap=text)
    monkeypatch.setattr(files, "BLOCKS", str(tmp_path))
    monkeypatch.setattr(files, "library_blocks", lambda: frozenset({"swap"}))
    monkeypatch.setattr(blocks, "_LIBRARY", {})
    assert listed(TWO_LAYERS) == TWO_ROWS


def test_one_input_may_have_a_name_of_its_own():
    head = "blocks: {b: {inputs: [x], layers: [relu, {add: ['0', x, input]}]}}\n"
    assert listed("- b", head=head) == [
        "0 = b(input) -> 4x8x8",
        "0.0 = relu(x) -> 4x8x8",
        "0.1 = add(0, x, x) -> 4x8x8",
    ]


def test_a_node_may_not_bear_an_inputs_name():
    said = refused("- b", head="blocks: {b: {inputs: [x], layers: [{name: x, relu}]}}\n")
    assert "error AS209: 'x' is an input of this list" in said


def test_a_block_needs_all_its_inputs():
    assert refused("- swap", head=TWO) == (
        "<text>:11:5: error AS504: swap takes 2 input(s), got 1\n"
        "  11 |   - swap\n"
        "     |     ^^^^\n"
        "  expected: inputs x, skip\n"
        "  help: say `from: [x, skip]`"
    )


def test_a_group_takes_one_input():
    said = refused("- {name: a, relu}\n- {from: [a, input], layers: [add]}")
    assert first_line(said) == "4:24: error AS504: a group takes one input, got 2"


def test_a_block_may_be_called_before_it_is_declared():
    late = (
        "blocks:\n"
        "  outer: {params: {act: {late: {k: 3}}}, layers: [{late: {k: 1}}, $act]}\n"
        "  late: {params: {k: int}, layers: [{conv2d: {out_channels: 2, kernel_size: $k}}]}\n"
    )
    assert listed("- outer", head=late)[-1] == "0.1.0 = conv2d(input) -> 2x6x6"
    assert first_line(refused("- outer", head=late.replace("k: 1", "kk: 1"))).endswith(
        "late has no argument 'kk'"
    )


def test_input_is_the_first_input_of_a_block():
    head = "blocks: {{two: {{inputs: [{}], layers: [{{add: [x, input]}}]}}}}\n"
    nodes = "- {name: a, relu: }\n- {name: b, tanh: }\n- {two: , from: [a, b]}"
    assert listed(nodes, head=head.format("input, x"))[-1] == "2.0 = add(x, input) -> 4x8x8"
    assert "`input` means the first input everywhere" in refused(
        nodes, head=head.format("x, input")
    )


@pytest.mark.parametrize(
    ("node", "what"),
    [
        ("{name: r, repeat: 2, from: [a, b], layers: [relu]}", "a named repeat"),
        ("{name: r, from: [a, b], branches: [relu, tanh], merge: add}", "a node of named branches"),
        ("{name: r, from: [a, b], layers: [relu]}", "a group"),
    ],
)
def test_a_list_within_a_list_takes_one_input(node, what):
    said = refused(f"- {{name: a, relu: }}\n- {{name: b, tanh: }}\n- {node}")
    assert f"AS504: {what} takes one input, got 2" in said


def test_a_block_may_stand_in_the_layers_it_is_given():
    head = "blocks: {wrap: {params: {body: layers}, layers: [$body, relu]}}\n"
    rows = listed("- wrap: {body: {wrap: {body: [{wrap: {body: tanh}}]}}}", head=head)
    assert [row.split(" = ")[1].split("(")[0] for row in rows] == [
        *("wrap", "wrap", "group", "wrap", "tanh", "relu", "relu", "relu"),
    ]


def test_a_block_may_hand_its_layers_on_to_another_that_stands_in_them():
    head = (
        "blocks:\n"
        "  res: {params: {body: layers}, layers: [{name: b, layers: [$body]}, {add: [b, input]}]}\n"
        "  pre: {params: {body: layers}, layers: [{res: {body: [tanh, $body]}}]}\n"
    )
    rows = listed("- pre: {body: [relu, {pre: {body: [sigmoid]}}]}", head=head)
    assert [row.split(" = ")[1].split("(")[0] for row in rows].count("res") == 2
    # What leads to itself through its layers alone has no end either.
    head = "blocks: {x: {params: {f: layers}, layers: [{$f: {f: $f}}]}}\n"
    assert "AS604" in refused("- x: {f: x}", head=head)


def test_defaults_may_call_blocks_that_are_not_declared_to_their_end():
    head = (
        "blocks:\n"
        "  b: {params: {n: int, g: {a: {n: 2, f: relu}}}, layers: [{linear: n}, $g]}\n"
        "  a: {params: {n: 1, f: {b: {n: 3, g: relu}}}, layers: [{linear: n}, $f]}\n"
        "  c: {params: {f: {c: {n: 2, f: tanh}}, n: 1}, layers: [{linear: n}, $f]}\n"
    )
    rows = listed("- a: {n: 5}\n- b: {n: 6}\n- c: {n: 7}", head=head)
    sizes = [row.rsplit("x", 1)[1] for row in rows if "= linear" in row]
    assert sizes == ["5", "3", "6", "2", "7", "2"]


@pytest.mark.parametrize(
    ("nodes", "head", "code"),
    [
        ("- conv2d: {out_channels: 3, kernel_size: 9}\n- relu\n- add: ['0', '1']", "", "AS401"),
        (
            "- {relu: , from: nowhere}\n- tanh\n- add: ['0', '1']\n- {tanh: , from: '2'}",
            "",
            "AS501",
        ),
        ("- linear: c", "params: {a: $(2 // 0), b: $(a + 1), c: $(a + b)}\n", "AS303"),
        ("- linear: c", "params: {a: $(in_channels // 0), b: $(a + 1), c: $(b)}\n", "AS303"),
    ],
)
def test_what_follows_from_a_mistake_is_not_told(nodes, head, code):
    said = refused(nodes, head=head)
    assert said.count("error AS") == 1
    assert f"error {code}" in said
