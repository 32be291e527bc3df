"""Inputs that state a type: `{shape: [16], dtype: int64, below: vocab}`."""

from __future__ import annotations

import hypothesis.strategies as st
import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from listing import loaded, refusal

import archspec
from archspec.document.schema import spec_schema
from archspec.ir.facts import facts
from archspec.ir.shape import N
from archspec.ir.types import BOOL, FLOAT, INT64, ValueType

SCHEMA = jsonschema.Draft202012Validator(spec_schema())
RELU = "layers: [{relu: , from: x}]\n"


def types(text: str, **options: object) -> tuple[ValueType, ...]:
    return archspec.loads(text, warn=False, **options).graph.input_types


@pytest.mark.parametrize(
    ("given", "shape", "kind"),
    [
        ("[4]", (N, 4), FLOAT),
        ("[]", (N,), FLOAT),
        ("{shape: [4]}", (N, 4), FLOAT),
        ("{shape: [2, 3], dtype: float}", (N, 2, 3), FLOAT),
        ("{shape: [4], dtype: int64}", (N, 4), INT64),
        ("{shape: [], dtype: int32, below: 7}", (N,), ValueType("int32", 7)),
        ("{below: 2 * n, dtype: int64, shape: [n, 1]}", (N, 5, 1), ValueType("int64", 10)),
        ("{shape: [], dtype: int64, below: 2147483647}", (N,), ValueType("int64", 2**31 - 1)),
        ('{shape: [4], dtype: "bool"}', (N, 4), BOOL),
    ],
)
def test_an_input_states_its_shape_and_type(given, shape, kind):
    text = f"params: {{n: 5}}\ninputs: {{x: [4], y: {given}}}\n{RELU}outputs: {{a: y, b: 0}}\n"
    graph = archspec.loads(text, warn=False).graph
    assert (graph.inputs[1], graph.input_types[1]) == (shape, kind)
    assert (graph.output_shapes[0], graph.output_types) == (shape, (kind, FLOAT))
    assert SCHEMA.is_valid(yaml.safe_load(text))


def test_one_input_may_state_its_type_in_lines_of_its_own():
    text = "input:\n  shape: [4]\n  dtype: int64\n  below: 9\nlayers: [{parameter: [1, 4]}]\n"
    said = refusal(text)  # the type is read: only the layers are wrong
    assert said.count("error") == 1 and "AS404" in said


@pytest.mark.parametrize(
    "given",
    [
        "{shape: [4], dtype: int}",
        "{shape: [4], below: 3}",
        "{shape: [4], dtype: int64, below: 0}",
        "{shape: [4], dtype: int64, below: 2147483648}",
        "{dtype: int64}",
        "{shape: [4], size: 3}",
        "4",
    ],
)
def test_the_schema_refuses_what_is_refused(given):
    text = f"input: {given}\nlayers: [relu]\n"
    assert "error AS20" in refusal(text)
    assert not SCHEMA.is_valid(yaml.safe_load(text))


def test_the_caller_replaces_the_shape_and_keeps_the_type():
    text = f"inputs: {{y: {{shape: [4], dtype: int64, below: 9}}, x: [3]}}\n{RELU}"
    kept = (ValueType("int64", 9), FLOAT)
    for wanted in ((2, 5), {"y": (2, 5)}):
        arch = archspec.loads(text, input_shape=wanted, warn=False)
        assert arch.graph.inputs == ((N, 2, 5), (N, 3))
        assert arch.graph.input_types == kept
        again = arch.variant(input_shape={"x": (7,)})
        assert again.graph.inputs == ((N, 4), (N, 7))
        assert again.graph.input_types == kept
    assert archspec.loads(text, input_shape=(), warn=False).graph.inputs[0] == (N,)


def test_a_parameter_from_outside_sets_the_bound():
    text = "params: {vocab: 9}\ninputs: {x: [1], y: {shape: [], dtype: int64, below: vocab}}\n"
    assert types(text + RELU, params={"vocab": 50})[1] == ValueType("int64", 50)
    column = text.splitlines()[1].index("vocab}") + 1
    said = refusal(text + RELU, params={"vocab": 0})
    assert said.startswith(f"<text>:2:{column}: error AS201: `below` cannot be 0\n")


def test_an_input_of_a_variant_replaces_the_whole_of_the_base_s(tmp_path):
    base = (
        f"params: {{n: 6}}\ninputs: {{x: [2], y: {{shape: [4], dtype: int64, below: n}}}}\n{RELU}"
    )
    (tmp_path / "base.yaml").write_text(base)

    def variant(more: str) -> tuple[ValueType, ...]:
        return types(f"extends: base.yaml\n{more}", folder=tmp_path)

    assert variant("params: {n: 8}\n") == (FLOAT, ValueType("int64", 8))
    assert variant("inputs: {x: [2], y: [4]}\n") == (FLOAT, FLOAT)
    assert variant("inputs: {x: [2], y: {shape: [4], dtype: int64}}\n") == (FLOAT, INT64)
    said = variant("inputs: {x: [2], y: {shape: [], dtype: int32, below: n + 1}}\n")
    assert said == (FLOAT, ValueType("int32", 7))


def test_a_bound_alone_uses_a_parameter():
    text = "params: {vocab: 9}\ninputs: {x: [1], y: {shape: [], dtype: int64, below: vocab}}\n"
    arch = archspec.loads(text + RELU, warn=False)
    assert [str(each.code) for each in arch.warnings] == ["AS908"]  # and no AS902


def test_expand_keeps_a_plain_list_where_the_type_is_float():
    head = "inputs: {x: {shape: [2], dtype: float}, y: {shape: [], dtype: bool}}\n"
    said = archspec.loads(head + RELU, warn=False).expand()
    assert "\ninputs: {x: [2], y: {shape: [], dtype: bool}}\n" in said
    said = loaded("- relu", input="{shape: [2]}").expand()
    assert "\ninput: [2]\n" in said


# --- drawn ---------------------------------------------------------------------------------------

BOUNDS = st.one_of(
    st.none(),
    st.integers(1, 2**31 - 1).map(lambda n: (str(n), n)),
    st.integers(1, 99).map(lambda n: (f"vocab * {n} + 1", 7 * n + 1)),
    st.just(("max(vocab, 3) if vocab > 2 else 1", 7)),
)
"""What is written for `below`, and its value where `vocab` is 7."""


@st.composite
def inputs(draw: st.DrawFn) -> tuple[str, tuple[int, ...], ValueType]:
    """The text of an input, its sizes and its type."""
    sizes = draw(st.lists(st.integers(1, 9), max_size=4))
    name = draw(st.sampled_from([None, "float", "int64", "int32", "bool"]))
    if name is None:
        return str(sizes), tuple(sizes), FLOAT
    keys = [f"shape: {sizes}", f"dtype: {name}"]
    bound = draw(BOUNDS) if name.startswith("int") else None
    if bound is not None:
        keys.append(f'below: "{bound[0]}"')
    text = ", ".join(draw(st.permutations(keys)))
    return f"{{{text}}}", tuple(sizes), ValueType(name, bound and bound[1])


@given(st.lists(inputs(), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_drawn_inputs_survive_expand(drawn):
    named = "".join(f"  i{n}: {text}\n" for n, (text, _, _) in enumerate(drawn))
    outputs = ", ".join(["r: 0", *(f"o{n}: i{n}" for n in range(len(drawn)))])
    text = f"params: {{vocab: 7}}\ninputs:\n  x: [4]\n{named}{RELU}outputs: {{{outputs}}}\n"
    graph = archspec.loads(text, warn=False).graph
    assert graph.inputs[1:] == tuple((N, *sizes) for _, sizes, _ in drawn)
    assert graph.input_types[1:] == graph.output_types[1:] == tuple(kind for *_, kind in drawn)
    written = archspec.loads(text, warn=False).expand()
    assert facts(archspec.loads(written, warn=False).graph) == facts(graph)
    assert SCHEMA.is_valid(yaml.safe_load(text)) and SCHEMA.is_valid(yaml.safe_load(written))


WRONG = st.sampled_from(
    [
        ("shape: [0]", "0"),
        ("dtype: long", "long"),
        ("dtype: flaot", "flaot"),
        ("below: 0", "0"),
        ("below: -1", "-1"),
        ("below: vocab - 7", "vocab - 7"),
        ("below: nothing", "nothing"),
        ("colour: red", "colour"),
    ]
)


@given(inputs(), inputs(), WRONG, st.sampled_from(["before", "y2", "_z"]))
@settings(max_examples=60, deadline=None)
def test_a_drawn_mistake_is_shown_where_it_stands(before, after, wrong, name):
    entry, place = wrong
    right = {"shape": "shape: []", "dtype": "dtype: int64"}
    right[entry.partition(":")[0]] = entry
    line = f"  {name}: {{{', '.join(right.values())}}}"
    text = f"params: {{vocab: 7}}\ninputs:\n  x: [4]\n  a: {before[0]}\n{line}\n  b: {after[0]}\n"
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(text + RELU, name="drawn.yaml")
    (said,) = raised.value.diagnostics
    found = said.span
    assert (str(found).partition(":")[0], found.line) == ("drawn.yaml", 5)
    assert line[found.column - 1 : found.end_column - 1] == place
