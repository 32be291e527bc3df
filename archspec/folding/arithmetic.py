"""Columns of whole numbers as small expressions over others."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.folding.columns import Column
from archspec.folding.naming import is_size
from archspec.folding.terms import Binary, Constant, Name, Term

FLOORS = (2, 4)
"""Numbers by which a size that is no multiple of them may be divided, rounded down."""

SMALLEST = 4
"""The least number that may be a part of a number of channels: strides are none."""

EXTENTS = frozenset(("in_height", "in_width"))
"""Names of sizes that say where a value is cut, and nothing of how many channels there are."""

Variables = Sequence[tuple[Term, Column]]


def derived(column: Column, variables: Variables) -> Term | None:
    """A multiple, a part or a sum of names that has these values.

    A product that always fits, because there are too few different values, is none.
    """
    small = max(column.values[i] for i in column.present) < SMALLEST
    numbers = [
        (term, other)
        for term, other in variables
        if isinstance(term, Name)
        and term.name not in EXTENTS
        and not (small and is_size(term.name))
        and other.are_numbers
        and _covers(other, column)
    ]
    for term, other in numbers:
        if (found := _multiple(column, term, other)) is not None:
            return found
    if len(column.distinct) < 3:
        return None
    return _sum(column, numbers)


def _covers(other: Column, column: Column) -> bool:
    there = set(other.present)
    return all(i in there for i in column.present) and not other.is_constant


def _multiple(column: Column, term: Term, other: Column) -> Term | None:
    pairs = [(column.values[i], other.values[i]) for i in column.present]
    if any(b == 0 for _, b in pairs) or len({b for _, b in pairs}) < 2:
        return None
    times = pairs[0][0] // pairs[0][1]
    if times > 1 and all(a == times * b for a, b in pairs):
        return Binary("*", Constant(times), term)
    exact = pairs[0][1] // pairs[0][0] if pairs[0][0] else 0
    for divisor in (exact, *FLOORS):
        if (
            divisor > 1
            and all(a == b // divisor for a, b in pairs)
            and len({a for a, _ in pairs}) > 1
        ):
            return Binary("//", term, Constant(divisor))
    return None


def _sum(column: Column, numbers: Variables) -> Term | None:
    for place, (term, one) in enumerate(numbers):
        for more, two in numbers[place + 1 :]:
            if all(column.values[i] == one.values[i] + two.values[i] for i in column.present):
                return Binary("+", term, more)
    return None
