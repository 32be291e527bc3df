"""Expressions over sizes that are symbols: whatever they compute holds for their whole cell."""

from __future__ import annotations

from typing import Any

from hypothesis import given, reject
from hypothesis import strategies as st

from archspec.diagnostics.diagnostic import Refusal
from archspec.expressions.evaluate import Budget, Env
from archspec.expressions.parse import parse
from archspec.sizes.formula import Ring
from archspec.sizes.sets import ALL, Unsolved
from archspec.sizes.size import Path, Ratio, Size, everywhere, known
from archspec.sizes.solve import where
from archspec.text.limits import DEFAULT

NUMBERS = st.sampled_from(["h", "h", "h", "1", "2", "3", "7", "16", "0.5", "0.3", "-2", "0", "w"])
"""`h` is the symbol, `w` a list that holds it."""


ONE = ("ceil", "floor", "int", "abs", "round", "sqrt", "log", "len", "sum")
"""Functions of one value."""


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/", "//", "%", "//", "+", "**"]), two).map(
            lambda t: f"({t[1][0]} {t[0]} {t[1][1]})"
        ),
        st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "in"]), two).map(
            lambda t: f"({t[1][0]} {t[0]} {t[1][1]})"
        ),
        st.tuples(st.sampled_from(ONE), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["min", "max", "divisible"]), two).map(
            lambda t: f"{t[0]}({t[1][0]}, {t[1][1]})"
        ),
        st.tuples(inner, two).map(lambda t: f"({t[1][0]} if {t[0]} else {t[1][1]})"),
        two.map(lambda t: f"[{t[0]}, {t[1]}]"),
        two.map(lambda t: f"[{t[0]}, 5, 6, 7][{t[1]}]"),
        two.map(lambda t: f"[x * {t[0]} for x in range({t[1]})]"),
        inner.map(lambda t: f"-{t}"),
    )


EXPRESSIONS = st.recursive(NUMBERS, larger, max_leaves=8)


def evaluated(text: str, h: Any) -> Any:
    """The value, or the text of the refusal."""
    limits = DEFAULT._replace(list_length=200)
    try:
        return parse(text).evaluate(Env({"h": h, "w": (h, h * 2)}, None, Budget(limits)))
    except Refusal as refusal:
        return f"refused: {refusal.code}"


def at(value: Any, h: int) -> Any:
    """The value of a result for another size of the symbol."""

    def one(each: Any) -> Any:
        if isinstance(each, Ratio):
            return each.size.at({"H": h}) / each.divisor
        return each.at({"H": h}) if isinstance(each, Size) else each

    return everywhere(one, value)


@given(EXPRESSIONS, st.integers(1, 40))
def test_an_expression_holds_for_all_sizes_that_answer_alike(text, size):
    path = Path(Ring(), lambda: None)
    found = evaluated(text, path.size("H", size))
    assert repr(everywhere(known, found)) == repr(evaluated(text, size))
    cell = ALL
    try:
        for condition in path.conditions:
            cell &= where(*condition)
    except Unsolved:
        reject()
    assert size in cell
    for other in (*range(1, 45), 97, 224):
        if other in cell and all(limit.holds({"H": other}) for limit in path.limits):
            assert repr(at(found, other)) == repr(evaluated(text, other)), (text, other)
