"""Columns: what one place holds in each of several lists that are folded together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

from archspec.folding.tree import Value


class _Absent:
    """What a column holds for a list that has no such place."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Unalike(Exception):
    """Lists are too different to be folded together."""


def key(value: Any) -> Hashable:
    """A value as it is compared: 1 is not 1.0 and not true."""
    if isinstance(value, tuple):
        return tuple(map(key, value))
    if isinstance(value, Mapping):
        return ("mapping", *((name, key(each)) for name, each in value.items()))
    if isinstance(value, float):
        return "float", repr(value)
    return type(value).__name__, value


class Column:
    """A value, or `ABSENT`, for each list. Columns are compared where they have values."""

    __slots__ = ("_numbers", "keys", "present", "values")

    def __init__(self, values: Iterable[Any]) -> None:
        self.values: tuple[Any, ...] = tuple(values)
        self.keys = tuple([ABSENT if v is ABSENT else key(v) for v in self.values])
        self.present = tuple([i for i, v in enumerate(self.values) if v is not ABSENT])
        self._numbers: bool | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Column({self.values})"

    @property
    def distinct(self) -> list[Hashable]:
        """The different values that it has, as keys, in their order."""
        return list(dict.fromkeys(self.keys[i] for i in self.present))

    @property
    def is_constant(self) -> bool:
        return len({self.keys[i] for i in self.present}) <= 1

    @property
    def first(self) -> Any:
        """The first value that it has."""
        return self.values[self.present[0]] if self.present else None

    @property
    def are_numbers(self) -> bool:
        """Whether all its values are whole numbers."""
        if self._numbers is None:
            self._numbers = all(type(self.values[i]) is int for i in self.present)
        return self._numbers

    def within(self, other: Column) -> bool:
        """Whether the other one has these values wherever this one has any."""
        return all(self.keys[i] == other.keys[i] for i in self.present)

    def agrees(self, other: Column) -> bool:
        """Whether no list has two different values in them, and some list has both."""
        both = [i for i in self.present if other.values[i] is not ABSENT]
        return bool(both) and all(self.keys[i] == other.keys[i] for i in both)

    def filled(self, other: Column) -> Column:
        """This one, with the other's values where it has none."""
        pairs = zip(self.values, other.values, strict=True)
        return Column([b if a is ABSENT else a for a, b in pairs])

    def taken(self, rows: Sequence[int]) -> Column:
        """The values of other rows: the i-th is that of row `rows[i]`."""
        return Column([self.values[row] for row in rows])


def spread(size: int, where: Sequence[int], values: Iterable[Value]) -> Column:
    """A column with values in some rows, absent in all others."""
    found: list[Any] = [ABSENT] * size
    for row, value in zip(where, values, strict=True):
        found[row] = value
    return Column(found)


def majority(column: Column) -> Any:
    """The value that most lists have, the first of them on a tie."""
    counts: dict[Hashable, int] = {}
    for i in column.present:
        counts[column.keys[i]] = counts.get(column.keys[i], 0) + 1
    best = max(counts, key=lambda each: counts[each])
    return next(column.values[i] for i in column.present if column.keys[i] == best)


def filled(column: Column) -> Column:
    """The column with what most lists have where it has no value."""
    usual = majority(column)
    return Column([usual if value is ABSENT else value for value in column.values])
