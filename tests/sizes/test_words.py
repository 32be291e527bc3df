"""How formulas and sets of sizes are written, and that what is written is so."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import assume, given
from test_formula import STEPS, built

from archspec.sizes.formula import Condition, Ring, Unkept
from archspec.sizes.sets import ALL, NONE, Sizes, from_to
from archspec.sizes.solve import where
from archspec.sizes.words import condition_text, formula_source, formula_text, sizes_text

RING = Ring()
H, W = RING.symbol("H"), RING.symbol("W")
UP = H.plus(31).floor(32)
TWICE = where(H - H.floor(16).times(16), "=")


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (UP, "⌈H/32⌉"),
        (H.plus(1).floor(4).plus(-2), "⌊(H + 1)/4⌋ - 2"),
        ((UP.plus(-2) * UP.plus(-2)).times(256), "256·(⌈H/32⌉ - 2)²"),
        (UP.plus(-2) * W.floor(2).plus(1), "(⌈H/32⌉ - 2)·(⌊W/2⌋ + 1)"),
        (H * W, "H·W"),
        ((H * W).times(3) + H.plus(5), "3·H·W + H + 5"),
        (H.times(-1).plus(7), "-H + 7"),
        (H.times(-1).floor(2).times(-1), "⌈H/2⌉"),
        (H - H.floor(2), "⌈H/2⌉"),
        (H - H, "0"),
    ],
)
def test_formulas_are_written_as_people_write_them(formula, text):
    assert formula_text(formula) == text


def test_legal_sizes_make_a_formula_simpler():
    legal = {"H": TWICE, "W": TWICE}
    assert formula_text(H.floor(2), legal) == "H/2"
    assert formula_text(H.floor(2).times(2), legal) == "H"
    assert formula_text((H.floor(2) * W.floor(2)).times(8) + H * W, legal) == "3·H·W"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        (ALL, "any H"),
        (NONE, "no H"),
        (from_to(29), "H ≥ 29"),
        (from_to(193, 224), "193 ≤ H ≤ 224"),
        (from_to(7, 7), "H = 7"),
        (from_to(7, 7) | from_to(9, 9), "H = 7, 9"),
        (from_to(3, 5) | from_to(9), "3 ≤ H ≤ 5, or H ≥ 9"),
        (TWICE, "H a multiple of 16"),
        (TWICE & from_to(30), "H ≥ 32, a multiple of 16"),
        (~TWICE, "H no multiple of 16"),
        (Sizes([(), (1,)]), "H odd"),
        (Sizes([(), (), (), (1,)]), "H 3 more than a multiple of 4"),
        (Sizes([(1,), (1,), (), ()]), "H that leaves 0 to 1 when divided by 4"),
    ],
)
def test_sets_are_written_as_people_say_them(sizes, text):
    assert sizes_text(sizes, "H") == text


def test_conditions_have_their_number_on_the_right():
    product = (UP.plus(-2) * W.plus(-2)).times(16)
    assert condition_text(Condition(product.plus(-256), "="), 256) == (
        "16·(W - 2)·(⌈H/32⌉ - 2) = 256"
    )
    assert condition_text(Condition(H - W, "=")) == "H = W"
    assert condition_text(Condition(H - H.floor(4).times(4), "=")) == "H a multiple of 4"
    assert condition_text(Condition((H * W).times(-1).plus(100), ">=")) == "H·W ≤ 100"


def read(text: str, h: int) -> int:
    """The value of a text of one symbol, by Python's own arithmetic."""
    text = re.sub(r"([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"**{_plain(m[1])}", text)

    while "⌈" in text or "⌊" in text:
        text = re.sub(r"⌊([^⌊⌋⌈⌉]*)/(\d+)⌋", r"((\1)//\2)", text)
        text = re.sub(r"⌈([^⌊⌋⌈⌉]*)/(\d+)⌉", r"(-(-(\1)//\2))", text)
    return int(_calculated(text.replace("·", "*"), h))


def _plain(digits: str) -> str:
    return "".join(str("⁰¹²³⁴⁵⁶⁷⁸⁹".index(digit)) for digit in digits)


def _calculated(text: str, h: int) -> float:
    from archspec.expressions.evaluate import Budget, Env
    from archspec.expressions.parse import parse
    from archspec.text.limits import DEFAULT

    value = parse(text).evaluate(Env({"H": h}, None, Budget(DEFAULT)))
    assert math.floor(value) == value
    return float(value)


@given(STEPS)
def test_a_written_formula_has_its_value(steps):
    try:
        formula, plain = built(steps)
    except Unkept:
        assume(False)
    assume(formula.period <= 60)
    text, source = formula_text(formula), formula_source(formula)
    for h in (1, 2, 3, 7, 8, 12, 31, 100):
        assert read(text, h) == plain(h)
        assert (source if isinstance(source, int) else _calculated(source, h)) == plain(h)
