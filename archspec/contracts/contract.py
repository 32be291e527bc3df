"""The input contract of a spec: the sizes at which it compiles to one network, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from archspec.contracts.cells import Cell, Cells
from archspec.contracts.networks import Need, graph_at, needs
from archspec.contracts.regions import Box, Region, Values, hull_of, merged
from archspec.contracts.requirements import requirements
from archspec.ir.graph import Graph
from archspec.record import Record
from archspec.runtime.sizes import nearest_text
from archspec.sizes.formula import Condition
from archspec.sizes.sets import ALL, Sizes, Unsolved
from archspec.sizes.solve import Solver
from archspec.sizes.words import condition_text, sizes_text

Shapes: TypeAlias = Callable[[Values], dict[str, tuple[int, ...]]]
"""The sizes of the inputs at values of the symbols."""


class Other(Record):
    """Sizes, in words, at which the spec compiles to another network, and where that differs."""

    text: str
    why: str

    def as_dict(self) -> dict[str, str]:
        """These sizes as plain data for JSON output."""
        return {"text": self.text, "why": self.why}


class Contract:
    """The sizes at which a spec compiles to the same network as at the `stated` ones.

    `text` is the whole contract in words, and `requirements` its conditions, each with its node.
    `regions` hold all legal sizes, `sizes` those of each symbol by itself, and `compiles` those of
    any network. `others` are the sizes of other networks. Where it is not `is_complete`, sizes that
    it does not list may be legal too: `accepts` compiles there to find out.
    """

    def __init__(self, cells: Cells, shapes: Shapes, emitted: Graph | None = None) -> None:
        """`emitted` holds the numbers that code computes, where these may differ."""
        self._cells, self._shapes = cells, shapes
        self._built = emitted or cells.main.graph
        self.symbols = tuple(cells.stated)
        self.stated = dict(cells.stated)
        self._fitting: dict[int, tuple[Region | None, str]] = {}
        cells.explore()
        self.is_complete = cells.is_complete
        self.regions = self._merged([each for cell in cells.known if (each := self._fit(cell)[0])])
        found = self._needs(cells.main)
        assert not isinstance(found, str)
        self._compiling = self._merged([each.region for each in cells.known if each.graph])
        self.sizes, self.compiles = self._hull(self.regions), self._hull(self._compiling)
        self.requirements = tuple(
            requirements(cells.main, found, self.regions, self.sizes, cells.solver)
        )
        self.others: tuple[Other, ...] = ()
        try:
            self.others = tuple(self._other_networks())
        except Unsolved:
            self.is_complete = False

    def _merged(self, regions: Sequence[Region]) -> list[Region]:
        try:
            return merged(regions)
        except Unsolved:
            return list(regions)

    def _hull(self, regions: Sequence[Region]) -> Box:
        """For each symbol the sizes of all regions, or of the main one if they are too mixed."""
        try:
            return hull_of(regions, self.symbols)
        except Unsolved:
            self.is_complete = False
            return hull_of(regions[:1], self.symbols)

    @property
    def main(self) -> Cell:
        """The cell of the stated sizes."""
        return self._cells.main

    @property
    def solver(self) -> Solver:
        """The solver of conditions, which remembers those that it solved."""
        return self._cells.solver

    # --- in words --------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The legal sizes in words."""
        said = {each.condition: each.text for each in self.requirements}
        return _text(self.regions, self.sizes, said)

    @property
    def compiles_text(self) -> str:
        """The sizes, in words, at which the spec compiles to any network."""
        return _text(self._compiling, self.compiles, {})

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The contract for a terminal."""
        yield f"contract: {self.text}"
        width = max([len(each.text) for each in self.requirements], default=0)
        for each in self.requirements:
            yield f"  {each.text:<{width}}  {each.asker}".rstrip()
        for other in self.others:
            yield f"another network: {other.text}: {other.why}"
        yield from (f"note: {note}" for note in self.notes)
        if not self.is_complete:
            yield "more sizes than these may be legal: their cases are too many to list"

    @property
    def notes(self) -> list[str]:
        """The conditions that leave only one size of a symbol, with a way out."""
        return [
            f"{each.asker} leaves one size of {each.symbol}: for more, pool to a fixed size before "
            f"it, or let it take no number from {each.symbol}"
            for each in self.requirements
            if each.sizes is not None and each.asker and each.sizes.is_single
        ]

    def as_dict(self) -> dict[str, Any]:
        """The contract as plain data for JSON output."""
        return {
            "sizes": self.stated,
            "text": self.text,
            "requirements": [each.as_dict() for each in self.requirements],
            "compiles": self.compiles_text,
            "others": [each.as_dict() for each in self.others],
            "notes": self.notes,
            "is_complete": self.is_complete,
        }

    # --- sizes -----------------------------------------------------------------------------------

    def accepts(self, **values: int) -> bool:
        """Whether these sizes give the network of the stated ones."""
        cell = self._cells.at(self._checked(values))
        region, _ = self._fit(cell)
        return region is not None and region.holds(values) and cell.within_limits(values)

    def lists(self, **values: int) -> bool:
        """Whether these are among the listed legal sizes: a module runs only at those."""
        checked = self._checked(values)
        return any(region.holds(checked) for region in self.regions)

    def input_shape(self, **values: int) -> dict[str, tuple[int, ...]]:
        """The sizes of the inputs by name, without N, at these sizes of the symbols."""
        return self._shapes(self._checked(values))

    def graph_at(self, **values: int) -> Graph | None:
        """The graph at these sizes, whatever the network; None where the spec does not compile."""
        cell = self._cells.at(self._checked(values))
        legal = cell.graph is not None and cell.within_limits(values)
        return graph_at(cell.graph, values) if cell.graph and legal else None

    def module_graph_at(self, **values: int) -> Graph:
        """What the module of the stated sizes computes at other sizes, legal or not."""
        assert self._built is not None
        return graph_at(self._built, self._checked(values))

    def refusal(self, **values: int) -> str | None:
        """Why these sizes are not legal, with the nearest that are; None for legal ones."""
        if self.accepts(**values):
            return None
        said = ", ".join(f"{name} = {values[name]}" for name in self.symbols)
        return f"{said} is not legal: {self._why(values)}{self._nearest(values)}"

    def neighbours(self, **values: int) -> dict[str, tuple[int | None, int | None]]:
        """For each symbol whose size is not legal the nearest legal ones below and above."""
        sizes = self.sizes
        return {
            name: (sizes[name].below(size), sizes[name].above(size))
            for name, size in self._checked(values).items()
            if size not in sizes[name]
        }

    def _why(self, values: Values) -> str:
        for each in self.requirements:
            if not each.holds(values):
                return f"{each.text}, asked for by {each.asker}" if each.asker else each.text
        cell = self._cells.at(values)
        if cell.mistake is not None:
            return cell.mistake.message
        if not cell.within_limits(values):
            return "no machine could run it"
        return self._fit(cell)[1] or self.text

    def _nearest(self, values: Values) -> str:
        if len(self.regions) > 1 or any(region.joint for region in self.regions):
            return nearest_text(values, lambda each: any(r.holds(each) for r in self.regions))
        texts = []
        for name, pair in self.neighbours(**values).items():
            found = [str(each) for each in pair if each is not None]
            if found:
                texts.append(f"{name} = {' and '.join(found)} {'is' if len(found) < 2 else 'are'}")
        return f"; {', '.join(texts)}" if texts else ""

    def _checked(self, values: Mapping[str, int]) -> dict[str, int]:
        """Raises `ValueError` for a missing or unknown symbol."""
        if set(values) != set(self.symbols):
            raise ValueError(
                f"a size is needed for each of {', '.join(self.symbols)}, and for no other name"
            )
        return dict(values)

    # --- networks --------------------------------------------------------------------------------

    def _fit(self, cell: Cell) -> tuple[Region | None, str]:
        """The sizes of a cell at which its network is the stated one, and why others are not."""
        if cell.graph is None:
            return None, ""
        if id(cell) not in self._fitting:
            found = self._needs(cell)
            if isinstance(found, str):
                self._fitting[id(cell)] = None, f"{found} differs"
            else:
                conditions = [need.condition for need in found]
                region = cell.region.meeting(conditions, self._cells.solver)
                why = f"{found[0].what} has other sizes" if found else ""
                self._fitting[id(cell)] = region or None, why
        return self._fitting[id(cell)]

    def _needs(self, cell: Cell) -> list[Need] | str:
        assert self._built is not None
        assert cell.graph is not None
        return needs(self._built, cell.graph)

    def _other_networks(self) -> Iterator[Other]:
        """Sizes that compile to another network, grouped by the reason."""
        by_reason: dict[str, list[Region]] = {}
        for cell in self._cells.known:
            if cell.graph is None:
                continue
            fits, why = self._fit(cell)
            found = [cell.region] if fits is None else list(cell.region.without(fits))
            if found:
                by_reason.setdefault(why, []).extend(found)
        for why, regions in by_reason.items():
            if len(self.symbols) == 1:
                regions = [Region(hull_of(regions, self.symbols))]
            for region in self._merged(regions):
                yield Other(_region_text(region), why)


MOST_SAID = 6
"""The most regions that are written out."""


def _text(regions: Sequence[Region], hull: Box, said: Mapping[Condition | None, str]) -> str:
    """The sizes of regions in words. `said` has better words for conditions that join symbols."""
    if len(regions) < 2:
        joined = [condition for region in regions for condition in region.joint]
        by_set: dict[Sizes, list[str]] = {}
        for name, sizes in hull.items():
            by_set.setdefault(sizes, []).append(name)
        texts = [sizes_text(sizes, _and(names)) for sizes, names in by_set.items()]
        return "; ".join([*texts, *[said.get(each) or condition_text(each) for each in joined]])
    shown = [_region_text(region, said) for region in regions[:MOST_SAID]]
    return "; or ".join(shown) + ("; or others" if len(regions) > MOST_SAID else "")


def _region_text(region: Region, said: Mapping[Condition | None, str] | None = None) -> str:
    joined = [(said or {}).get(each) or condition_text(each) for each in region.joint]
    bound = {name: each for name, each in region.box.items() if each != ALL}
    shown = bound if bound or joined else region.box
    return ", ".join([*[sizes_text(sizes, name) for name, sizes in shown.items()], *joined])


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
