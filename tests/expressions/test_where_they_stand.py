"""Where expressions stand in a spec: inserted by `$`, in arguments and tables, and in names."""

from __future__ import annotations

import pytest
from listing import first_line, listed, loaded, refused

import archspec
from archspec.diagnostics.diagnostic import Refusal
from archspec.expressions.evaluate import Budget, Env
from archspec.expressions.templates import inserted, template
from archspec.text.limits import Limits

# --- where they stand ----------------------------------------------------------------------------


def test_dollar_inserts_a_value_anywhere():
    text = "- {linear: $n}\n- {linear: $(n + 1)}\n- {linear: $table.x}\n- {linear: '$list[1]'}"
    head = "params: {n: 2, table: {x: 5}, list: [6, 7]}\n"
    assert [row.split("-> ")[1] for row in listed(text, input="[1]", head=head)] == [
        *("2", "3", "5", "7")
    ]


def test_a_table_may_hold_values_that_are_computed():
    head = (
        "params: {n: 2, rows: [{size: $(n * 3), more: {size: $n}}, {size: 5, more: {size: 1}}]}\n"
    )
    layers = "- linear: rows[0].size\n- linear: rows[0].more.size + n"
    for n, sizes in ((2, ["6", "4"]), (4, ["12", "8"])):
        rows = listed(layers, {"n": n}, input="[1]", head=head)
        assert [row.split("-> ")[1] for row in rows] == sizes
    said = first_line(refused("- linear: t.a", head="params: {n: 0, t: {a: $(1 // n)}}\n"))
    assert said.startswith("2:19: error AS303: division by zero: 1 // 0")


def test_dollar_covers_the_whole_scalar():
    said = refused("- linear: $n + 1", head="params: {n: 2}\n")
    assert said == (
        "<text>:4:13: error AS301: '$n + 1': `$` covers a whole value\n"
        "  4 |   - linear: $n + 1\n"
        "    |             ^^^^^^\n"
        "  expected: $name or $(expression)\n"
        "  help: $(n + 1)"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", None),
        ("$a", "a"),
        ("$(a + b)", "a + b"),
        ("$a.b[0]", "a.b[0]"),
        ("$((a))", "(a)"),
        ("", None),
    ],
)
def test_inserted(text, expected):
    assert inserted(text) == expected


def test_plain_text_is_an_expression_where_numbers_truth_values_and_lists_are_expected():
    arch = loaded(
        "- conv2d:\n    out_channels: 2 * n\n    kernel_size: [n, 1]\n    bias: n > 2\n"
        "    padding: '[1] + [n // 2]'",
        head="params: {n: 2}\n",
    )
    assert arch.output_shape == ("N", 4, 9, 10)
    assert arch.num_parameters == 4 * 4 * 2


def test_literals_are_text_and_all_else_is_an_expression_where_both_may_stand():
    arch = loaded(
        "- conv2d: {out_channels: 2, kernel_size: 3, padding: same}\n"
        "- conv2d: {out_channels: 2, kernel_size: 3, padding: valid}\n"
        "- conv2d: {out_channels: 2, kernel_size: 3, padding: n}\n"
        "- conv2d: {out_channels: 2, kernel_size: 3, padding: $text}\n",
        head="params: {n: 2, text: same}\n",
    )
    assert [layer.output_shape[2] for layer in arch.layers] == [8, 6, 8, 8]
    said = refused("- conv2d: {out_channels: 2, kernel_size: 3, padding: sane}")
    assert first_line(said) == "3:56: error AS302: the name 'sane' is not known here"


def test_plain_text_is_itself_where_text_alone_is_expected():
    arch = loaded("- conv2d: {out_channels: 2, kernel_size: 3, padding: 1, padding_mode: circular}")
    assert arch.layers[0].output_shape == ("N", 2, 8, 8)


def test_plain_text_is_itself_under_params_and_in_tables():
    arch = loaded(
        "- {relu: , when: mode == 'n + 1'}\n- {tanh: , when: \"rows[0].name == 'n'\"}",
        head="params: {n: 2, mode: n + 1, rows: [{name: n}]}\n",
    )
    assert [layer.op for layer in arch.layers] == ["relu", "tanh"]
    assert arch.params == {"n": 2, "mode": "n + 1", "rows": ({"name": "n"},)}


def test_where_one_number_is_expected_a_list_is_checked_where_it_is_used():
    head = """
        blocks:
          conv: {params: {kernel: int}, layers: [{conv2d: {out_channels: 2, kernel_size: kernel}}]}
          fc: {params: {size: int}, layers: [{linear: size}]}
        """
    assert loaded("- conv: {kernel: [1, 7]}", head=head).output_shape == ("N", 2, 8, 2)
    said = refused("- fc: {size: [1, 7]}", head=head)
    assert first_line(said) == "5:47: error AS205: linear: out_features cannot be [1, 7]"


# --- names in braces -----------------------------------------------------------------------------


def test_templates():
    limits = Limits()
    env = Env({"index": 2, "tag": "x"}, None, Budget(limits))
    assert template("conv").is_fixed
    assert template("denseblock{index + 1}").render(env) == "denseblock3"
    assert template("{tag}_{index}{index}").render(env) == "x_22"
    with pytest.raises(Refusal, match="gives a number; a name is made of text and whole numbers"):
        template("a{index / 2}").render(env)
    with pytest.raises(Refusal, match="is not an expression"):
        template("a{}")


def test_an_expression_may_stand_in_a_block_scalar():
    arch = archspec.loads("input: [3]\nlayers:\n  - linear: >\n      $(2 +\n      3)\n")
    assert arch.output_shape == ("N", 5)
