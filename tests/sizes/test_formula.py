"""Formulas against the arithmetic that they stand for; their sets of sizes against trying each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archspec.sizes.formula import MAX_PERIOD, Formula, Ring, Unkept
from archspec.sizes.sets import ALL, NONE, Sizes, from_to
from archspec.sizes.solve import where

Plain = Callable[[int], int]
"""What a formula of one symbol stands for, as a function of its value."""

SOME = (*range(1, 150), 1_000, 4_095, 65_536, 100_003)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("plus"), st.integers(-9, 9), st.just(1)),
        st.tuples(st.just("times"), st.integers(-4, 6), st.just(1)),
        st.tuples(st.just("floor"), st.integers(-7, 7), st.integers(1, 8)),
        st.tuples(st.just("add"), st.integers(-3, 3), st.just(1)),
        st.tuples(st.just("multiply"), st.integers(-3, 3), st.just(1)),
    ),
    max_size=6,
)


def built(steps: list[tuple[str, int, int]]) -> tuple[Formula, Plain]:
    """A formula, and plain code that computes it."""
    h = Ring().symbol("H")
    formula, plain = h, lambda x: x
    for kind, a, b in steps:
        before = plain
        if kind == "plus":
            formula, plain = formula.plus(a), lambda x, f=before, a=a: f(x) + a
        elif kind == "times":
            formula, plain = formula.times(a), lambda x, f=before, a=a: f(x) * a
        elif kind == "floor":
            formula = formula.plus(a).floor(b)
            plain = lambda x, f=before, a=a, b=b: (f(x) + a) // b  # noqa: E731
        elif kind == "add":
            formula, plain = formula + h.times(a), lambda x, f=before, a=a: f(x) + a * x
        elif formula.degree < 3:
            formula, plain = formula * h.plus(a), lambda x, f=before, a=a: f(x) * (x + a)
    return formula, plain


@given(STEPS)
def test_a_formula_has_the_value_of_its_arithmetic(steps):
    try:
        formula, plain = built(steps)
    except Unkept:
        assume(False)
    assert [formula.at({"H": x}) for x in SOME] == [plain(x) for x in SOME]


@given(STEPS)
def test_the_sizes_that_answer_a_question_are_exact(steps):
    try:
        formula, plain = built(steps)
    except Unkept:
        assume(False)
    assume(formula.period <= 300)
    for relation, holds in (
        (">=", lambda value: value >= 0),
        ("=", lambda value: value == 0),
        ("!=", lambda value: value != 0),
    ):
        found = where(formula, relation)
        assert [x for x in SOME if x in found] == [x for x in SOME if holds(plain(x))]


CLASSES = st.lists(
    st.lists(st.integers(1, 60), max_size=4, unique=True).map(sorted).map(tuple),
    min_size=1,
    max_size=6,
)


@given(CLASSES, CLASSES)
def test_sets_combine_as_their_members_do(one, two):
    a, b = Sizes(one), Sizes(two)
    for x in range(1, 150):
        assert (x in (a & b)) is (x in a and x in b)
        assert (x in (a | b)) is (x in a or x in b)
        assert (x in (a - b)) is (x in a and x not in b)
        assert (x in ~a) is (x not in a)
    assert (a <= b) is all(x in b for x in range(1, 150) if x in a)
    assert (a == b) is all((x in a) is (x in b) for x in range(1, 150))
    assert ~~a == a
    assert a | ~a == ALL
    assert a & ~a == NONE


@given(CLASSES)
def test_neighbours_and_runs_are_the_members(classes):
    found = Sizes(classes)
    members = [x for x in range(1, 200) if x in found]
    assert found.least == (members[0] if members else None)
    for x in range(1, 100):
        assert found.above(x) == next((y for y in members if y > x), None)
        assert found.below(x) == next((y for y in members[::-1] if y < x), None)
    assert [x for first, last in found.runs(150) for x in range(first, last + 1)] == [
        x for x in members if x <= 150
    ]


def test_floors_of_floors_become_one():
    h = Ring().symbol("H")
    halved = h.plus(1).floor(2)
    assert halved.plus(1).floor(2) is h.plus(3).floor(4)
    assert h.times(-1).floor(32).times(-1) is h.plus(31).floor(32)


def test_equal_polynomials_are_one_object():
    h = Ring().symbol("H")
    assert h.plus(1) * h.plus(-1) is (h * h).plus(-1)
    assert (h - h).is_constant


def test_the_period_is_no_longer_than_it_need_be():
    h = Ring().symbol("H")
    assert h.times(4).plus(1).floor(6).period == 3
    assert (h.floor(2).times(2) + h).floor(4).period == 2


def test_a_formula_that_repeats_too_seldom_is_not_kept():
    h = Ring().symbol("H")
    with pytest.raises(Unkept):
        h.floor(MAX_PERIOD + 1)


def test_a_period_is_shortened():
    assert Sizes([(30,), (29,)]) == from_to(29)
    assert Sizes([(2,), (), (2,), ()]).period == 2


def test_a_condition_of_a_product_is_solved():
    h = Ring().symbol("H")
    square = (h.plus(31).floor(32) * h.plus(31).floor(32)).plus(-49)
    assert where(square, "=") == from_to(193, 224)


def test_equal_sets_are_equal_however_they_were_made():
    evens = Sizes([(2,), ()])
    assert from_to(2, 2) & evens == from_to(2, 2) and hash(from_to(2, 2) & evens) == hash(
        from_to(2, 2)
    )
    assert from_to(2, 3) & evens == from_to(2, 2) != from_to(2, 4) & evens
