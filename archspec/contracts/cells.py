"""Cells: the sizes at which one spec compiles the same way, found one witness after another.

Each compilation covers all sizes for which its questions have the same answers. Compiling again at
the first uncovered size, until none is left, covers all sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

from archspec.contracts.regions import Region, Values
from archspec.diagnostics.diagnostic import Diagnostic
from archspec.expand.program import Trial
from archspec.ir.graph import Graph
from archspec.record import Record
from archspec.sizes.formula import Condition
from archspec.sizes.sets import ALL, Unsolved
from archspec.sizes.size import Conditions
from archspec.sizes.solve import Solver

MOST_CELLS = 24
MOST_REGIONS = 64
"""The most uncovered regions that are looked into."""
MAX_WORK = 300_000
"""The most nodes that are placed for all cells of one spec."""


class Cell(Record):
    """One way of compiling: at `witness`, and at all sizes of its `region`.

    It has a graph or a mistake. `conditions` are what it requires of the sizes, each with the node
    that asks; `limits` bound the sizes to what a machine can run.
    """

    witness: dict[str, int]
    region: Region
    conditions: Conditions
    limits: Collection[Condition]
    graph: Graph | None
    mistake: Diagnostic | None

    def holds_at(self, values: Values) -> bool:
        """Whether the spec compiles this way at these sizes."""
        return self.region.holds(values) and self.within_limits(values)

    def within_limits(self, values: Values) -> bool:
        """Whether a machine could run the network at these sizes."""
        return all(condition.holds(values) for condition in self.limits)


class Cells:
    """The known cells of one spec. `compile` makes more; `left` is what no cell covers.

    `is_complete` says that every size is in a known cell. Where there are many cells, or where
    conditions that join symbols are hard to solve, some cells are found only when `at` asks.
    """

    def __init__(self, compile: Callable[[Values], Trial], stated: Values) -> None:
        self._compile, self.solver = compile, Solver()
        self.stated = dict(stated)
        self.left = [Region(dict.fromkeys(stated, ALL))]
        self.known: list[Cell] = []
        self.is_complete = True
        self._work = 0
        self.main = self._add(self.stated)
        with suppress(Unsolved):
            self._cover(self.main)

    def at(self, values: Values) -> Cell:
        """The cell of these sizes, compiled if it is not known yet."""
        for cell in self.known:
            if cell.holds_at(values):
                return cell
        return self._add(values)

    def explore(self, most: int = MOST_CELLS, work: int = MAX_WORK) -> None:
        """Compiles at one uncovered size after another, until none is left."""
        unseen: list[Region] = []
        with suppress(Unsolved):
            while self.left:
                is_much = self._work >= work or len(self.left) > MOST_REGIONS
                if is_much or len(self.known) >= most:
                    break
                witness = self.left[0].witness(self.stated)
                if witness is None:
                    unseen.append(self.left.pop(0))
                else:
                    self._cover(self._add(witness))
        self.left += unseen
        self.is_complete &= not self.left

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
        return cell

    def _cover(self, cell: Cell) -> None:
        self.left = [part for region in self.left for part in region.without(cell.region)]
