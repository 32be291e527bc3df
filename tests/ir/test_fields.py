"""What an op takes at once, pydantic takes as it is; what pydantic refuses, an op refuses."""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field as PydanticField
from pydantic import TypeAdapter, ValidationError

from archspec.ir.fields import (
    MISFIT,
    REQUIRED,
    ArgumentsError,
    Bounds,
    Problem,
    converter,
    fields_of,
    model,
    taken,
)
from archspec.ir.op import REGISTRY, Op

EDGES = (0, 1, -1, 2, 2**12, 2**12 + 1, 2**20, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 10**400)
ATOMS = (
    st.integers()
    | st.sampled_from(EDGES)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.sampled_from(["same", "valid", "zeros", "normal", "nearest", "none", "", "1"])
)
VALUES = (
    ATOMS
    | st.lists(ATOMS, max_size=4).map(tuple)
    | st.lists(ATOMS, max_size=2)
    | st.dictionaries(st.text(max_size=3), ATOMS, max_size=2)
)


def same(a: Any, b: Any) -> bool:
    """Equal in value and in type, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


ANNOTATIONS = sorted(
    {field.annotation for op in REGISTRY.values() for field in op.fields().values()}, key=str
)
STRICT = {"strict": True, "allow_inf_nan": False}
CONVERTERS = [
    (annotation, converter(annotation), TypeAdapter(annotation, config=STRICT))
    for annotation in ANNOTATIONS
]


# Drawing the values takes longer than the checks of them, so all types share what is drawn.


@settings(max_examples=900)
@given(VALUES)
def test_what_plainly_fits_is_what_pydantic_would_make_of_it(value):
    for annotation, take, judge in CONVERTERS:
        found = take(value)
        if found is not MISFIT:
            assert same(found, judge.validate_python(value)), annotation


@settings(max_examples=400)
@given(st.dictionaries(st.integers(0, 999), VALUES), st.booleans(), st.booleans())
def test_an_op_takes_what_its_model_takes(drawn, as_example, misspelt):
    """Arguments of its own, or of an example and some others, with names of none or without."""
    for name, kind in REGISTRY.items():
        keys = [*kind.fields(), *(("stride", "Stride") if misspelt else ())]
        given = dict(kind.examples[0].args) if as_example else {}
        given |= {keys[place % len(keys)]: value for place, value in drawn.items() if keys}
        try:
            judged: Any = dict(model(kind)(**given))
        except ValidationError as error:
            judged = {str(each["loc"][0]) for each in error.errors()}
        try:
            values: Any = taken(kind, given)
        except ArgumentsError as error:
            values = {problem.argument for problem in error.problems}
        assert judged == values, (name, given)
        if isinstance(values, dict):
            assert all(same(values[key], judged[key]) for key in values), (name, given)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_examples_do_not_need_pydantic(name, monkeypatch):
    def judged(kind, given):
        raise AssertionError(f"pydantic is asked about {kind.__name__}({given})")

    monkeypatch.setattr("archspec.ir.fields._validated", judged)
    for example in REGISTRY[name].examples:
        if "kwargs" not in example.args:  # any mapping is left to pydantic
            REGISTRY[name](**example.args)


class _Base:
    shared: ClassVar[int] = 3
    size: int | tuple[int, ...]
    mode: Literal["a", "b", 1] = "a"


class _Derived(_Base):
    size: Annotated[int, Bounds(gt=0)]
    rate: float = 0.5


def test_fields_are_those_of_the_bases_first_and_narrowed_ones_keep_their_place():
    fields = fields_of(_Derived)
    assert list(fields) == ["size", "mode", "rate"]
    assert fields["size"].annotation == Annotated[int, fields["size"].annotation.__metadata__[0]]
    assert [field.default for field in fields.values()] == [REQUIRED, "a", 0.5]
    assert [field.is_required for field in fields.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, [("missing", "size")]),
        ({"size": 0}, [("wrong", "size")]),
        ({"size": True}, [("wrong", "size")]),
        ({"size": 1, "mode": "c"}, [("wrong", "mode")]),
        ({"size": 1, "rate": math.inf}, [("wrong", "rate")]),
        ({"size": 1, "Rate": 1, "shared": 2}, [("unknown", "Rate"), ("unknown", "shared")]),
        ({"rate": "1"}, [("missing", "size"), ("wrong", "rate")]),
    ],
)
def test_every_problem_is_named(given, problems):
    with pytest.raises(ArgumentsError) as raised:
        taken(_Derived, given)
    assert [(p.kind, p.argument) for p in raised.value.problems] == problems


def test_a_whole_number_widens_where_no_type_fits_it_as_it_is():
    assert same(converter(float)(2), 2.0)
    assert same(converter(float | int)(2), 2)
    assert same(converter(float | None)(2), 2.0)
    assert same(converter(tuple[float, ...])((1, 2.5)), (1.0, 2.5))
    assert converter(float)(2**53 + 1) is MISFIT  # not exact as a float: pydantic is asked


@pytest.mark.parametrize(
    ("bounds", "within"),
    [
        (Bounds(gt=1, lt=3), [2]),
        (Bounds(ge=1, le=3), [1, 2, 3]),
        (Bounds(gt=1), [2, 3, 4]),
        (Bounds(lt=3), [0, 1, 2]),
    ],
)
def test_a_number_is_taken_within_its_bounds_alone(bounds, within):
    take = converter(Annotated[int, bounds])
    assert [number for number in range(5) if take(number) is not MISFIT] == within


def test_a_literal_is_taken_in_its_own_type():
    take = converter(Literal["a", 1])
    assert same((take("a"), take(1)), ("a", 1))
    assert take(True) is take(1.0) is MISFIT  # equal to 1: pydantic is asked


class _Even(Op):
    """An op with a rule of its own."""

    number: int = 2

    def problems(self, given):
        if self.number % 2:
            yield Problem("rule", "number", "must be even")


def test_a_rule_of_the_op_comes_after_the_types():
    assert _Even().number == 2
    for number, kind in ((3, "rule"), (3.5, "wrong")):
        with pytest.raises(ArgumentsError) as raised:
            _Even(number=number)
        assert [p.kind for p in raised.value.problems] == [kind]


def test_an_op_is_a_value():
    op = REGISTRY["conv2d"](out_channels=4, kernel_size=3, stride=1)
    same_op = REGISTRY["conv2d"](kernel_size=3, out_channels=4)
    assert op == same_op
    assert hash(op) == hash(same_op)
    assert op != REGISTRY["conv2d"](out_channels=4, kernel_size=2)
    assert op != REGISTRY["conv1d"](out_channels=4, kernel_size=3)
    assert repr(op) == "Conv2d(out_channels=4, kernel_size=3)"
    with pytest.raises(AttributeError, match="immutable"):
        op.stride = 2
    with pytest.raises(AttributeError, match="immutable"):
        del op.stride


def test_annotations_may_be_objects_that_have_no_hash():
    declared = {"c": "int", "b": int, "a": Annotated[int, PydanticField(gt=0)]}
    names = {"__module__": __name__, "__annotations__": declared, "b": 2, "c": 3}
    kind = type("Declared", (), names)
    assert list(fields_of(kind)) == ["c", "b", "a"]
    assert taken(kind, {"a": 1}) == {"c": 3, "b": 2, "a": 1}
    with pytest.raises(ArgumentsError, match="a: Input should be greater than 0"):
        taken(kind, {"a": 0})


def test_a_text_means_what_its_own_module_says(monkeypatch):
    kinds = []
    for name, meaning in (("one", int), ("other", str)):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules[name].Size = meaning
        bases = tuple(kinds[-1:])
        names = {"__module__": name, "__annotations__": {f"of_{name}": "Size"}}
        kinds.append(type(name, bases, names))
    assert {key: field.annotation for key, field in fields_of(kinds[1]).items()} == {
        "of_one": int,
        "of_other": str,
    }
