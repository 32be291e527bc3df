"""The silent slips of YAML, the scanner's riddles and wrong forms: the whole message of each."""

from __future__ import annotations

import pytest
from listing import refusal, spec

import archspec

SLIPS = {
    "no space after a colon": (
        "- conv2d: {out_channels: 4, kernel_size: 3, stride:2}",
        """\
<text>:3:47: error AS206: conv2d has no argument 'stride:2'
  3 |   - conv2d: {out_channels: 4, kernel_size: 3, stride:2}
    |                                               ^^^^^^^^
  expected: one of out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
  help: write a space after the colon: stride: 2""",
    ),
    "a comma in braces": (
        "- conv2d: {out_channels: min(8, max(4, 2)), kernel_size: 3}",
        """\
<text>:3:28: error AS101: 'min(8' is cut at a comma: inside braces a plain text ends there
  3 |   - conv2d: {out_channels: min(8, max(4, 2)), kernel_size: 3}
    |                            ^^^^^
  help: quote it: "min(8, max(4, 2))\"""",
    ),
    "a missing dash": (
        "- relu\n  gelu",
        """\
<text>:3:5: error AS201: the text 'relu gelu' is not a node
  3 |   - relu
    |     ^^^^
  expected: an op or block name, or a mapping with one
  help: a dash is missing on the next line: `- gelu`""",
    ),
    "an unquoted expression for a name": (
        "- repeat: 2\n  name: {index}\n  relu:",
        """\
<text>:4:11: error AS208: a mapping cannot name a node
  4 |     name: {index}
    |           ^^^^^^^
  expected: a word
  help: quote it: "{index}\"""",
    ),
    "two names without brackets": (
        "- {name: a, relu}\n- {name: b, relu}\n- add:\n  from: a, b",
        """\
<text>:6:11: error AS201: 'a, b' names no node
  6 |     from: a, b
    |           ^^^^
  expected: a name, name[i] for one of several outputs, or a list of them
  help: write a list, without quotes: [a, b]""",
    ),
    "a null argument": (
        "- conv2d:\n    out_channels:\n    kernel_size: 3",
        """\
<text>:4:7: error AS205: conv2d: out_channels has no value
  4 |       out_channels:
    |       ^^^^^^^^^^^^
  expected: a value after the colon
  help: write `null` where null is meant""",
    ),
    "brackets in braces": (
        "- conv2d: {out_channels: c2[0], kernel_size: 1}",
        """\
<text>:3:30: error AS101: this is not YAML: did not find expected ',' or '}'
  3 |   - conv2d: {out_channels: c2[0], kernel_size: 1}
    |                              ^
  help: inside braces quote what has brackets: "c2[0]\"""",
    ),
    "a missing colon before a key": (
        "- batch_norm\n    name: bn1",
        """\
<text>:4:11: error AS101: this is not YAML: mapping values are not allowed in this context
  4 |       name: bn1
    |           ^
  help: a colon is missing on line 3: `- batch_norm:`""",
    ),
    "an expression that begins with a list": (
        "- reshape:\n    shape: [1] + in_shape",
        """\
<text>:4:18: error AS101: this is not YAML: did not find expected key
  4 |       shape: [1] + in_shape
    |                  ^
  help: quote the expression: shape: "[1] + in_shape\"""",
    ),
    "a tab": (
        "-\trelu:",
        """\
<text>:3:4: error AS101: this is not YAML: found character that cannot start any token
  3 |   - relu:
    |    ^
  help: indent with spaces: YAML allows no tabs there""",
    ),
    "arguments at the wrong depth": (
        "- linear:\n  out_features: 4",
        """\
<text>:4:5: error AS202: 'out_features' is not a key of a node
  4 |     out_features: 4
    |     ^^^^^^^^^^^^
  expected: one op or block key, and any of name, from, when, else, repeat, parallel, share, \
training_only, trainable, weights, parametrize, keys, merge
  help: it is an argument of linear: indent it under `linear:`""",
    ),
    "a node key at the wrong depth": (
        "- relu:\n    name: x",
        """\
<text>:4:7: error AS206: relu has no argument 'name': it is a key of the node
  4 |       name: x
    |       ^^^^
  help: move `name:` beside `relu:`, at the same indentation""",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips(slip):
    layers, message = SLIPS[slip]
    assert refusal(spec(layers)) == message


FORMS = {
    "an unknown op": (
        "- rleu",
        """\
<text>:3:5: error AS204: 'rleu' is not an op, nor a block that this file can see
  3 |   - rleu
    |     ^^^^
  help: did you mean 'relu'?""",
    ),
    "no op": (
        "- {name: x}",
        """\
<text>:3:5: error AS201: this node has no op
  3 |   - {name: x}
    |     ^^^^^^^^^
  expected: an op or block key, such as `relu:`
  found:    only name
  help: an op without arguments keeps its colon: {name: bn1, batch_norm: }""",
    ),
    "two ops": (
        "- {name: bn1, batch_norm, relu}",
        """\
<text>:3:29: error AS201: a node has one op, and this has 'batch_norm' and 'relu'
  3 |   - {name: bn1, batch_norm, relu}
    |                             ^^^^
  expected: one op or block key beside the node keys
  help: begin a node of its own with a dash""",
    ),
    "an unknown node key": (
        "- {relu: , nam: x}",
        """\
<text>:3:14: error AS202: 'nam' is not a key of a node
  3 |   - {relu: , nam: x}
    |              ^^^
  expected: one op or block key, and any of name, from, when, else, repeat, parallel, share, \
training_only, trainable, weights, parametrize, keys, merge
  help: did you mean 'name'?""",
    ),
    "an unknown argument": (
        "- conv2d: {out_chanels: 4, kernel_size: 3}",
        """\
<text>:3:14: error AS206: conv2d has no argument 'out_chanels'
  3 |   - conv2d: {out_chanels: 4, kernel_size: 3}
    |              ^^^^^^^^^^^
  expected: one of out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
  help: did you mean 'out_channels'?""",
    ),
    "a list for a node": (
        "- [relu]",
        """\
<text>:3:5: error AS201: a list cannot be a node
  3 |   - [relu]
    |     ^^^^^^
  expected: an op or block name, or a mapping with one
  help: for a list within a list write `- layers: […]`""",
    ),
    "a number for a node": (
        "- 3",
        """\
<text>:3:5: error AS201: the number 3 is not a node
  3 |   - 3
    |     ^
  expected: an op or block name, or a mapping with one""",
    ),
    "a mapping for a list": (
        "relu:",
        """\
<text>:3:3: error AS201: `layers` must be a list of nodes, not a mapping
  3 |   relu:
    |   ^^^^^
  expected: a list: one `- node` a line
  help: begin each node with a dash: `- relu: …`""",
    ),
    "arguments without their names": (
        "- conv2d: 3",
        """\
<text>:3:13: error AS205: conv2d takes its arguments by name, not the number 3
  3 |   - conv2d: 3
    |             ^
  expected: conv2d: {out_channels: …, kernel_size: …, stride: …, padding: …}
  help: write `conv2d: {out_channels: 3, kernel_size: …}`""",
    ),
    "a real number for a size": (
        "- linear: 32.0",
        """\
<text>:3:13: error AS205: linear: out_features cannot be 32.0
  3 |   - linear: 32.0
    |             ^^^^
  expected: a whole number of at least 1
  found:    a number, 32.0
  help: write 32, or divide with // to stay with whole numbers""",
    ),
    "a truth value for a size": (
        "- linear: true",
        """\
<text>:3:13: error AS205: linear: out_features cannot be true
  3 |   - linear: true
    |             ^^^^
  expected: a whole number of at least 1
  found:    a truth value, true""",
    ),
    "a list of the wrong length": (
        "- conv2d: {out_channels: 4, kernel_size: [1, 2, 3]}",
        """\
<text>:3:44: error AS205: conv2d: kernel_size cannot be [1, 2, 3]
  3 |   - conv2d: {out_channels: 4, kernel_size: [1, 2, 3]}
    |                                            ^^^^^^^^^
  expected: a whole number of at least 1, or a list of 2, each a whole number of at least 1
  found:    a list, [1, 2, 3]""",
    ),
    "branches without a merge": (
        "- branches: [[relu], []]",
        """\
<text>:3:17: error AS505: the last node has 2 outputs, and several need names
  3 |   - branches: [[relu], []]
    |                 ^^^^
  help: join them with a `merge:`, as `merge: concat`, or name them at the top level of the file: \
`outputs: {a: 0, input: input}`""",
    ),
    "a truth value that is none": (
        "- {relu: , training_only: 1}",
        """\
<text>:3:29: error AS201: `training_only` is true or false, not the number 1
  3 |   - {relu: , training_only: 1}
    |                             ^""",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_wrong_forms(form):
    layers, message = FORMS[form]
    assert refusal(spec(layers)) == message


def test_a_colon_in_a_text():
    assert refusal("doc: Four blocks: growth 32\ninput: [3]\nlayers: [relu]\n") == (
        "<text>:1:17: error AS101: this is not YAML: mapping values are not allowed in this "
        "context\n"
        "  1 | doc: Four blocks: growth 32\n"
        "    |                 ^\n"
        '  help: quote the text after the first colon: doc: "Four blocks: growth 32"'
    )


def test_an_unknown_key_of_a_spec():
    assert refusal("docs: words\ninput: [3]\nlayers: [relu]\n") == (
        "<text>:1:1: error AS202: 'docs' is not a key of a spec\n"
        "  1 | docs: words\n"
        "    | ^^^^\n"
        "  expected: one of archspec, name, doc, input, inputs, sizes, params, layers, blocks, "
        "use, extends, patch, outputs, init, train, ignore\n"
        "  help: did you mean 'doc'?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "layers: [relu]",
            "<text>:1:1: error AS203: the spec has no `input`\n"
            "  1 | layers: [relu]\n"
            "    | ^\n"
            "  expected: input: [channels, height, width]",
        ),
        (
            "input: [3]",
            "<text>:1:1: error AS203: the spec has no `layers`\n"
            "  1 | input: [3]\n"
            "    | ^\n"
            "  expected: a list of nodes, or `extends:`",
        ),
        (
            "archspec: 2\ninput: [3]\nlayers: [relu]",
            "<text>:1:11: error AS210: this archspec reads version 1 of the language\n"
            "  1 | archspec: 2\n"
            "    |           ^\n"
            "  expected: archspec: 1\n"
            "  found:    the number 2",
        ),
        (
            "input: 3\nlayers: [relu]",
            "<text>:1:8: error AS201: an input is a list of sizes, not the number 3\n"
            "  1 | input: 3\n"
            "    |        ^\n"
            "  expected: [channels, height, width], without the batch\n"
            "  help: write `[3]`",
        ),
        (
            "input: [3, 0]\nlayers: [relu]",
            "<text>:1:12: error AS201: an input's size cannot be 0\n"
            "  1 | input: [3, 0]\n"
            "    |            ^\n"
            "  expected: a whole number from 1 to 2147483647\n"
            "  found:    a number, 0",
        ),
        (
            "input: [1, 1, 1, 1, 1, 1, 1]\nlayers: [relu]",
            "<text>:1:8: error AS201: an input of 7 sizes\n"
            "  1 | input: [1, 1, 1, 1, 1, 1, 1]\n"
            "    |        ^^^^^^^^^^^^^^^^^^^^^\n"
            "  expected: at most 6 sizes, without N",
        ),
        (
            "input: [3]\ninit: xavier\nlayers: [relu]",
            "<text>:2:7: error AS205: 'xavier' is not an initialisation scheme\n"
            "  2 | init: xavier\n"
            "    |       ^^^^^^\n"
            "  expected: one of xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal, "
            "orthogonal, trunc_normal\n"
            "  help: did you mean 'xavier_uniform'?",
        ),
    ],
)
def test_wrong_specs(text, message):
    assert refusal(text) == message


def test_independent_mistakes_are_reported_together_in_the_order_of_the_text():
    text = spec("- rleu\n- conv2d: {kernel_size: 0}\n- {tanh: , name: a b}\n- linear: x")
    lines = [line for line in refusal(text).splitlines() if line.startswith("<text>")]
    assert lines == [
        "<text>:3:5: error AS204: 'rleu' is not an op, nor a block that this file can see",
        "<text>:4:5: error AS207: conv2d needs the argument 'out_channels'",
        "<text>:4:27: error AS205: conv2d: kernel_size cannot be 0",
        "<text>:5:20: error AS208: 'a b' cannot name a node",
        "<text>:6:13: error AS302: the name 'x' is not known here",
    ]


def test_independent_shape_errors_are_reported_together_and_what_depends_on_them_is_silent():
    text = spec(
        "- {name: a, max_pool2d: 9}\n"
        "- {name: b, linear: 3}\n"
        "- {name: c, max_pool2d: 10, from: input}\n"
        "- add: [a, c]\n"
    )
    lines = [line for line in refusal(text).splitlines() if line.startswith("<text>")]
    assert lines == [
        "<text>:3:15: error AS401: max_pool2d: the window of 9 does not fit height 8",
        "<text>:5:15: error AS401: max_pool2d: the window of 10 does not fit height 8",
    ]


def test_a_shape_error_shows_who_produced_the_shape():
    text = spec(
        "- {name: stem, conv2d: {out_channels: 6, kernel_size: 3, stride: 2}}\n"
        "- relu\n"
        "- conv2d: {out_channels: 6, kernel_size: 5}\n"
    )
    assert refusal(text) == (
        "<text>:5:5: error AS401: conv2d: the window of 5 does not fit height 3\n"
        "  5 |   - conv2d: {out_channels: 6, kernel_size: 5}\n"
        "    |     ^^^^^^\n"
        "  expected: height of at least 5\n"
        "  found:    3\n"
        "  trail: relu gives (N, 6, 3, 3) (<text>:4:5)\n"
        "  trail: stem (conv2d) gives (N, 6, 3, 3) (<text>:3:18)\n"
        "  help: a kernel_size of at most 3 fits; the smallest legal input height and width here "
        "are 11: `input: [4, 11, 11]`"
    )


def test_a_mistake_in_a_librarys_block_is_shown_at_the_users_call():
    text = spec(
        "- outer\n", head="blocks: {outer: {layers: [{inception: {c1: 0, c2: [1, 1], c3: [1, 1],"
        " c4: 1}}]}}\n"
    )  # fmt: skip
    lines = refusal(text).splitlines()
    assert lines[0] == "<text>:2:28: error AS205: conv2d: out_channels cannot be 0"
    notes = [line for line in lines if line.startswith("  note:")]
    assert len(notes) == 3
    assert notes[0].startswith("  note: in the block inception (") and "inception.yaml" in notes[1]
    assert notes[2] == "  note: in the block outer, called here (<text>:4:5)"


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        ("conv2d:\n      out_channels: 4\n      kernel_size:3\n", "AS101"),
        ("linear:\n      out_features:3\n", "AS301"),
    ],
)
def test_a_missing_space_in_block_style(layer, code):
    said = refusal(f"input: [3, 8, 8]\nlayers:\n  - {layer}")
    assert f"error {code}" in said
    assert "help: write a space after the colon: `" in said and ": 3`" in said


HEAD = "input: [3]\nlayers:\n"


@pytest.mark.parametrize(
    ("text", "place", "said", "help_"),
    [
        ("input: [3]\nname: a\ud800\n", "2:8", "the text is not valid Unicode", None),
        (
            "input: [3]\nname: é\x07\n",
            "2:9",
            "control characters are not allowed",
            "remove the cha",
        ),
        (
            f"{HEAD}  - conv2d: {{a: 4]\n",
            "3:18",
            "expected ',' or '}'",
            "`]` does not close what is",
        ),
        (
            f"{HEAD}  - conv2d: {{a: 4 b: 3}}\n",
            "3:20",
            "expected ','",
            "a comma is missing: 4, b: …",
        ),
        (f"{HEAD}  - conv2d: {{a: 'x': 3}}\n", "3:20", "expected ','", "a bracket or brace is"),
        (f"{HEAD}  - conv2d: {{a: 'x' 'y'}}\n", "3:21", "expected ','", "a bracket or brace is"),
        (
            "input: [3]\nlayers: [relu]]\n",
            "2:15",
            "expected key",
            "remove the `]`: nothing is open",
        ),
        (f"{HEAD}  - relu\n - relu\n", "4:2", "", "begin it at column 3, like line 3"),
        (f"{HEAD}  - relu\n\n  # no\n - relu\n", "6:2", "", "begin it at column 3, like line 3"),
        ("input: [3\nlayers: 1\n", "1:8", "this bracket is not closed", "missing before line 2"),
        ("doc: {a: 3\nlayers: 1\n", "1:6", "this brace is not closed", "write the `}`"),
        ("input: [3]\nname: 'abc\n  - relu\n", "2:7", "this quote is not closed", "the same quote"),
        ("input: [3]\nname\nlayers: 1\n", "2:1", "a colon is missing after", "write `name:`"),
        (f"{HEAD}  - pad: {{a: (3, 4), b: 3}}\n", "3:14", "'(3' is cut", "write a list: [3, 4]"),
        (f"{HEAD}  - pad: {{a: f(3, (4), 5)}}\n", "3:14", "'f(3' is cut", 'it: "f(3, (4), 5)"'),
        (f"{HEAD}  - pad: {{a: f(3, 4, b: 3}}\n", "3:14", "'f(3' is cut", "quote the whole expres"),
        (f"{HEAD}\t- relu\n", "3:1", "cannot start any token", "indent with spaces"),
        (f"{HEAD}  - reshape: [3][0]\n", "3:17", "", 'expression: - reshape: "[3][0]"'),
        (f"{HEAD}  - @relu\n", "3:5", "cannot start any token", "quote a text that begins with"),
        ("? {a: 1}\n: 3", "1:3", "a mapping cannot be a key", "quote text that begins with"),
    ],
)
def test_the_place_and_the_help_of_a_slip(text, place, said, help_):
    found = refusal(text).splitlines()
    assert found[0].startswith(f"<text>:{place}: error ") and said in found[0]
    helps = [line for line in found if line.startswith("  help: ")]
    assert helps == [] if help_ is None else help_ in helps[0]


def test_a_text_is_shown_up_to_sixty_characters():
    whole, long = "x" * 60, "x" * 61
    assert f"not the text '{whole}'" in refusal(f"input: [3]\nlayers: {whole}\n")
    assert f"not the text '{long[:59]}…'" in refusal(f"input: [3]\nlayers: {long}\n")


def test_as_many_mistakes_are_reported_as_the_limit_says():
    limits = archspec.Limits(errors=2)
    said = refusal("input: [3]\nlayers: [a1, b1]", limits=limits)
    assert said.count("error AS204") == 2 and "AS701" not in said
    said = refusal("input: [3]\nlayers: [a1, b1, c1]", limits=limits)
    assert said.count("error AS204") == 2
    assert "2:18: error AS701: the number of mistakes is over the limit of 2 (errors)" in said


def test_nothing_raises_the_nesting_that_libyaml_allows():
    said = refusal("[" * 1200, limits=archspec.Limits(nesting=5000)).splitlines()
    assert said[0].endswith("error AS701: the nesting is over the limit of 1,000 (nesting)")
    assert said[-2:] == ["  found:    1,001", "  help: libyaml nests no deeper"]


@pytest.mark.parametrize(("length", "searched"), [(500, True), (501, False)])
def test_lines_that_nobody_wrote_by_hand_are_not_searched(length, searched):
    line = "  - conv2d: {a: c[0], b: }"
    said = refusal(f"{HEAD}{line[:-1]}{'x' * (length - len(line))}}}\n")
    assert ("inside braces quote what has brackets" in said) is searched


@pytest.mark.parametrize(
    ("text", "span"), [("input: [3\nlayers: 1\n", (1, 8, 1, 9)), ("a: 1\nb: ]\n", (2, 4, 2, 5))]
)
def test_a_slip_of_brackets_is_one_character(text, span):
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(text)
    assert raised.value.diagnostics[0].span[1:] == span
