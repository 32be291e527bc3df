"""Formulas and sets of sizes as people write them: ⌈H/32⌉, `H ≥ 32, a multiple of 16`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from typing import Any

from archspec.sizes.factors import factors
from archspec.sizes.formula import Condition, Formula, Monomial, Unkept, leading
from archspec.sizes.sets import ALL, Sizes, Unsolved, from_to
from archspec.sizes.solve import where

Legal = Mapping[str, Sizes]
"""The sizes that each symbol may have."""

_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

MOST_DIVISORS = 64
"""Divisors that are tried for a simpler formula."""

MOST_RUNS = 8
"""Stretches of neighbouring sizes that are written out."""


# --- formulas ------------------------------------------------------------------------------------


def formula_text(formula: Formula, legal: Legal | None = None) -> str:
    """`256·(⌈S/32⌉ - 2)²`. With `legal` sizes the simplest text that agrees at all of these."""
    formula = _without_floors(formula, legal) if legal else formula
    number, parts = factors(formula)
    if not parts:
        return str(number)
    if len(parts) == 1 and parts[0][1] == 1:
        return _simple(formula, legal or {}).text
    shown = [(_simple(part, legal or {}), power) for part, power in parts]
    texts = [
        f"{each.within}{str(power).translate(_POWERS) if power > 1 else ''}"
        for each, power in shown
    ]
    product = "·".join(texts)
    return {1: product, -1: f"-{product}"}.get(number, f"{number}·{product}")


def _without_floors(formula: Formula, legal: Legal) -> Formula:
    """The formula with plain quotients for floors that round nothing, if its numbers stay whole."""
    ring = formula.ring
    known: dict[int, dict[Monomial, Any]] = {}

    def product(a: dict[Monomial, Any], b: dict[Monomial, Any]) -> dict[Monomial, Any]:
        made: dict[Monomial, Any] = {}
        for one, first in a.items():
            for two, second in b.items():
                monomial = tuple(sorted(one + two))
                made[monomial] = made.get(monomial, 0) + first * second
        return made

    def terms_of(each: Formula) -> dict[Monomial, Any]:
        made: dict[Monomial, Any] = {}
        for monomial, coefficient in each.terms:
            part: dict[Monomial, Any] = {(): Fraction(coefficient)}
            for number in monomial:
                part = product(part, of_atom(number))
            made = {key: made.get(key, 0) + part.get(key, 0) for key in {*made, *part}}
        return made

    def of_atom(number: int) -> dict[Monomial, Any]:
        if number not in known:
            atom = ring.atoms[number]
            known[number] = {(number,): Fraction(1)}
            if atom.numerator is not None and _divides(atom.divisor, atom.numerator, legal):
                part = terms_of(atom.numerator)
                known[number] = {key: value / atom.divisor for key, value in part.items()}
        return known[number]

    found = terms_of(formula)
    if any(value.denominator > 1 for value in found.values()):
        return formula
    return ring.made({monomial: int(value) for monomial, value in found.items()})


def _divides(divisor: int, numerator: Formula, legal: Legal) -> bool:
    """Whether it divides all values at legal sizes."""
    if len(numerator.symbols) != 1:
        return False
    (name,) = numerator.symbols
    with suppress(Unkept):
        rest = numerator - numerator.floor(divisor).times(divisor)
        return name in legal and _is_zero(rest, legal[name])
    return False


def _is_zero(formula: Formula, legal: Sizes) -> bool:
    """Whether it is 0 at all legal sizes; False where that is not seen."""
    with suppress(Unsolved):
        return legal <= where(formula, "=")
    return False


class _Shown:
    """A text, and whether it needs parentheses in a product."""

    __slots__ = ("is_sum", "text")

    def __init__(self, text: str, is_sum: bool) -> None:
        self.text, self.is_sum = text, is_sum

    @property
    def within(self) -> str:
        return f"({self.text})" if self.is_sum else self.text


def _simple(formula: Formula, legal: Legal) -> _Shown:
    """A formula that is no product."""
    if formula.degree == 1 and len(formula.symbols) == 1:
        (name,) = formula.symbols
        with suppress(Unkept):
            if (found := _one_floor(formula, name, legal.get(name, ALL))) is not None:
                return found
    return _Shown(_sum(formula), len(formula.terms) > 1)


def _one_floor(formula: Formula, name: str, legal: Sizes) -> _Shown | None:
    """The formula as `m·⌊(S + c)/k⌋ + e`, where it is that at all legal sizes."""
    first = legal.least
    if first is None:
        return None
    tries = _members(legal, first)
    symbol = formula.ring.symbol(name)
    rise, period = formula.rise(formula.period), formula.period
    for k in range(1, min(period, MOST_DIVISORS) + 1):
        if rise * k % period:
            continue
        m = rise * k // period
        for c in dict.fromkeys((0, k - 1, *range(1, k - 1))):
            part = symbol.plus(c).floor(k)
            e = formula.at({name: first}) - m * part.at({name: first})
            other = part.times(m).plus(e)
            if any(other.at({name: x}) != formula.at({name: x}) for x in tries):
                continue
            if other is formula or _is_zero(formula - other, legal):
                exact = c == 0 and k > 1 and _is_zero(symbol - part.times(k), legal)
                return _linear(name, m, c, k, e, exact)
    return None


def _members(legal: Sizes, first: int | None) -> list[int]:
    found: list[int] = []
    while first is not None and len(found) < 8:
        found.append(first)
        first = legal.above(first)
    return found


def _linear(name: str, m: int, c: int, k: int, e: int, exact: bool) -> _Shown:
    if k == 1:
        part = name
    elif exact:
        part = f"{name}/{k}"
    else:
        part = _floor_text(name, c, k)
    if m == 0:
        return _Shown(str(e), False)
    text = {1: part, -1: f"-{part}"}.get(m, f"{m}·{part}")
    if not e:
        return _Shown(text, False)
    return _Shown(f"{text} {'+' if e > 0 else '-'} {abs(e)}", True)


def _floor_text(numerator: str, constant: int, divisor: int, is_sum: bool = False) -> str:
    if constant == divisor - 1:
        return f"⌈{f'({numerator})' if is_sum else numerator}/{divisor}⌉"
    if constant:
        sign = "+" if constant > 0 else "-"
        return f"⌊({numerator} {sign} {abs(constant)})/{divisor}⌋"
    return f"⌊{f'({numerator})' if is_sum else numerator}/{divisor}⌋"


def _sum(formula: Formula) -> str:
    """Term by term, those of the highest degree first."""
    terms = sorted(
        formula.terms,
        key=lambda term: (-sum(formula.ring.atoms[n].degree for n in term[0]), term[0]),
    )
    text = ""
    for monomial, coefficient in terms:
        part = _product(formula, monomial, abs(coefficient))
        if not text:
            text = f"-{part}" if coefficient < 0 else part
        else:
            text += f" {'-' if coefficient < 0 else '+'} {part}"
    return text or "0"


def _product(formula: Formula, monomial: Monomial, coefficient: int) -> str:
    parts = [str(coefficient)] if coefficient != 1 or not monomial else []
    for number in dict.fromkeys(monomial):
        power = monomial.count(number)
        raised = str(power).translate(_POWERS) if power > 1 else ""
        parts.append(_atom(formula, number) + raised)
    return "·".join(parts)


def _atom(formula: Formula, number: int) -> str:
    atom = formula.ring.atoms[number]
    if atom.numerator is None:
        return atom.name
    rest = atom.numerator.plus(-atom.numerator.constant)
    is_sum = len(rest.terms) > 1
    return _floor_text(_sum(rest), atom.numerator.constant, atom.divisor, is_sum)


def formula_source(formula: Formula | int) -> int | str:
    """The formula as the language of specs writes it: `(H + 1) // 2`; a plain number as it is."""
    if isinstance(formula, int):
        return formula
    texts = []
    for monomial, coefficient in formula.terms[::-1]:
        parts = [str(coefficient)] if coefficient != 1 or not monomial else []
        for number in monomial:
            atom = formula.ring.atoms[number]
            inner = atom.numerator and f"(({formula_source(atom.numerator)}) // {atom.divisor})"
            parts.append(inner or atom.name)
        texts.append(" * ".join(parts))
    return " + ".join(texts).replace("+ -", "- ") or 0


# --- sets ----------------------------------------------------------------------------------------


def sizes_text(sizes: Sizes, name: str) -> str:
    """A set in words: `any H`, `H ≥ 29`, `H a multiple of 16`, `193 ≤ H ≤ 224`."""
    if sizes == ALL:
        return f"any {name}"
    if not sizes:
        return f"no {name}"
    tail = Sizes([(1,) if len(changes) % 2 else () for changes in sizes.classes])
    odd = (sizes - tail) | (tail - sizes)
    settled = 1 if not odd else (odd.below(_beyond(odd)) or 0) + 1
    early = sizes & from_to(1, settled - 1) if settled > 1 else None
    if not tail:
        return _runs(sizes, name)
    late = sizes & from_to(settled)
    first = late.least or settled
    if not early:
        return _tail(tail, name, first)
    runs = _runs(early, name)
    return f"{runs}, or {_tail(tail, name, first)}"


def _beyond(sizes: Sizes) -> int:
    return sizes.settled + sizes.period


def _runs(sizes: Sizes, name: str) -> str:
    """A finite set."""
    runs = list(islice(sizes.runs(_beyond(sizes)), MOST_RUNS + 1))
    shown, rest = runs[:MOST_RUNS], ""
    if len(runs) > MOST_RUNS:
        rest = f", … up to {sizes.below(_beyond(sizes))}"
    if len(runs) > 1 and all(first == last for first, last in runs):
        return f"{name} = {', '.join([str(first) for first, _ in shown])}{rest}"
    texts = [
        f"{name} = {first}" if first == last else f"{first} ≤ {name} ≤ {last}"
        for first, last in shown
    ]
    return " or ".join(texts) + rest


def _tail(tail: Sizes, name: str, first: int) -> str:
    """A periodic set from its member `first` on."""
    if tail == ALL:
        return f"{name} ≥ {first}"
    period = tail.period
    inside = [r for r, changes in enumerate(tail.classes) if changes]
    start = f"{name} ≥ {first}, " if first != tail.least else f"{name} "
    if inside == [0]:
        return f"{start}a multiple of {period}"
    if period == 2:
        return f"{start}odd"
    if len(inside) == period - 1 and 0 not in inside:
        return f"{start}no multiple of {period}"
    if len(inside) == 1:
        return f"{start}{inside[0]} more than a multiple of {period}"
    if inside[-1] - inside[0] == len(inside) - 1:
        what = f"{inside[0]} to {inside[-1]}"
    else:
        what = ", ".join(map(str, inside[:MOST_RUNS]))
        what += f", … {inside[-1]}" if len(inside) > MOST_RUNS else ""
    return f"{start}that leaves {what} when divided by {period}"


def condition_text(condition: Condition, number: int = 0) -> str:
    """`⌈H/32⌉·⌈W/32⌉ = 49`: a condition on a formula that was compared with the number."""
    formula, relation = condition
    if relation == "=" and not number and (found := _whole_quotient(formula)) is not None:
        numerator, divisor = found
        return f"{formula_text(numerator)} a multiple of {divisor}"
    if len(formula.terms) == 2 and not number and not formula.constant:
        (one, times), (other, less) = formula.terms
        if times == -less and relation != ">=":
            sides = [formula_text(formula.ring.made({each: 1})) for each in (one, other)]
            return f"{sides[0]} {'=' if relation == '=' else '≠'} {sides[1]}"
    choices = (number, 1, 0, -formula.constant)
    number = min(choices, key=lambda each: len(factors(formula.plus(each))[1]) < 2)
    left, sign = formula.plus(number), {">=": "≥", "=": "=", "!=": "≠"}[relation]
    if leading(left.terms)[1] < 0:
        left, number, sign = left.times(-1), -number, sign.replace("≥", "≤")
    return f"{formula_text(left)} {sign} {number}"


def _whole_quotient(formula: Formula) -> tuple[Formula, int] | None:
    """What is divided by which number, where the formula is what is left over."""
    for monomial, coefficient in formula.terms:
        atom = formula.ring.atoms[monomial[0]] if len(monomial) == 1 else None
        if atom is None or atom.numerator is None or abs(coefficient) != atom.divisor:
            continue
        rest = formula - formula.ring.made({monomial: coefficient})
        if rest is atom.numerator.times(1 if coefficient < 0 else -1):
            return atom.numerator, atom.divisor
    return None
