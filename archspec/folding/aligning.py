"""Which items of several rows are one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from archspec.folding.columns import Unalike
from archspec.folding.rows import Item

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
    keys: list[list[Hashable]] = [[_key(item) for item in row] for row in rows]
    order = max(keys, key=len)
    for each in keys:
        order = _supersequence(order, each)
    places = [[None] * len(rows) for _ in order]  # type: list[list[int | None]]
    for number, each in enumerate(keys):
        for position, slot in _matches(each, order):
            places[slot][number] = position
    missing = sum(None in place for place in places)
    if missing > max(2, MOST_OPTIONAL * len(places)):
        raise Unalike
    return [tuple(place) for place in places]


def _key(item: Item) -> Hashable:
    return item.form, item.name


def _matches(row: Sequence[Hashable], order: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The slots of a row that is a part of the order: the first that fit."""
    pairs = _common(row, order)
    if len(pairs) < len(row):
        raise Unalike
    return pairs


def _supersequence(first: list[Hashable], second: list[Hashable]) -> list[Hashable]:
    """The shortest order that has both in it."""
    found: list[Hashable] = []
    i = j = 0
    for a, b in [*_common(first, second), (len(first), len(second))]:
        found += [*first[i:a], *second[j:b]]
        if a < len(first):
            found.append(first[a])
        i, j = a + 1, b + 1
    return found


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The longest common part of two orders, as pairs of positions."""
    lengths = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) - 1, -1, -1):
        for j in range(len(second) - 1, -1, -1):
            longer = max(lengths[i + 1][j], lengths[i][j + 1])
            lengths[i][j] = lengths[i + 1][j + 1] + 1 if first[i] == second[j] else longer
    pairs = []
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
