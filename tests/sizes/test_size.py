"""Sizes that depend on symbols: what they compute, and what they record of each question."""

from __future__ import annotations

import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archspec.ir.shape import broadcast, chunk_sizes, scaled, sliced, total, window
from archspec.sizes.formula import Ring
from archspec.sizes.sets import ALL, from_to
from archspec.sizes.size import LIMIT, Path, Ratio, Size, known
from archspec.sizes.solve import where


def cell(path):
    """The sizes that meet all that was recorded."""
    found = ALL
    for condition in path.conditions:
        found &= where(*condition)
    return found


def traced(function, value):
    """What a function gives for a size, and the path that it took."""
    path = Path(Ring(), lambda: "here")
    return function(path.size("H", value)), path


BINARY = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod)
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)


@given(st.integers(1, 60), st.sampled_from(BINARY), st.integers(1, 9), st.integers(1, 60))
def test_arithmetic_follows_the_symbol(value, operate, number, other):
    result, path = traced(lambda h: operate(h, number), value)
    assert known(result) == operate(value, number)
    assert not path.conditions
    if isinstance(result, Size):
        assert result.at({"H": other}) == operate(other, number)
    swapped, path = traced(lambda h: operate(number, h), value)
    assert known(swapped) == operate(number, value)
    if isinstance(swapped, Size):
        assert swapped.at({"H": other}) == operate(number, other)
    else:
        assert cell(path) == from_to(value, value)


@given(st.integers(1, 40), st.sampled_from(COMPARISONS), st.integers(-3, 40))
def test_a_comparison_records_who_answers_alike(value, compare, number):
    for ask in (lambda h: compare(h, number), lambda h: compare(number, h)):
        answer, path = traced(ask, value)
        alike = cell(path)
        assert answer is ask(value)
        assert [x for x in range(1, 80) if x in alike] == [
            x for x in range(1, 80) if ask(x) is answer
        ]


RULES = (
    lambda size: window(size, 3, stride=2, padding=1, what="width"),
    lambda size: window(size, 3, stride=2, ceil_mode=True, what="width"),
    lambda size: window(size, 2, stride=3, padding=1, ceil_mode=True, what="width"),
    lambda size: window(size, 5, stride=4, padding=2, dilation=3, ceil_mode=True, what="width"),
    lambda size: sliced(size, 2, -1, 3),
    lambda size: sliced(size, -5, None, 1),
    lambda size: scaled(size, 2.0),
    lambda size: scaled(size, 0.5),
    lambda size: scaled(size, 1 / 3),
    lambda size: math.prod(chunk_sizes(size, 3)),
    lambda size: broadcast(("N", size, 1), (size, 7))[1],
    lambda size: math.ceil(size / 4) + math.floor(size * 0.75),
)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [15, 16, 30])
def test_a_rule_keeps_its_value_in_its_cell(rule, value):
    result, path = traced(rule, value)
    assert known(result) == rule(value)
    alike = cell(path)
    for x in range(7, 60):
        if x in alike:
            assert (result.at({"H": x}) if isinstance(result, Size) else result) == rule(x)


def test_windows_of_any_size_ask_once_whether_they_fit():
    for ceil_mode in (False, True):
        _, path = traced(
            lambda h, c=ceil_mode: window(h, 3, stride=2, ceil_mode=c, what="width"), 224
        )
        assert len(path.conditions) == 1


def test_an_index_pins_the_size():
    numbers, path = traced(lambda h: list(range(h)), 5)
    assert numbers == [0, 1, 2, 3, 4]
    assert cell(path) == from_to(5, 5)


def test_equal_formulas_are_equal_without_a_question():
    _, path = traced(lambda h: {(h + 1, 3): 1}[h + 1, 3] + (h // 2 == h // 2), 5)
    assert not path.conditions


def test_ratios_round_as_floats_do():
    for value in (7, 8):
        ceiling, path = traced(lambda h: math.ceil(h / 2), value)
        assert known(ceiling) == math.ceil(value / 2)
        assert not path.conditions
        assert type(traced(lambda h: h / 2, value)[0]) is Ratio


def test_what_no_formula_holds_is_pinned():
    result, path = traced(lambda h: math.sqrt(h), 16)
    assert result == 4.0
    assert cell(path) == from_to(16, 16)


def test_bounds_of_machines_stand_apart():
    _, path = traced(lambda h: h * h > LIMIT, 16)
    assert not path.conditions
    assert len(path.limits) == 1


def test_a_closed_path_answers_without_a_record():
    path = Path(Ring(), lambda: None)
    h = path.size("H", 8)
    path.close()
    assert h > 3
    assert not path.conditions


def test_questions_asked_apart_are_kept_by_themselves():
    path = Path(Ring(), lambda: None)
    h = path.size("H", 8)
    path.close()
    with path.apart() as conditions:
        assert h > 3
    assert len(conditions) == 1
    assert not path.conditions


def test_what_is_beyond_a_bound_is_a_condition():
    result, path = traced(lambda h: h * h > 2**40, 2**21)
    assert result is True
    assert cell(path) == from_to(2**20 + 1)


def test_a_bound_of_a_machine_holds_up_to_its_number():
    _, path = traced(lambda h: 3 * h + 5 > 2**40, 16)
    (limit,) = path.limits
    last = (2**40 - 5) // 3
    assert limit.holds({"H": last})
    assert not limit.holds({"H": last + 1})


def test_sums_are_those_of_each_symbol():
    path = Path(Ring(), lambda: None)
    h, w = path.size("H", 8), path.size("W", 5)
    found = total([3, 2 * h, w, h * w, -h, 4])
    assert known(found) == 3 + 16 + 5 + 40 - 8 + 4
    assert found.at({"H": 10, "W": 20}) == 3 + 20 + 20 + 200 - 10 + 4
    assert total([h, 1, -h]) == 1
    assert total([1, 2]) == 3


def test_a_sum_that_is_too_large_is_pinned_as_a_sum_of_two():
    path = Path(Ring(), lambda: None)
    sizes = [path.size(f"s{number}", number) for number in range(1, 67)]
    assert known(total(sizes)) == 66 * 67 // 2
    assert path.conditions


@pytest.mark.parametrize(
    ("compare", "number", "answer"),
    [
        (operator.ge, 3.5, True),
        (operator.ge, 3.6, False),
        (operator.le, 3.5, True),
        (operator.le, 3.4, False),
        (operator.gt, 3.5, False),
        (operator.lt, 3.6, True),
        (operator.eq, 3.5, True),
        (operator.eq, 3.0, False),
    ],
)
def test_a_ratio_is_compared_with_a_float(compare, number, answer):
    given, path = traced(lambda h: compare(h / 2, number), 7)
    assert given is answer
    assert cell(path) == from_to(7, 7)  # the answer is that of this size alone


def test_a_quotient_of_sizes_is_a_whole_number():
    quotient, path = traced(lambda h: (h * h + h) // h, 6)
    assert (known(quotient), type(known(quotient))) == (7, int)
    assert quotient.at({"H": 10}) == 11
    assert all(x in cell(path) for x in range(1, 40))
