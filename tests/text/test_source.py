"""Scalars follow YAML 1.2, and the text is read strictly, with places."""

from __future__ import annotations

import pytest
from listing import first_line, refusal

import archspec
from archspec.diagnostics.diagnostic import Source, SpecError
from archspec.text.limits import Limits
from archspec.text.values import Items, Mapping, Scalar, read


def value(text: str, limits: Limits | None = None):
    return read(Source("t.yaml", text), limits or Limits())


def scalar(text: str):
    found = value(text)
    assert isinstance(found, Scalar)
    return found.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        ("1E+2", 100.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+3", 3),
        ("-0", 0),
        ("010", 10),
        ("08", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("Null", None),
    ],
)
def test_plain_scalars_are_resolved_by_the_core_schema(text, expected):
    found = scalar(text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        *("no", "yes", "on", "off", "y", "NO", "tRUE", "nULL"),
        *("12:30", "1_000", "0b11", "2024-01-01", "1e", "e3", ".", "--1", "0x", "1.2.3", "="),
    ],
)
def test_what_only_yaml_11_resolves_is_text(text):
    found = value(f"a: {text}")
    assert isinstance(found, Mapping)
    inner = found.get("a")
    assert isinstance(inner, Scalar)
    assert inner.value == text


@pytest.mark.parametrize("text", ['"12"', "'12'", '"true"', "'null'", '""', "|-\n  12"])
def test_quoted_scalars_are_text(text):
    assert isinstance(scalar(text), str)


def test_only_an_unwritten_value_is_absent():
    found = value("a:\nb: null\nc: ''\n")
    assert isinstance(found, Mapping)
    assert [item.is_absent for _, _, item in found.items()] == [True, False, False]
    assert [item.value for _, _, item in found.items()] == [None, None, ""]


def test_every_value_knows_its_place():
    found = value("a: 1\nbé: [x, {c: yy}]\n")
    assert isinstance(found, Mapping)
    items = found.get("bé")
    assert isinstance(items, Items)
    inner = items.items[1]
    assert isinstance(inner, Mapping)
    assert [
        (v.span.line, v.span.column, v.span.end_line, v.span.end_column)
        for v in (found.key("bé"), items, items.items[0], inner, inner.get("c"))
    ] == [(2, 1, 2, 3), (2, 5, 2, 17), (2, 6, 2, 7), (2, 9, 2, 16), (2, 13, 2, 15)]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a: .nan", "AS105", ".nan is not a size, rate or count"),
        ("a: -.inf", "AS105", "-.inf is not a size, rate or count"),
        ("a: .Inf", "AS105", ".Inf is not a size, rate or count"),
        ("a: 1e999", "AS105", "1e999 is too large for a number"),
        (f"a: {'9' * 101}", "AS105", "a whole number of more than 100 digits"),
        ("a: 1\nb: 2\na: 3", "AS103", "the key 'a' stands twice in one mapping"),
        ('a: 1\n"a": 3', "AS103", "the key 'a' stands twice in one mapping"),
        ("{a: 1, a: 2}", "AS103", "the key 'a' stands twice in one mapping"),
        ("a: &x {b: 1}\nc: {<<: *x}", "AS104", "merge keys (`<<`) are not part of the language"),
        ("a: !!int 3", "AS104", "the tag tag:yaml.org,2002:int is not part of the language"),
        ("a: !!python/name:os.system x", "AS104", "the tag tag:yaml.org,2002:python/name:os.sys"),
        ("a: !x [1]", "AS104", "the tag !x is not part of the language"),
        ("a: 1\n---\nb: 2", "AS104", "a second document begins here"),
        ("a: *x", "AS104", "*x names no anchor"),
        ("a: &x [*x]", "AS104", "*x stands inside the value it names"),
        ("? [a]\n: 1", "AS201", "a list cannot be a key"),
        ("", "AS201", "the spec is empty"),
        ("# only a comment\n", "AS201", "the spec is empty"),
        ("a: \ud800", "AS102", "the text is not valid Unicode"),
        ("a: \x07", "AS102", "this is not YAML: control characters are not allowed"),
        ("a: [1", "AS101", "this is not YAML: this bracket is not closed, or a comma is missing"),
    ],
)
def test_texts_that_are_refused(text, code, message):
    with pytest.raises(SpecError) as raised:
        value(text)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.message.startswith(message)
    assert diagnostic.span is not None


def test_a_duplicate_key_is_shown_with_the_first():
    text = "input: [3]\nlayers:\n  - conv2d: {out_channels: 4,\n      out_channels: 8}\n"
    assert refusal(text) == (
        "<text>:4:7: error AS103: the key 'out_channels' stands twice in one mapping\n"
        "  4 |       out_channels: 8}\n"
        "    |       ^^^^^^^^^^^^\n"
        "  expected: each key once\n"
        "  found:    the first is at line 3\n"
        "  help: remove one of the two"
    )


def test_an_alias_stands_for_its_value():
    arch = archspec.loads(
        "input: [3, 8, 8]\nlayers:\n  - conv2d: &conv {out_channels: 4, kernel_size: 1}\n"
        "  - conv2d: *conv\n"
    )
    assert [layer.num_parameters for layer in arch.layers] == [16, 20]


def test_an_alias_bomb_is_counted_and_not_walked():
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    with pytest.raises(SpecError, match=r"the number of values \(aliases expanded\) is over"):
        value("\n".join(lines))


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_text(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfinput: [3]\r\nlayers:\r\n  - linear: x\r\n")
    with pytest.raises(SpecError) as raised:
        archspec.load(path)
    assert str(raised.value) == (
        f"{path}:3:13: error AS302: the name 'x' is not known here\n"
        "  3 |   - linear: x\n"
        "    |             ^\n"
        "  expected: one of in_channels, in_features, in_height, in_shape, in_width\n"
        "  help: declare it under `params:`; text in an expression stands in quotes: 'x'"
    )


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_is_not_utf8_is_refused(tmp_path, mark):
    path = tmp_path / "a.yaml"
    path.write_bytes(mark + b"input: [3]\nname: caf\xe9\n")
    with pytest.raises(SpecError) as raised:
        archspec.load(path)
    assert str(raised.value) == (
        f"error AS102: {path} is not UTF-8 text: byte 0xe9 at line 2\n  help: save it as UTF-8"
    )


@pytest.mark.parametrize("text", ["3", "[1, 2]", "just words"])
def test_a_spec_is_a_mapping(text):
    assert ": a spec is a mapping, not " in first_line(refusal(text))


def test_nesting_is_bounded_and_never_overflows_the_stack():
    with pytest.raises(SpecError, match="the nesting is over the limit of 150"):
        value("[" * 50_000)
