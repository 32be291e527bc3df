"""Expressions: held against Python's own evaluation, and against what the language leaves out."""

from __future__ import annotations

import math

import pytest
from expression_values import refusal, value
from listing import listed

from archspec.diagnostics.diagnostic import Refusal
from archspec.expressions.evaluate import Table
from archspec.ir.shape import N
from archspec.text.limits import Limits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 3 * 4 ** 2 // 5 % 7", 2 + 3 * 4**2 // 5 % 7),
        ("-2 ** 2", -4),
        ("7 // -2", -4),
        ("-7 % 3", 2),
        ("4 / 2", 2.0),
        ("1 < 2 < 3", True),
        ("1 < 2 > 3", False),
        ("true and not false or false", True),
        ("1 if false else 2", 2),
        ("null == null", True),
        ("1 == 1.0", True),
        ("1 == true", False),
        ("'a' == 'a' and 'a' != 'b'", True),
        ("2 in [1, 2]", True),
        ("true in [1]", False),
        ("'x' not in ['x']", False),
        ("[1, 2] + [3]", (1, 2, 3)),
        ("[1, 2] * 2", (1, 2, 1, 2)),
        ("2 * [0]", (0, 0)),
        ("[]", ()),
        ("[1, [2, 3]][1][0]", 2),
        ("[1, 2, 3][-1]", 3),
        ("[1, 2, 3, 4][1:3]", (2, 3)),
        ("[1, 2, 3, 4][::2]", (1, 3)),
        ("[1, 2, 3, 4][::-1]", (4, 3, 2, 1)),
        ("[x * x for x in [1, 2, 3] if x != 2]", (1, 9)),
        ("[[y for y in range(x)] for x in range(3)]", ((), (0,), (0, 1))),
        ("range(3)", (0, 1, 2)),
        ("range(2, 5)", (2, 3, 4)),
        ("range(5, 0, -2)", (5, 3, 1)),
        ("range(0, 5, 2)", (0, 2, 4)),
        ("range(3, 1)", ()),
        ("len([4, 5])", 2),
        ("min(3, 1, 2)", 1),
        ("max([3, 1, 2])", 3),
        ("sum([1, 2.5])", 3.5),
        ("round(2.5)", 2),
        ("round(2.567, 1)", 2.6),
        ("ceil(1.2)", 2),
        ("floor(-1.2)", -2),
        ("abs(-3)", 3),
        ("int(3.9)", 3),
        ("int(-3.9)", -3),
        ("int(true)", 1),
        ("sqrt(9)", 3.0),
        ("log(1)", 0.0),
        ("log(8, 2)", 3.0),
        ("0x10 + 1", 17),
        ("  3", 3),
        ("'it''s'", "its"),
    ],
)
def test_values(text, expected):
    found = value(text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    # The channels of MobileNetV2 at width 0.35, 1.4 and of MobileNetV3's squeezes.
    [(32, 0.35, 16), (24, 0.35, 8), (96, 0.35, 32), (1280, 1.4, 1792), (72, 0.25, 24), (9, 1, 16)],
)
def test_divisible_is_the_rule_of_mobilenet(channels, width, expected):
    assert value(f"divisible({channels} * {width}, 8)") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sin(0)", 0.0),
        ("cos(0)", 1.0),
        ("exp(0)", 1.0),
        ("cos(pi)", -1.0),
        ("sin(pi / 2)", 1.0),
        ("exp(1)", 2.718281828459045),
        ("exp(-800)", 0.0),
        ("2 * pi", 6.283185307179586),
        ("exp(log(8))", 7.999999999999998),
    ],
)
def test_sin_cos_exp_and_pi(text, expected):
    assert value(text) == expected and type(value(text)) is float


def test_parameters_may_be_called_like_the_later_words():
    assert value("exp * pi + exp(0) + sin", exp=6, pi=3, sin=2) == 21.0


def test_divisible_agrees_with_torchvision():
    models = pytest.importorskip("torchvision.models._utils")
    for tenths in range(1, 3000, 7):
        assert value(f"divisible({tenths / 10}, 8)") == models._make_divisible(tenths / 10, 8)


def test_a_mapping_is_read_by_its_keys():
    table = Table({"channels": 3, "depth": Table({"first": 2})})
    assert value("stage.channels", stage=table) == 3
    assert value("stage['channels']", stage=table) == 3
    assert value("stage.depth.first", stage=table) == 2
    refused = refusal("stage.chanels", stage=table)
    assert refused.message == "the mapping has no 'chanels'; it has channels, depth"
    assert refused.help == "did you mean 'channels'?"


def test_equal_mappings_are_one_in_a_set():
    rows = [Table({"a": 1, "b": (2,)}), Table({"b": (2,), "a": 1}), Table({"a": 1, "b": (3,)})]
    assert rows[0] == rows[1] and len({*rows}) == 2


def test_python_and_the_language_agree_on_rounding_to_even():
    assert [value(f"round({n} / 2)") for n in range(-5, 6)] == [round(n / 2) for n in range(-5, 6)]
    assert value("floor(7 / 2) + ceil(7 / 2)") == math.floor(3.5) + math.ceil(3.5)


# --- what has no value ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 // 0", "division by zero: 1 // 0"),
        ("1 % 0", "division by zero: 1 % 0"),
        ("0 ** -1", "division by zero: 0 ** -1"),
        ("2 ** 63", "the result is a whole number beyond 2**63"),
        ("9 ** 9 ** 9 ** 9", "the result is a whole number beyond 2**63"),
        ("-2 ** 99999999", "the result is a whole number beyond 2**63"),
        ("2 ** 62 * 2", "the result is a whole number beyond 2**63"),
        ("9223372036854775808", "the result is a whole number beyond 2**63"),
        ("10.0 ** 400", "the result is too large for a number"),
        ("1e999", "the result is not a finite number"),
        ("1e308 * 10", "the result is not a finite number"),
        ("(-8) ** 0.5", "the result is not a real number"),
        ("sqrt(-1)", "sqrt of -1"),
        ("log(0)", "log of 0"),
        ("log(-1, 2)", "log of -1"),
        ("log(8, 0)", "log of 8"),
        ("exp(710)", "exp of 710 is too large for a number"),
        ("sin('a')", "sin needs a number, got text"),
        ("cos([0])", "cos needs a number, got a list"),
        ("exp(true)", "exp needs a number, got a truth value"),
        ("log(8, 1)", "log of 8"),
        ("round(1.5, 21)", "round to 21 digits"),
        ("round(1.5, 1.0)", "round to 1.0 digits"),
        ("divisible(8, 2.0)", "divisible needs a whole divisor above 0, got 2.0"),
        ("null + 1", "+ needs a number, got null"),
        ("t + 1", "+ needs a number, got a mapping"),
        ("t[0]", "a mapping is indexed by text, got a number"),
        ("t['y']", "the mapping has no 'y'; it has x"),
        ("t.y", "the mapping has no 'y'; it has x"),
        ("+true", "+ needs a number, got a truth value"),
        ("true + 1", "+ needs a number, got a truth value"),
        ("-true", "- needs a number, got a truth value"),
        ("'a' + 'b'", "+ needs a number, got text"),
        ("'a' + true", "+ needs a number, got text"),
        ("true * 'a'", "* needs a number, got a truth value"),
        ("'a' < 'b'", "< needs a number, got text"),
        ("[1] < [2]", "< needs a number, got a list"),
        ("[1] * 1.5", "* needs a number, got a list"),
        ("1 and true", "each side of and must be true or false, got a number"),
        ("not 0", "the operand of not must be true or false, got a number"),
        ("1 if 1 else 2", "a condition must be true or false, got a number"),
        ("[1][1]", "index 1 is outside a list of 1"),
        ("[1][-2]", "index -2 is outside a list of 1"),
        ("[1][0.0]", "an index is a whole number, got a number"),
        ("[1][true]", "an index is a whole number, got a truth value"),
        ("[1][::0]", "a slice with a step of 0"),
        ("[1]['a':]", "a slice needs whole numbers, got text"),
        ("(3)[0]", "an index needs a list, got a number"),
        ("(3).x", ".x needs a mapping before it, got a number"),
        ("range(1.0)", "range needs whole numbers, got a number 1.0"),
        ("range(0, 3, 0)", "range with a step of 0"),
        ("min([])", "min of an empty list"),
        ("max(true, 1)", "max needs a number, got a truth value"),
        ("len('abc')", "len needs a list, got text"),
        ("1 in 3", "in needs a list, got a number"),
        ("[x for x in 3]", "for … in needs a list, got a number"),
        ("divisible(8, 0)", "divisible needs a whole divisor above 0, got 0"),
        ("round(1.5, 99)", "round to 99 digits"),
        ("x", "the name 'x' is not known here"),
        ("in_channels", "in_channels has no value here: there is no input to take it from"),
    ],
)
def test_what_has_no_value(text, message):
    assert refusal(text, t=Table({"x": 1})).message.startswith(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 ** 62 + (2 ** 62 - 1)", 2**63 - 1),
        ("-(2 ** 62) - (2 ** 62 - 1)", -(2**63) + 1),
        ("9223372036854775807", 2**63 - 1),
        ("1 ** 999999", 1),
        ("(-1) ** 999999", -1),
        ("2 ** -2", 0.25),
        ("7 ** 22", 7**22),
        ("round(1.25, 20)", 1.25),
        ("round(1234, -2)", 1200),
        ("log(0.5, 0.25)", 0.5),
        ("[1, 2] * -1", ()),
        ("+3", 3),
    ],
)
def test_values_at_the_bounds(text, expected):
    found = value(text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("text", ["2 ** 62 + 2 ** 62", "-(2 ** 62) - 2 ** 62", "7 ** 23"])
def test_values_beyond_the_bounds(text):
    assert refusal(text).message == "the result is a whole number beyond 2**63"


def test_nesting_is_that_of_the_deepest_part_wherever_it_stands():
    parts = "[1, [2], 1, {}1]"
    assert value(parts.format("-" * 58)) == (1, (2,), 1, 1)
    assert "the nesting of this expression is over" in refusal(parts.format("-" * 59)).message


def test_a_call_takes_a_thousand_arguments():
    wide = Limits(expression_length=4000)
    assert value(f"max({', '.join(['1'] * 1000)})", limits=wide) == 1
    with pytest.raises(Refusal, match=r"max takes 1 to 1000 argument\(s\), got 1001"):
        value(f"max({', '.join(['1'] * 1001)})", limits=wide)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "'1 +' is not an expression"),
        ("", "'' is not an expression"),
        ("a = 1", "'a = 1' is not an expression"),
        ("1; 2", "'1; 2' is not an expression"),
        ("import os", "'import os' is not an expression"),
        ("a && b", "'a && b' is not an expression"),
        ("\0", "'\\x00' is not an expression"),
        ("lambda: 1", "a lambda is not part of the language of expressions"),
        ("(1, 2)", "a tuple (write a list in brackets) is not part of the language of expressions"),
        ("{'a': 1}", "a mapping is not part of the language of expressions"),
        ("{1}", "a set is not part of the language of expressions"),
        ("(x for x in [1])", "a generator (write brackets) is not part of the language"),
        ("(y := 1)", "an assignment is not part of the language of expressions"),
        ("f'{1}'", "a formatted text is not part of the language of expressions"),
        ("...", "Ellipsis is not a value of the language"),
        ("1j", "1j is not a value of the language"),
        ("b'a'", "b'a' is not a value of the language"),
        ("1 is 1", "`is` is not part of the language"),
        ("1 << 2", "this operator is not part of the language"),
        ("1 @ 2", "this operator is not part of the language"),
        ("~1", "this operator is not part of the language"),
        ("len", "len is a function"),
        ("open('x')", "'open' is not a function of the language"),
        ("''.join([])", "\"''.join\" is not a function of the language"),
        ("[].__class__.__base__()", "'[].__class__.__base__' is not a function of the language"),
        ("len(x=1)", "len takes plain arguments only"),
        ("max(*[1, 2])", "max takes plain arguments only"),
        ("len()", "len takes 1 argument(s), got 0"),
        ("log(1, 2, 3)", "log takes 1 to 2 argument(s), got 3"),
        ("[x + y for x in [1] for y in [2]]", "a list is built by one `for` over one name"),
        ("[a for a, b in [[1, 2]]]", "a list is built by one `for` over one name"),
        ("[len for len in [1]]", "len is a name of the language"),
        ("a" * 2001, "the length of this expression is over the limit of 2,000"),
        ("-" * 61 + "1", "the nesting of this expression is over the limit of 60"),
        ("(" * 999 + "1" + ")" * 999, "'(((("),
    ],
)
def test_what_is_no_expression(text, message):
    assert refusal(text, a=1).message.startswith(message)


def test_attributes_reach_tables_alone():
    for text in ("a.__class__", "[].append", "'a'.format", "f.__globals__"):
        assert "needs a mapping before it" in refusal(text, a=1, f=(1,)).message


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("a && b", "write `and`, `or`"),
        ("a ? 1 : 2", "write `a if condition else b`"),
        ("a = 2", "write `{a: 2}` for an argument by name; `==` compares"),
        ("a[0] = 2", "compare with =="),
        ("3x3", "write a list: [3, 3]"),
        ("2 x a", "write 2 * a"),
        ("2a", "write 2 * a"),
        ("!a", "write `not x`"),
        ("maxx(1, 2)", "did you mean 'max'?"),
        ("1 if 1 else 2", "compare it: `x > 0`, `x == 'text'`"),
        ("same", "declare it under `params:`; text in an expression stands in quotes: 'same'"),
    ],
)
def test_the_help_that_is_given(text, help_):
    assert refusal(text).help == help_


def test_truth_values_and_numbers_differ_inside_lists_too():
    assert value("[true] == [1]") is False
    assert value("[[1.0]] == [[1]]") is True
    assert value("[true] in [[1], [true]]") is True
    assert value("[true] in [[1]]") is False


def test_the_work_of_expressions_is_bounded():
    small = Limits(list_length=10, evaluation_steps=15)
    for text in ("range(11)", "[0] * 11", "range(-9000000000000000000, 9000000000000000000)"):
        with pytest.raises(Refusal, match="the length of a list is over the limit of 10"):
            value(text, limits=small)
    with pytest.raises(Refusal, match="the work of the whole spec is over the limit of 15"):
        value("[[y for y in range(3)] for x in range(4)]", limits=small)


def test_each_element_of_a_list_costs_all_parts_of_its_expression():
    # 10 for the elements of `range`, 10 for those of `for`, 9 parts for each of them, 1 for the
    # name. The text itself has no more than 20 parts, and costs nothing.
    text = "[1 + 2 + 3 + 4 + 5 for x in range(10)]"
    least = 10 + 10 + 9 * 10 + 1
    assert value(text, limits=Limits(evaluation_steps=least)) == (15,) * 10
    with pytest.raises(Refusal, match="the work of the whole spec is over the limit of"):
        value(text, limits=Limits(evaluation_steps=least - 1))


# --- names of the node's input -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((N, 3, 5, 7), (3, 5, 7, 7, (3, 5, 7))),
        ((N, 3, 7), (3, None, 7, 7, (3, 7))),
        ((N, 7), (7, None, None, 7, (7,))),
        ((N, 3, 2, 5, 7), (3, None, None, 7, (3, 2, 5, 7))),
    ],
)
def test_sizes_of_the_input(shape, expected):
    names = ("in_channels", "in_height", "in_width", "in_features", "in_shape")
    for name, size in zip(names, expected, strict=True):
        if size is None:
            with pytest.raises(Refusal, match=f"{name} has no value for an input of shape"):
                value(name, shape)
        else:
            assert value(name, shape) == size


def test_sizes_belong_to_the_node_itself():
    assert listed(
        "- linear: in_features * 2\n- linear: in_features * 2\n- {linear: in_features, from: '0'}\n"
        "- add: [input, input]",
        input="[3]",
        head="outputs: {a: '2', b: '1'}\n",
    ) == ["0 = linear(input) -> 6", "1 = linear(0) -> 12", "2 = linear(0) -> 6"]
