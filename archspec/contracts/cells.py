"""Cells: the sizes at which one spec compiles the same way, found one witness after another.

Each compilation covers all sizes that meet what it asked. So compiling again at the first size that
is not covered, until none is left, covers them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Diagnostic
from archspec.expand.program import Trial
from archspec.ir.graph import Graph
from archspec.record import Record
from archspec.sizes.sets import ALL, NONE, Sizes, Unsolved
from archspec.sizes.size import Conditions
from archspec.sizes.solve import Condition, follows, where

Values: TypeAlias = Mapping[str, int]
Box: TypeAlias = dict[str, Sizes]
"""For each symbol a set: the cases in which each is in its own."""

MOST_CELLS = 24
MOST_CROSSED = 4
"""Conditions of a cell that join symbols, beyond which is compiled too."""
MOST_BOXES = 64
"""Boxes that are left at most: more are not looked into."""
MAX_WORK = 300_000
"""Nodes that are placed for all cells of one spec."""
LARGEST = 2**31 - 1
"""The largest size of an input."""


class Region(Record):
    """Sizes that meet conditions: those of one symbol as a box, and those that join several."""

    box: Box
    joint: tuple[Condition, ...] = ()

    def holds(self, values: Values) -> bool:
        """Whether it has these sizes."""
        return all(values[name] in sizes for name, sizes in self.box.items()) and all(
            condition.holds(values) for condition in self.joint
        )

    def meeting(self, conditions: Sequence[Condition], solver: Solver) -> Region:
        """Those that meet further conditions."""
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
        kept = [each for each in joint if not follows(each, box)]
        return Region(box, tuple(kept))

    def __bool__(self) -> bool:
        return all(self.box.values())


class Solver:
    """Solves each condition of one symbol once."""

    def __init__(self) -> None:
        self._known: dict[Condition, Sizes] = {}

    def where(self, condition: Condition) -> Sizes:
        """The sizes that meet it. Raises `Unsolved`."""
        if condition not in self._known:
            self._known[condition] = where(*condition)
        return self._known[condition]


class Cell(Record):
    """One way of compiling: at `witness`, and at all sizes of its `region`.

    It has a graph or a mistake. `conditions` are what it asked of the sizes, each with who asked;
    `limits` bound them to what a machine can run.
    """

    witness: dict[str, int]
    region: Region
    conditions: Conditions
    limits: Conditions
    graph: Graph | None
    mistake: Diagnostic | None

    def holds_at(self, values: Values) -> bool:
        """Whether the spec compiles this way at these sizes."""
        return self.region.holds(values) and self.within_limits(values)

    def within_limits(self, values: Values) -> bool:
        """Whether a machine could run what it makes of these sizes."""
        return all(condition.holds(values) for condition in self.limits)


class Cells:
    """The cells of one spec that are known, `compile` giving more. `left` is what none covers.

    `is_complete` says that every size is in one of them; where conditions join symbols, or cells
    are many, some are found only when `at` asks for them.
    """

    def __init__(self, compile: Callable[[Values], Trial], stated: Values) -> None:
        self._compile, self.solver = compile, Solver()
        self.stated = dict(stated)
        self.left: list[Box] = [dict.fromkeys(stated, ALL)]
        self.known: list[Cell] = []
        self.is_complete = True
        self._work = 0
        self.main = self._add(self.stated)
        with suppress(Unsolved):
            self._cover(self.main)

    def at(self, values: Values) -> Cell:
        """The cell of these sizes; compiled there where it is not known."""
        for cell in self.known:
            if cell.holds_at(values):
                return cell
        return self._add(values)

    def explore(self, most: int = MOST_CELLS, work: int = MAX_WORK) -> None:
        """Compiles at one size after another that is not covered, until none is left."""
        with suppress(Unsolved):
            while (witness := self._uncovered()) is not None:
                is_much = self._work >= work or len(self.left) > MOST_BOXES
                if is_much or len(self.known) >= most:
                    break
                self._cover(self._add(witness))
        self._cross()
        self.is_complete &= not self.left

    def _cross(self) -> None:
        """Compiles at sizes that break a condition which joins symbols, where some are near.

        So a condition that decides between two networks is not taken for one of compiling at all.
        """
        for cell in [cell for cell in self.known if cell.graph is not None]:
            for condition in cell.region.joint[:MOST_CROSSED]:
                if len(self.known) >= MOST_CELLS or self._work >= MAX_WORK:
                    return
                beyond = _beyond(cell.region, condition, cell.witness)
                if beyond is not None:
                    self.at(beyond)

    def _uncovered(self) -> dict[str, int] | None:
        for box in self.left:
            least = {name: sizes.least for name, sizes in box.items()}
            found = {name: size for name, size in least.items() if size and size <= LARGEST}
            if len(found) == len(least):
                return found
        return None

    def _add(self, values: Values) -> Cell:
        trial = self._compile(values)
        self._work += trial.nodes
        everywhere = Region(dict.fromkeys(self.stated, ALL))
        region = everywhere.meeting(list(trial.path.conditions), self.solver)
        cell = Cell(
            dict(values),
            region,
            trial.path.conditions,
            trial.path.limits,
            trial.graph,
            trial.mistake,
        )
        self.known.append(cell)
        if region.joint:
            self.is_complete = False
        return cell

    def _cover(self, cell: Cell) -> None:
        self.left = [part for box in self.left for part in without(box, cell.region.box)]


def _beyond(region: Region, condition: Condition, near: Values) -> dict[str, int] | None:
    """Sizes that break this one condition of a region alone; None where none are seen."""
    others = Region(region.box, tuple([each for each in region.joint if each != condition]))
    for name, size in near.items():
        sizes = region.box[name]
        for other in (sizes.above(size), sizes.below(size), sizes.least, sizes.above(4 * size)):
            values = {**near, name: other or size}
            if others.holds(values) and not condition.holds(values):
                return values
    return None


def joined(regions: Iterable[Region]) -> list[Region]:
    """The same sizes in fewer regions: two that differ in a condition and its opposite are one."""
    left = list(regions)
    while pair := next(filter(_are_opposite, combinations(left, 2)), None):
        one, other = pair
        both = Region(one.box, tuple([each for each in one.joint if each in other.joint]))
        left = [both if each is one else each for each in left if each is not other]
    return left


def _are_opposite(pair: tuple[Region, Region]) -> bool:
    one, other = pair
    ours, theirs = set(one.joint) - set(other.joint), set(other.joint) - set(one.joint)
    return len(ours) == 1 and {each.negated for each in ours} == theirs and one.box == other.box


def outside(region: Region, part: Region) -> Iterator[Region]:
    """What a region has beside a part of it."""
    for box in without(region.box, part.box):
        yield Region(box, region.joint)
    for condition in part.joint:
        if condition not in region.joint:
            yield Region(part.box, (*region.joint, condition.negated))


def without(box: Box, other: Box) -> Iterator[Box]:
    """What is left of a box, as boxes that do not meet."""
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
    """For each symbol the sizes that it has in some region."""
    hull = dict.fromkeys(symbols, NONE)
    for region in regions:
        hull = {name: hull[name] | sizes for name, sizes in region.box.items()}
    return hull
