"""What an argument takes, and how what was given is shown, in the words of messages."""

from __future__ import annotations

import pytest
from listing import refused, spec

import archspec

CONV = "conv2d: {out_channels: 4, kernel_size: "


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("chunk: 0", "a whole number of at least 1"),
        ("dropout: 2", "a number from 0 to 1"),
        ("dropout: a", None),
        ("batch_norm: {eps: 0}", "a number above 0 that float32 can hold"),
        ("permute: [0, 1.5]", "a list, each a whole number"),
        (f"{CONV}3, bias: 1}}", "true or false"),
        (f"{CONV}3, padding_mode: ones}}", "'zeros' or 'reflect' or 'replicate' or 'circular'"),
        (
            f"{CONV}[1, 2, 3]}}",
            "a whole number of at least 1, or a list of 2, each a whole number of at least 1",
        ),
        ("module: {type: torch.nn.GLU, kwargs: 3}", "a mapping"),
    ],
)
def test_what_an_argument_takes(node, expected):
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(spec(f"- {node}"), limits=archspec.Limits(modules=("torch",)))
    lines = str(raised.value).splitlines()
    if expected is None:
        assert "AS302: the name 'a' is not known" in lines[0]
    else:
        assert "AS205" in lines[0] and f"  expected: {expected}" in lines


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("null", "null"),
        ("1.50", "a number, 1.5"),
        ("'it'", "text, 'it'"),
        ("{a: 1, b: [true, null]}", "a mapping, {a: 1, b: [true, null]}"),
        ("[1, 2, 3, 4, 5, 6, 7, 8]", "a list, [1, 2, 3, 4, 5, 6, 7, 8]"),
        ("[1, 2, 3, 4, 5, 6, 7, 8, 9]", "a list, [1, 2, 3, 4, 5, 6, 7, 8, …]"),
        ("[[[[1]]]]", "a list, [[[…]]]"),
        ("[[[{a: 1}]]]", "a list, [[[…]]]"),
        (f"'{'x' * 78}'", f"text, '{'x' * 78}'"),
        (f"'{'x' * 79}'", f"text, '{'x' * 78}…"),
    ],
)
def test_how_a_value_is_shown(value, shown):
    said = refused("- {repeat: $v, relu: }", head=f"params: {{v: {value}}}\n")
    assert f"a repeat counts in whole numbers, got {shown}\n" in said


@pytest.mark.parametrize(
    ("argument", "help_"),
    [
        ("in_channels", "remove it: input sizes follow from the node before"),
        ("device", "remove it: a spec does not decide it"),
        ("strid", "did you mean 'stride'?"),
    ],
)
def test_an_argument_that_a_spec_never_states(argument, help_):
    said = refused(f"- {CONV}1, {argument}: 3}}")
    assert f"error AS206: conv2d has no argument {argument!r}" in said
    assert said.endswith(f"  help: {help_}")
