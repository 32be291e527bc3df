"""Arithmetic, conditions and lists, held against Python's own evaluation of the same text."""

from __future__ import annotations

from expression_values import refusal, value
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.diagnostics.diagnostic import Code, Refusal

QUIET = settings(max_examples=200)


@st.composite
def texts(draw, depth=4):
    """Arithmetic of all kinds, a text that Python reads too."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        atoms = ["0", "1", "2", "7", "40", "0.5", "2.25", "1e2", ".1", "a", "b", "c"]
        return draw(st.sampled_from(atoms))
    x, y = draw(texts(depth - 1)), draw(texts(depth - 1))
    form = draw(st.sampled_from(["operator"] * 6 + ["power", "sign", "call", "list", "choice"]))
    match form:
        case "operator":
            symbol = draw(st.sampled_from(["+", " - ", "*", " / ", " // ", "%"]))
            return draw(st.sampled_from(["{}{}{}", "({}{}{})"])).format(x, symbol, y)
        case "power":
            return f"{x} ** {draw(st.sampled_from(['0', '2', '3', '-1', '0.5']))}"
        case "sign":
            return f"-{x}"
        case "call":
            call = draw(
                st.sampled_from(["abs({})", "round({}, 2)", "max({}, {})", "min([{}, {}])"])
            )
            return call.format(x, y)
        case "list":
            return draw(
                st.sampled_from(
                    [
                        "sum([v * {} for v in range(4) if v != {}])",
                        "len([{}, {}, 3][1:])",
                        "[{}, {}, 3][-2]",
                    ]
                )
            ).format(x, y)
        case _:
            condition = draw(conditions(x, y))
            return f"({x} if {condition} else {y})"


@st.composite
def conditions(draw, x, y):
    symbols = st.sampled_from([" < ", "<=", " > ", ">=", " == ", " != "])
    first, second = (f"{x}{draw(symbols)}{y}" for _ in range(2))
    return draw(
        st.sampled_from(
            [first, f"not {first}", f"{first} and {second}", f"not {first} or {second}"]
        )
    )


@QUIET
@given(texts())
def test_arithmetic_is_pythons(text):
    names = {"a": 3, "b": 0.75, "c": -2}
    functions = {f.__name__: f for f in (abs, round, max, min, sum, range, len)}
    # The texts are made of the pieces above alone, and Python itself is the oracle.
    try:
        expected = eval(text, {"__builtins__": {}, **functions, **names})
    except (ZeroDivisionError, OverflowError, TypeError):
        expected = None  # no value, or a complex number where Python needs a real one
    try:
        found = value(text, **names)
    except Refusal as refused:
        # The bounds hold for every part, so a part beyond them is refused in any case.
        bounds = "the result is not a finite number", "the result is not a real number"
        beyond = refused.code is Code.LIMIT or refused.message in bounds
        assert beyond or not isinstance(expected, int | float), text
        return
    assert (found, type(found)) == (expected, type(expected))


SMALL = st.integers(-4, 6)


@st.composite
def lists(draw, depth=3):
    """A list of whole numbers, a text that Python reads too."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return str(draw(st.lists(SMALL, max_size=4)))
    inner = draw(lists(depth - 1))
    form = draw(st.sampled_from(["sum", "times", "slice", "for", "range", "choice"]))
    match form:
        case "sum":
            return f"({inner} + {draw(lists(depth - 1))})"
        case "times":
            return draw(st.sampled_from(["({0} * {1})", "({1} * {0})"])).format(inner, draw(SMALL))
        case "slice":
            start, stop = (draw(st.just("") | SMALL.map(str)) for _ in range(2))
            return f"{inner}[{start}:{stop}:{draw(st.sampled_from(['', '1', '2', '-1', '-2']))}]"
        case "for":
            test = f"v {draw(st.sampled_from(['<', '==', '>=', '!=']))} {draw(SMALL)}"
            change = f"v {draw(st.sampled_from('+-*'))} {draw(SMALL)}"
            return f"[{change} for v in {inner}{draw(st.sampled_from(['', f' if {test}']))}]"
        case "range":
            bounds = draw(st.lists(SMALL, min_size=1, max_size=2))
            step = [draw(st.sampled_from([-2, -1, 1, 3]))] if len(bounds) == 2 else []
            return f"[v for v in range({', '.join(map(str, bounds + step))})]"
        case _:
            return f"({inner} if {draw(SMALL)} in {inner} else {draw(lists(depth - 1))})"


@QUIET
@given(
    lists(), SMALL, st.sampled_from(["len({})", "sum({})", "min({})", "max({})", "{}[{}]", "{}"])
)
def test_lists_are_pythons(inner, number, form):
    text = form.format(inner, number)
    functions = {f.__name__: f for f in (max, min, sum, range, len)}
    try:
        expected = eval(text, {"__builtins__": {}, **functions})
    except (IndexError, ValueError) as error:  # an index outside, the least of no numbers
        assert refusal(text).message.startswith(
            f"index {number} is outside" if isinstance(error, IndexError) else f"{form[:3]} of an"
        )
        return
    found = value(text)
    assert found == (tuple(expected) if isinstance(expected, list) else expected)
