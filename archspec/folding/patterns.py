"""Patterns: what rows have in common, with a column for everything in which they may differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.folding.aligning import aligned
from archspec.folding.columns import ABSENT, Column, Unalike, key, spread
from archspec.folding.rows import CallItem, Content, GroupItem, Item, LeafItem, Ready, Row, RunItem
from archspec.folding.tree import INPUT, Edge, Value
from archspec.record import Record


class LeafPattern(Record):
    """A node's arguments. Those that all rows leave at their defaults are not among them."""

    kind: str
    arguments: Mapping[str, Column]


class CallPattern(Record):
    """What a class is given for its parameters."""

    ready: Ready
    arguments: Mapping[str, Column]
    defaults: Mapping[str, Column]


class GroupPattern(Record):
    """A list of its own."""

    inner: Pattern


class RunPattern(Record):
    """Iterations: how many each row has, and of all of them what they have in common.

    `rows` says of each row of `inner` to which row outside it belongs, and which iteration it is.
    """

    times: Column
    rows: tuple[tuple[int, int], ...]
    inner: Pattern


class Slot:
    """One place of a pattern. `present` says which rows have it; None: all.

    In the others it hands on what it would read, the one that `passes` counts.
    """

    __slots__ = (
        *("content", "given", "links", "marks", "name", "outputs", "passes", "present", "reads"),
    )

    def __init__(
        self,
        name: Column | None,
        present: Column | None,
        content: LeafPattern | CallPattern | GroupPattern | RunPattern,
        outputs: int,
        marks: Mapping[str, Value],
        given: Mapping[str, Column],
    ) -> None:
        self.name, self.present, self.content = name, present, content
        self.outputs, self.marks, self.given = outputs, marks, given
        self.reads: tuple[Edge, ...] = ()
        self.links: tuple[tuple[str, int], ...] = ()
        self.passes = 0


class Pattern:
    """What some rows have in common; `size` is their number."""

    __slots__ = ("outputs", "size", "slots")

    def __init__(self, size: int, slots: tuple[Slot, ...], outputs: tuple[Edge, ...]) -> None:
        self.size, self.slots, self.outputs = size, slots, outputs


def unified(rows: Sequence[Row | None], optional: bool = True) -> Pattern:
    """What the rows have in common. None stands for a row that lacks the whole list.

    Where `optional`, rows may lack items that others have. Raises `Unalike`.
    """
    there = [i for i, row in enumerate(rows) if row is not None]
    present = [row for row in rows if row is not None]
    places = aligned([row.items for row in present], optional)
    slots = []
    for place in places:
        where = [there[i] for i, position in enumerate(place) if position is not None]
        items = [
            present[i].items[position] for i, position in enumerate(place) if position is not None
        ]
        slots.append(_slot(len(rows), there, where, items))
    outputs = _wired(slots, places, present)
    return Pattern(len(rows), tuple(slots), outputs)


def _slot(size: int, there: list[int], where: list[int], items: list[Item]) -> Slot:
    first = items[0]
    if any(item.form != first.form for item in items):
        raise Unalike
    if any((item.name is None) is not (first.name is None) for item in items):
        raise Unalike
    name = None if first.name is None else spread(size, where, [str(i.name) for i in items])
    present = None
    if len(where) < len(there):
        rows = set(where)
        present = spread(size, there, [i in rows for i in there])
    names = [n for n in first.given if all(n in item.given for item in items)]
    given = {n: spread(size, where, [item.given[n] for item in items]) for n in names}
    content = _content(size, where, [item.content for item in items], items)
    return Slot(name, present, content, first.outputs, first.marks, given)


def _content(
    size: int, where: list[int], contents: list[Content], items: list[Item]
) -> LeafPattern | CallPattern | GroupPattern | RunPattern:
    first = contents[0]
    if any(isinstance(each, RunItem) for each in contents):
        return _run(size, where, [_as_run(item) for item in items])
    if isinstance(first, LeafItem):
        return _leaf(size, where, [each for each in contents if isinstance(each, LeafItem)])
    if isinstance(first, CallItem):
        calls = [each for each in contents if isinstance(each, CallItem)]
        rows: list[int | None] = [None] * size
        for row, call in zip(where, calls, strict=True):
            rows[row] = call.instance
        ready = first.ready
        return CallPattern(
            ready,
            {name: _picked(column, rows) for name, column in ready.values.items()},
            {name: _picked(column, rows) for name, column in ready.defaults.items()},
        )
    inner: list[Row | None] = [None] * size
    for row, each in zip(where, contents, strict=True):
        assert isinstance(each, GroupItem)
        inner[row] = each.row
    return GroupPattern(unified(inner))


def _picked(column: Column, rows: list[int | None]) -> Column:
    return Column([ABSENT if row is None else column.values[row] for row in rows])


def _leaf(size: int, where: list[int], leaves: list[LeafItem]) -> LeafPattern:
    written = dict.fromkeys(name for leaf in leaves for name in leaf.values)
    order = [name for name in written if name not in leaves[0].defaults] + [*leaves[0].defaults]
    names = [name for name in order if name in written]
    found = {}
    for name in names:
        values = []
        for leaf in leaves:
            if name not in leaf.values and name not in leaf.defaults:
                raise Unalike
            values.append(leaf.values[name] if name in leaf.values else leaf.defaults[name])
        found[name] = spread(size, where, values)
    return LeafPattern(leaves[0].kind, found)


def _as_run(item: Item) -> RunItem:
    """A single item as a run of one iteration."""
    if isinstance(item.content, RunItem):
        return item.content
    if len(item.reads) != 1 or item.links or item.name is not None:
        raise Unalike
    inner = item.moved((Edge(INPUT),), (), None)
    outputs = tuple([Edge(0, i) for i in range(item.outputs)])
    return RunItem((Row((inner,), outputs),))


def _run(size: int, where: list[int], runs: list[RunItem]) -> RunPattern:
    times = spread(size, where, [len(run.iterations) for run in runs])
    pairs = [
        (row, t, each)
        for row, run in zip(where, runs, strict=True)
        for t, each in enumerate(run.iterations)
    ]
    inner = unified([each for _, _, each in pairs])
    return RunPattern(times, tuple([(row, t) for row, t, _ in pairs]), inner)


# --- edges ---------------------------------------------------------------------------------------


def _wired(
    slots: list[Slot], places: Sequence[tuple[int | None, ...]], rows: Sequence[Row]
) -> tuple[Edge, ...]:
    """Finds all edges, and what optional slots hand on; the edges of what rows give."""
    optional = [slot for slot in slots if slot.present is not None and slot.outputs == 1]
    for passes in (0, 1):
        for slot in optional:
            slot.passes = passes
        try:
            _wire(slots, places, rows)
            return _common([row.outputs for row in rows], slots, places)
        except Unalike:
            if passes or not optional:
                raise
    raise Unalike


def _wire(slots: list[Slot], places: Sequence[tuple[int | None, ...]], rows: Sequence[Row]) -> None:
    """Finds what each slot reads: an edge that means the right value in every row that has it."""
    to_slot = _to_slots(places, rows)
    for number, (slot, place) in enumerate(zip(slots, places, strict=True)):
        having = [(i, p) for i, p in enumerate(place) if p is not None]
        items = [(i, rows[i].items[p]) for i, p in having]
        counts = {len(item.reads) for _, item in items}
        if len(counts) > 1:
            raise Unalike
        reads = []
        for position in range(counts.pop()):
            wanted = [(i, _moved(item.reads[position], to_slot[i])) for i, item in items]
            reads.append(_meant(wanted, slots, places))
        slot.reads = tuple(reads)
        links = [tuple((w, to_slot[i][owner]) for w, owner in item.links) for i, item in items]
        if any(each != links[0] for each in links):
            raise Unalike
        slot.links = links[0]
        if any(edge.node >= number for edge in slot.reads):
            raise Unalike


def _to_slots(
    places: Sequence[tuple[int | None, ...]], rows: Sequence[Row]
) -> list[dict[int, int]]:
    """For each row the slot of each of its items."""
    found: list[dict[int, int]] = [{} for _ in rows]
    for slot, place in enumerate(places):
        for row, position in enumerate(place):
            if position is not None:
                found[row][position] = slot
    return found


def _moved(edge: Edge, to_slot: Mapping[int, int]) -> Edge:
    return edge if edge.node == INPUT else Edge(to_slot[edge.node], edge.output)


def _meant(
    wanted: Sequence[tuple[int, Edge]],
    slots: Sequence[Slot],
    places: Sequence[tuple[int | None, ...]],
) -> Edge:
    """One edge for what rows read: where its slot is absent, it is what the slot would read."""
    for candidate in sorted({edge for _, edge in wanted}, reverse=True):
        if all(_passed(candidate, row, slots, places) == edge for row, edge in wanted):
            return candidate
    raise Unalike


def _passed(
    edge: Edge, row: int, slots: Sequence[Slot], places: Sequence[tuple[int | None, ...]]
) -> Edge | None:
    """What an edge means in a row."""
    while edge.node != INPUT and places[edge.node][row] is None:
        slot = slots[edge.node]
        if edge.output or slot.outputs > 1 or not slot.reads:
            return None
        edge = slot.reads[min(slot.passes, len(slot.reads) - 1)]
    return edge


def _common(
    outputs: Sequence[tuple[Edge, ...]],
    slots: Sequence[Slot],
    places: Sequence[tuple[int | None, ...]],
) -> tuple[Edge, ...]:
    if len({len(each) for each in outputs}) > 1:
        raise Unalike
    to_slot: list[dict[int, int]] = [{} for _ in outputs]
    for slot, place in enumerate(places):
        for row, position in enumerate(place):
            if position is not None:
                to_slot[row][position] = slot
    return tuple(
        [
            _meant([(i, _moved(o[n], to_slot[i])) for i, o in enumerate(outputs)], slots, places)
            for n in range(len(outputs[0]))
        ]
    )


__all__ = ["Pattern", "Slot", "key", "unified"]
