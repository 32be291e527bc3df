"""Regions: sizes that meet conditions, on one symbol as sets or on several together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations, product
from typing import Any, TypeAlias

from archspec.record import Record
from archspec.sizes.formula import Condition, Unkept
from archspec.sizes.sets import NONE, Sizes, Unsolved
from archspec.sizes.solve import Solver, follows, negated, where

Values: TypeAlias = Mapping[str, int]
Box: TypeAlias = dict[str, Sizes]
"""A set for each symbol: the cases in which each symbol is in its set."""

LARGEST = 2**31 - 1
"""The largest size of an input."""
LEAST_TRIED = 12
"""How many of the least members of a set are tried for a symbol, beside others."""
MOST_TRIED = 128
"""How many sizes are tried where conditions join symbols."""


class Region(Record):
    """Sizes that meet conditions: a box for those on one symbol, and those on several."""

    box: Box
    joint: tuple[Condition, ...] = ()

    def holds(self, values: Values) -> bool:
        """Whether the region has these sizes."""
        return all(values[name] in sizes for name, sizes in self.box.items()) and all(
            condition.holds(values) for condition in self.joint
        )

    def meeting(self, conditions: Sequence[Condition], solver: Solver) -> Region:
        """The sizes of the region that meet further conditions."""
        box, joint = dict(self.box), list(self.joint)
        for condition in conditions:
            symbols = condition.formula.symbols
            if len(symbols) > 1:
                joint.append(condition)
                continue
            for name in symbols or list(box)[:1]:
                try:
                    box[name] &= solver.where(condition)
                except Unsolved:
                    joint.append(condition)
        kept: list[Condition] = []
        for condition in joint:
            if not follows(condition, box, kept):
                kept.append(condition)
        return Region(box, tuple(kept))

    def without(self, other: Region) -> Iterator[Region]:
        """The rest of the region outside another one, as regions that do not overlap."""
        if any(negated(condition) in self.joint for condition in other.joint):
            yield self
            return
        for box in without(self.box, other.box):
            if not any(follows(negated(condition), box) for condition in self.joint):
                yield Region(box, self.joint)
        inside = {name: sizes & other.box[name] for name, sizes in self.box.items()}
        if not all(inside.values()):
            return
        met = list(self.joint)
        for condition in other.joint:
            if not follows(condition, inside, met):
                yield Region(inside, (*met, negated(condition)))
                met.append(condition)

    def witness(self, stated: Values) -> dict[str, int] | None:
        """Some sizes of the region, none of them very large; None where none are found."""
        if not self.joint:
            least = {name: sizes.least for name, sizes in self.box.items()}
            found = {name: size for name, size in least.items() if size and size <= LARGEST}
            return found if len(found) == len(least) else None
        *others, last = sorted(self.box, key=lambda name: not self.box[name].is_single)
        most = int(MOST_TRIED ** (1 / max(len(others), 1)))
        choices = [_members(self.box[name], stated[name])[:most] for name in others]
        for sizes in sorted(product(*choices), key=sum):
            values = dict(zip(others, sizes, strict=True))
            size = self._least_with(last, values)
            if size is not None and size <= LARGEST:
                return {name: {**values, last: size}[name] for name in self.box}
        return None

    def _least_with(self, last: str, values: Values) -> int | None:
        """The least size of one symbol for which the region has sizes of all the others."""
        left = self.box[last]
        with suppress(Unkept, Unsolved):
            for condition in self.joint:
                formula = condition.formula
                for name, size in values.items():
                    formula = formula.replaced(name, formula.ring.constant(size))
                left &= where(formula, condition.relation)
            return left.least
        return None

    def __bool__(self) -> bool:
        return all(self.box.values())


def _members(sizes: Sizes, stated: int) -> list[int]:
    """Some members of a set: the least ones, those near a size, and some that are far apart."""
    found: dict[int, None] = {}
    after = 0
    for _ in range(LEAST_TRIED):
        each = sizes.above(after)
        if each is None:
            break
        found[each] = None
        after = each
    near = [stated - 2, stated - 1, stated, *[2**power - 1 for power in range(6, 20)]]
    found.update(dict.fromkeys([each for size in near if (each := sizes.above(max(size, 0)))]))
    return sorted(found)


def without(box: Box, other: Box) -> Iterator[Box]:
    """The rest of a box, as boxes that do not overlap."""
    inside: dict[str, Any] = {}
    names = list(box)
    for number, name in enumerate(names):
        outside = box[name] - other[name]
        if outside:
            yield {**inside, name: outside, **{later: box[later] for later in names[number + 1 :]}}
        inside[name] = box[name] & other[name]
        if not inside[name]:
            return


def hull_of(regions: Sequence[Region], symbols: Iterable[str]) -> Box:
    """For each symbol its sizes in any region."""
    hull = dict.fromkeys(symbols, NONE)
    for region in regions:
        hull = {name: hull[name] | sizes for name, sizes in region.box.items()}
    return hull


def merged(regions: Sequence[Region]) -> list[Region]:
    """The same sizes in fewer regions, where two are plainly one. Raises `Unsolved`."""
    left = list(regions)
    while True:
        for one, other in combinations(left, 2):
            if (both := _as_one(one, other)) is not None:
                left[left.index(one)] = both
                left.remove(other)
                break
        else:
            return left


def _as_one(one: Region, other: Region) -> Region | None:
    apart = [name for name, sizes in one.box.items() if sizes != other.box[name]]
    if not apart:
        own = [each for each in one.joint if each not in other.joint]
        theirs = [each for each in other.joint if each not in one.joint]
        if not own or not theirs:  # one lies within the other
            return other if own else one
        if len(own) == len(theirs) == 1 and own[0] == negated(theirs[0]):
            return Region(one.box, tuple([each for each in one.joint if each != own[0]]))
    elif len(apart) == 1 and set(one.joint) == set(other.joint):
        (name,) = apart
        return Region({**one.box, name: one.box[name] | other.box[name]}, one.joint)
    return None
