"""What generated code says when it is called with a size that it was not made for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

FAR = 4096
"""How far from a size others are looked for, one symbol at a time."""
NEAR = 64
"""The same for two symbols together."""

Values: TypeAlias = Mapping[str, int]
Terms: TypeAlias = tuple[Any, ...]
"""A sum: pairs of a number and of factors. A factor is a symbol, or a sum with its divisor."""
Set: TypeAlias = tuple[int, Sequence[tuple[int, Sequence[int]]]]
"""A period, and for residues the sizes from which on those that leave it belong, do not, …"""
Regions: TypeAlias = Sequence[tuple[Mapping[str, Set], Sequence[tuple[Terms, str]]]]
"""For each region the sets of symbols, and sums that are at least 0, are 0, or are not."""


def not_legal(
    name: str,
    size: int,
    head: Sequence[tuple[int, int]],
    settled: int,
    period: int,
    residues: Sequence[int],
    asked: str,
) -> str:
    """The message about a size, with its nearest legal neighbours.

    Legal are the sizes of the ranges `head` (ends included), and from `settled` on those that
    leave one of `residues` when divided by `period`. `asked` says what the contract asks.
    """

    def is_legal(each: int) -> bool:
        in_head = any(first <= each <= last for first, last in head)
        return in_head or (each >= settled and each % period in residues)

    last = head[-1][1] if head else 0
    above = range(size + 1, max(size, settled, last) + period + 1)
    found = [
        next((each for each in range(size - 1, 0, -1) if is_legal(each)), None),
        next((each for each in above if is_legal(each)), None),
    ]
    near = " and ".join(str(each) for each in found if each is not None)
    verb = "are" if None not in found else "is"
    return f"{name} = {size} is not legal: {asked}" + (f"; {near} {verb}" if near else "")


def check_sizes(values: Values, regions: Regions, asked: str) -> None:
    """Raises `ValueError` where sizes are in none of the regions."""
    if not _in(values, regions):
        raise ValueError(not_legal_together(values, regions, asked))


def not_legal_together(values: Values, regions: Regions, asked: str) -> str:
    """The message about sizes that are not legal together, with the nearest that are."""
    said = ", ".join([f"{name} = {size}" for name, size in values.items()])
    return f"{said} is not legal: {asked}" + nearest_text(values, lambda each: _in(each, regions))


def nearest_text(values: Values, is_legal: Callable[[Values], bool]) -> str:
    """The nearest legal sizes, of one symbol where that is enough, else of two: `; H = 8 is`."""
    texts = []
    for name, size in values.items():
        below = range(size - 1, max(size - FAR, 0), -1)
        sides = below, range(size + 1, size + FAR)
        found = [next((n for n in side if is_legal({**values, name: n})), None) for side in sides]
        if near := [str(each) for each in found if each is not None]:
            texts.append(f"{name} = {' and '.join(near)} {'is' if len(near) < 2 else 'are'}")
    if not texts and len(values) == 2:
        both = next((each for each in _around(values) if is_legal(each)), None)
        if both is not None:
            texts.append(" with ".join([f"{name} = {n}" for name, n in both.items()]) + " is")
    return f"; {', '.join(texts)}" if texts else ""


def _around(values: Values) -> Iterator[dict[str, int]]:
    """Other sizes of two symbols, those at hand first."""
    steps = sorted(product(range(-NEAR, NEAR + 1), repeat=2), key=lambda pair: sum(map(abs, pair)))
    for pair in steps:
        sizes = [size + step for size, step in zip(values.values(), pair, strict=True)]
        if min(sizes) > 0:
            yield dict(zip(values, sizes, strict=True))


def _in(values: Values, regions: Regions) -> bool:
    return any(
        all(_has(each, values[name]) for name, each in sets.items())
        and all(_holds(terms, relation, values) for terms, relation in joint)
        for sets, joint in regions
    )


def _has(sizes: Set, size: int) -> bool:
    period, classes = sizes
    places = [each for residue, changes in classes if size % period == residue for each in changes]
    return sum([place <= size for place in places]) % 2 == 1


def _holds(terms: Terms, relation: str, values: Values) -> bool:
    value = _value(terms, values)
    return value >= 0 if relation == ">=" else (value == 0) is (relation == "=")


def _value(terms: Terms, values: Values) -> int:
    total = 0
    for number, factors in terms:
        for factor in factors:
            if isinstance(factor, str):
                number *= values[factor]
            else:
                inner, divisor = factor
                number *= _value(inner, values) // divisor
        total += number
    return total
