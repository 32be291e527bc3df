"""Which items of several rows are one."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from archspec.folding.columns import Unalike, key
from archspec.folding.rows import Item
from archspec.folding.tree import Value

Place = tuple[int | None, ...]
"""For each row the number of its item, or None where it has none."""

MOST_OPTIONAL = 0.5
"""The share of items that some rows may lack."""


def aligned(rows: Sequence[tuple[Item, ...]], optional: bool) -> list[Place]:
    """The items that are one, in an order that is that of each row. Raises `Unalike`."""
    lengths = {len(row) for row in rows}
    if len(lengths) == 1 and all(_alike([row[i] for row in rows]) for i in range(len(rows[0]))):
        return [(i,) * len(rows) for i in range(len(rows[0]))]
    if not optional:
        raise Unalike
    return _merged(rows)


def _alike(items: Sequence[Item]) -> bool:
    return all(item.form == items[0].form for item in items)


def _merged(rows: Sequence[tuple[Item, ...]]) -> list[Place]:
    order = list(rows[max(range(len(rows)), key=lambda i: len(rows[i]))])
    for each in rows:
        order = _supersequence(order, each)
    places: list[list[int | None]] = [[None] * len(rows) for _ in order]
    for number, each in enumerate(rows):
        for position, slot in _matches(each, order):
            places[slot][number] = position
    missing = sum(None in place for place in places)
    if missing > max(2, MOST_OPTIONAL * len(places)):
        raise Unalike
    return [tuple(place) for place in places]


def _matches(row: Sequence[Item], order: Sequence[Item]) -> list[tuple[int, int]]:
    """The slots of a row that is a part of the order: those that fit best."""
    pairs = _common(row, order)
    if len(pairs) < len(row):
        raise Unalike
    return pairs


def _supersequence(first: list[Item], second: Sequence[Item]) -> list[Item]:
    """The shortest order that has both in it."""
    found: list[Item] = []
    i = j = 0
    for a, b in [*_common(first, second), (len(first), len(second))]:
        found += [*first[i:a], *second[j:b]]
        if a < len(first):
            found.append(first[a])
        i, j = a + 1, b + 1
    return found


def _common(first: Sequence[Item], second: Sequence[Item]) -> list[tuple[int, int]]:
    """The common part of two orders that is the longest and most alike, as pairs of positions."""
    likeness = [[_likeness(a, b) for b in second] for a in first]
    best = [[0.0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) - 1, -1, -1):
        for j in range(len(second) - 1, -1, -1):
            skipped = max(best[i + 1][j], best[i][j + 1])
            taken = best[i + 1][j + 1] + likeness[i][j] if likeness[i][j] else 0.0
            best[i][j] = max(skipped, taken)
    pairs = []
    i = j = 0
    while i < len(first) and j < len(second):
        if likeness[i][j] and best[i][j] == best[i + 1][j + 1] + likeness[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _likeness(one: Item, other: Item) -> float:
    """0 where two items are never one, else from 10 to 12."""
    if one.form != other.form or _stem(one.name) != _stem(other.name):
        return 0.0
    a, b = facts_of(one), facts_of(other)
    return 10 + (one.name == other.name) + len(a & b) / max(1, len(a | b))


def _stem(name: str | None) -> str | None:
    """A name without its numbers, which may count the iterations of a loop."""
    return None if name is None else re.sub(r"\d+", "0", name)


def facts_of(item: Item) -> frozenset[Hashable]:
    """What tells an item: its small numbers, and which of its numbers are equal."""
    values = {**item.values(), **{n: v for n, v in item.given.items() if n in _TELLING}}
    found: set[Hashable] = {(n, key(v)) for n, v in values.items() if not _is_size(v)}
    sizes = [(n, v) for n, v in values.items() if type(v) is int and v > 1]
    found |= {(n, m) for n, v in sizes for m, w in sizes if n < m and v == w}
    return frozenset(found)


_TELLING = frozenset(("in_channels", "in_features"))


def _is_size(value: Value) -> bool:
    return type(value) is int and value > 15
