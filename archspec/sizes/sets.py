"""Sets of sizes: of each residue class of a period, the places where membership changes.

Above the last change the set is periodic. So `and`, `or`, `not` and equality are exact, over all
whole numbers from 1.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

Changes: TypeAlias = tuple[int, ...]
"""Ascending members of a class: from the first on they are in the set, from the second not, …"""

MAX_PERIOD = 2**12


class Unsolved(Exception):
    """The set repeats itself in too long a period."""


class Sizes:
    """A set of whole numbers from 1. `classes[r]` holds those that leave `r`, by `period`.

    The period is the least one at which all classes change alike; a finite set may have several.
    """

    __slots__ = ("classes", "period")

    def __init__(self, classes: Sequence[Changes]) -> None:
        """Of any numbers, the first of their class at or above is meant."""
        period = len(classes)
        placed = [tuple(_placed(each, r, period)) for r, each in enumerate(classes)]
        self.classes = _shortened(placed)
        self.period = len(self.classes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sizes):
            return False
        if self.classes == other.classes:
            return True
        try:
            return self <= other and other <= self
        except Unsolved:
            return False

    def __hash__(self) -> int:
        return hash(self.least)

    def __contains__(self, size: int) -> bool:
        return size >= 1 and bisect_right(self.classes[size % self.period], size) % 2 == 1

    def __bool__(self) -> bool:
        return any(self.classes)

    def __and__(self, other: Sizes) -> Sizes:
        if self is other or other.classes == ALL.classes:
            return self
        return other if self.classes == ALL.classes else self._with(other, lambda a, b: a and b)

    def __or__(self, other: Sizes) -> Sizes:
        return self._with(other, lambda a, b: a or b)

    def __invert__(self) -> Sizes:
        return ALL - self

    def __sub__(self, other: Sizes) -> Sizes:
        return self._with(other, lambda a, b: a and not b)

    def __le__(self, other: Sizes) -> bool:
        """Whether all of it is in the other."""
        return not self - other

    def __repr__(self) -> str:
        return f"Sizes({list(self.classes)})"

    def _with(self, other: Sizes, both: Callable[[bool, bool], bool]) -> Sizes:
        period = math.lcm(self.period, other.period)
        if period > MAX_PERIOD:
            raise Unsolved
        known: dict[tuple[Changes, Changes], Changes] = {}  # classes are often alike
        found = []
        for r in range(period):
            key = self.classes[r % self.period], other.classes[r % other.period]
            if key not in known:
                known[key] = _merged(*key, both)
            found.append(known[key])
        return Sizes(found)

    @property
    def least(self) -> int | None:
        """Its least member."""
        return min([changes[0] for changes in self.classes if changes], default=None)

    @property
    def greatest(self) -> int | None:
        """Its greatest member; None where it has none, or has ever larger ones."""
        return (
            None if any(len(changes) % 2 for changes in self.classes) else self.below(self.settled)
        )

    @property
    def settled(self) -> int:
        """From here on it is periodic."""
        return max([changes[-1] for changes in self.classes if changes], default=1)

    @property
    def is_single(self) -> bool:
        """Whether it has one member."""
        return self.least is not None and self.above(self.least) is None

    def above(self, size: int) -> int | None:
        """Its least member that is larger than `size`."""
        found = []
        for r, changes in enumerate(self.classes):
            following = size + 1 + (r - size - 1) % self.period
            position = bisect_right(changes, following)
            if position % 2:
                found.append(following)
            elif position < len(changes):
                found.append(changes[position])
        return min(found, default=None)

    def below(self, size: int) -> int | None:
        """Its greatest member that is less than `size`."""
        found = []
        for r, changes in enumerate(self.classes):
            before = size - 1 - (size - 1 - r) % self.period
            position = bisect_right(changes, before)
            if position % 2:
                found.append(before)
            elif position:
                found.append(changes[position - 1] - self.period)
        return max([each for each in found if each >= 1], default=None)

    def runs(self, until: int) -> Iterator[tuple[int, int]]:
        """Its members up to `until`, as first and last of neighbours."""
        first = self.above(0)
        missing = ~self
        while first is not None and first <= until:
            end = missing.above(first)
            last = until if end is None else min(end - 1, until)
            yield first, last
            first = self.above(last)


def _placed(changes: Iterable[int], residue: int, period: int) -> Iterator[int]:
    """Each change at the first member of the class at or above it; two at one place are none."""
    placed: list[int] = []
    for change in changes:
        change = max(change, 1)
        change += (residue - change) % period
        if placed and placed[-1] == change:
            placed.pop()
        else:
            placed.append(change)
    return iter(placed)


def _merged(a: Changes, b: Changes, both: Callable[[bool, bool], bool]) -> Changes:
    found: list[int] = []
    inside = False
    for place in sorted({*a, *b}):
        now = both(bisect_right(a, place) % 2 == 1, bisect_right(b, place) % 2 == 1)
        if now is not inside:
            found.append(place)
            inside = now
    return tuple(found)


def _shortened(classes: list[Changes]) -> tuple[Changes, ...]:
    """The same by the least period."""
    for prime in _primes(len(classes)):
        while len(classes) % prime == 0 and (joined := _by(len(classes) // prime, classes)):
            classes = joined
    return tuple(classes)


def _by(period: int, classes: list[Changes]) -> list[Changes] | None:
    """The same by a shorter period, if it is periodic in that."""
    found: list[Changes] = []
    for residue in range(period):
        joined = _joined(classes[residue::period], residue, period)
        if joined is None:
            return None
        found.append(joined)
    return found


def _joined(parts: Sequence[Changes], residue: int, period: int) -> Changes | None:
    """The changes of the class that these make up; None where they differ."""
    count = len(parts[0])
    if any(len(part) != count for part in parts):
        return None
    least = tuple([min(places) for places in zip(*parts, strict=True)])
    whole = period * len(parts)
    for number, part in enumerate(parts):
        own = residue + number * period
        if part != tuple([place + (own - place) % whole for place in least]):
            return None
    return least


def _primes(number: int) -> Iterator[int]:
    divisor = 2
    while number > 1:
        if divisor * divisor > number:
            divisor = number
        if number % divisor == 0:
            yield divisor
            while number % divisor == 0:
                number //= divisor
        divisor += 1


ALL = Sizes([(1,)])
NONE = Sizes([()])


def from_to(first: int, last: int | None = None) -> Sizes:
    """All from one to another, both included; without a last one all from the first."""
    return Sizes([(first,) if last is None else (first, last + 1)])
