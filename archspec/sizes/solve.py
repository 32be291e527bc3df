"""Which sizes answer a question about a formula of one symbol: exact, one residue at a time.

On the members r, r + P, r + 2P, … of a class a formula is a polynomial in their number. Its forward
differences say where it rises and where it falls, so each change of its sign is found by halving.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TypeAlias

from archspec.sizes.factors import factors
from archspec.sizes.formula import Condition, Formula, Relation, Ring, Unkept
from archspec.sizes.sets import ALL, MAX_PERIOD, NONE, Changes, Sizes, Unsolved

MAX_DEGREE = 64
"""The largest degree of a formula that is solved."""

MOST_MEMBERS = 20_000
"""Sizes that are looked at one by one."""


def where(formula: Formula, relation: Relation) -> Sizes:
    """The sizes at which a formula of at most one symbol is at least 0, is 0, or is not.

    Raises `Unsolved` where its period or its degree is too large.
    """
    if formula.is_constant:
        holds = {">=": formula.constant >= 0, "=": formula.constant == 0}
        return ALL if holds.get(relation, formula.constant != 0) else NONE
    if relation == ">=":
        return _at_least_zero(formula)
    zero = _at_least_zero(formula) & _at_least_zero(formula.times(-1))
    return zero if relation == "=" else ~zero


class Solver:
    """Solves each condition of one symbol once."""

    def __init__(self) -> None:
        self._known: dict[Condition, Sizes] = {}

    def __contains__(self, condition: Condition) -> bool:
        return condition in self._known

    def where(self, condition: Condition) -> Sizes:
        """The sizes that meet it. Raises `Unsolved`."""
        if condition not in self._known:
            self._known[condition] = where(*condition)
        return self._known[condition]


def _at_least_zero(formula: Formula) -> Sizes:
    period = formula.period
    if period > MAX_PERIOD or formula.degree > MAX_DEGREE:
        raise Unsolved
    every = formula.values(period * (formula.degree + 1))
    classes: list[Changes] = []
    for residue in range(period):
        first = residue or period
        changes = sign_changes(_differences(every[first - 1 :: period]))
        classes.append(tuple([first + period * number for number in changes]))
    return Sizes(classes)


def _differences(values: Sequence[int]) -> list[int]:
    """The first value and the forward differences, as far as they are not 0."""
    left, found = list(values), []
    while left:
        found.append(left[0])
        left = [b - a for a, b in pairwise(left)]
    while found and not found[-1]:
        found.pop()
    return found


def sign_changes(differences: Sequence[int]) -> list[int]:
    """Where a polynomial over 0, 1, 2, … becomes at least 0 (first, third, …) and ceases to be.

    `differences` are its forward differences at 0, the last of them not 0.
    """
    if len(differences) <= 1:
        return [0] if not differences or differences[0] >= 0 else []
    changes: list[int] = []
    inside = False
    turns = sorted({0, *sign_changes(differences[1:])})
    for number, start in enumerate(turns):
        end = turns[number + 1] if number + 1 < len(turns) else None
        if (_value(differences, start) >= 0) is not inside:
            changes.append(start)
            inside = not inside
        crossing = _crossing(differences, start, end, inside)
        if crossing is not None:
            changes.append(crossing)
            inside = not inside
    return changes


def _value(differences: Sequence[int], number: int) -> int:
    total, choices = 0, 1
    for power, difference in enumerate(differences):
        total += difference * choices
        choices = choices * (number - power) // (power + 1)
    return total


def _crossing(differences: Sequence[int], start: int, end: int | None, inside: bool) -> int | None:
    """The first place above `start`, where it is `inside`, where it is not; it turns at `end`."""
    if end is None:
        rises = differences[-1] > 0  # the sign far out
        if rises is inside:
            return None
        low, high = start, max(2 * start, 1)
        while (_value(differences, high) >= 0) is inside:
            low, high = high, 2 * high
    else:
        low, high = start, end
        if (_value(differences, high) >= 0) is inside:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if (_value(differences, middle) >= 0) is inside:
            low = middle
        else:
            high = middle
    return high


# --- several symbols -----------------------------------------------------------------------------


def negated(condition: Condition) -> Condition:
    """What holds where it does not."""
    formula, relation = condition
    if relation == ">=":
        return Condition(formula.times(-1).plus(-1), ">=")
    return Condition(formula, "!=" if relation == "=" else "=")


def follows(
    condition: Condition, box: Mapping[str, Sizes], others: Sequence[Condition] = ()
) -> bool:
    """Whether it plainly holds wherever each symbol is in its own set, and the others hold too.

    So it is for a product of sizes that must not be empty. False where that is not seen.
    """
    with suppress(Unkept, Unsolved):
        if any(_implied(condition, other) for other in others):
            return True
        for other in others:
            equal = _solved(other.formula) if other.relation == "=" else None
            if equal is not None and equal[0] in condition.formula.symbols:
                replaced = Condition(condition.formula.replaced(*equal), condition.relation)
                if follows(replaced, box, [each for each in others if each is not other]):
                    return True
        for name in condition.formula.symbols:
            if box[name].is_single:
                size = condition.formula.ring.constant(box[name].least or 0)
                condition = condition._replace(formula=condition.formula.replaced(name, size))
        if len(condition.formula.symbols) < 2:
            return all(
                sizes <= where(*condition)
                for name, sizes in box.items()
                if name in condition.formula.symbols or condition.formula.is_constant
            )
        return _holds_by_bounds(condition, box)
    return False


def _implied(condition: Condition, other: Condition) -> bool:
    """Whether one holds wherever another does, whose formula is the same but for a number."""
    (formula, relation), (known, holds) = condition, other
    for sign in (1, -1):
        apart = formula - known.times(sign)
        if not apart.is_constant:
            continue
        number = apart.constant
        if holds == "=":
            return {">=": number >= 0, "=": number == 0, "!=": number != 0}[relation]
        if holds == "!=":
            return relation == "!=" and number == 0
        if sign > 0:
            return (relation == ">=" and number >= 0) or (relation == "!=" and number > 0)
        return relation == "!=" and number < 0
    return False


def _solved(formula: Formula) -> tuple[str, Formula] | None:
    """A symbol, and what it is where the formula is 0: none is inside a floor of its own."""
    for monomial, coefficient in formula.terms:
        if len(monomial) != 1 or abs(coefficient) != 1:
            continue
        atom = formula.ring.atoms[monomial[0]]
        rest = formula - formula.ring.made({monomial: coefficient})
        if atom.numerator is None and atom.name not in rest.symbols:
            return atom.name, rest.times(-coefficient)
    return None


def _holds_by_bounds(condition: Condition, box: Mapping[str, Sizes]) -> bool:
    formula, relation = condition
    if relation == "=":
        return False
    if relation == "!=":
        sides = formula.plus(-1), formula.times(-1).plus(-1)
        return any(_holds_by_bounds(Condition(side, ">="), box) for side in sides)
    least = _least_sum(formula, box)
    if least is not None and least >= 0:
        return True
    return any(_least(formula.plus(number), box, -number) for number in (1, 0, -formula.constant))


def _least_sum(formula: Formula, box: Mapping[str, Sizes]) -> int | None:
    """A number that it is never below, term by term; None where none is seen."""
    return _ends(formula, box)[0]


Ends: TypeAlias = tuple[int | None, int | None]


def _ends(formula: Formula, box: Mapping[str, Sizes]) -> Ends:
    """Numbers between which it always is, None where it has no such end."""
    least: int | None = 0
    most: int | None = 0
    for monomial, coefficient in formula.terms:
        low: int | None = 1
        high: int | None = 1
        for number in monomial:
            first, last = _ends_of_atom(formula.ring, number, box)
            if first is None or first < 0:
                low = high = None
                break
            low = None if low is None else low * first
            high = None if high is None or last is None else high * last
        if coefficient < 0:
            low, high = high, low
        least = None if least is None or low is None else least + coefficient * low
        most = None if most is None or high is None else most + coefficient * high
    return least, most


def _ends_of_atom(ring: Ring, number: int, box: Mapping[str, Sizes]) -> Ends:
    atom = ring.atoms[number]
    if atom.numerator is None:
        sizes = box[atom.name]
        return sizes.least, sizes.greatest
    low, high = _ends(atom.numerator, box)
    return (
        None if low is None else low // atom.divisor,
        None if high is None else high // atom.divisor,
    )


def _least(formula: Formula, box: Mapping[str, Sizes], number: int) -> bool:
    """Whether a product and a number are above 0, or at least 0, by the least of its factors."""
    whole, parts = factors(formula)
    if whole < 0:
        return False
    least = whole
    for part, power in parts:
        found = _least_of_one(part, box)
        if found is None or found < 0:
            return False
        least *= found**power
    return least + number >= 0


def _least_of_one(part: Formula, box: Mapping[str, Sizes]) -> int | None:
    """The least value of a formula of one symbol that rises; None for any other."""
    if part.degree != 1 or len(part.symbols) != 1 or part.rise(part.period) < 0:
        return None
    (name,) = part.symbols
    sizes = box[name]
    # Beyond the end each member is a period above another, where it is no more than here.
    end = sizes.settled + math.lcm(sizes.period, part.period)
    if end > MOST_MEMBERS:
        return None
    values = part.values(end)
    return min([values[x - 1] for x in range(1, end + 1) if x in sizes], default=None)
