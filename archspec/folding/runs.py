"""Finds items that repeat, each time on what the time before gave."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from archspec.folding.naming import counting
from archspec.folding.rows import Item, LeafItem, Row, RunItem
from archspec.folding.tree import INPUT, Edge
from archspec.record import Record

LONGEST = 8
"""The most items that one iteration may have."""

Worth = Callable[[RunItem], float]
"""What a loop saves, as the share of what its iterations are in full; negative where it costs."""


class _Run(Record):
    """Where a run stands: its first item, all iterations, and what the first of them reads."""

    start: int
    content: RunItem
    reads: tuple[Edge, ...]

    @property
    def period(self) -> int:
        return len(self.content.iterations[0].items)

    @property
    def length(self) -> int:
        return sum(len(row.items) for row in self.content.iterations)


def with_runs(row: Row, worth: Worth) -> Row:
    """The row with a run in place of the items of each, also of those that are worth little.

    They are found from the shortest to the longest iterations, so that a run may hold others. What
    repeats in one place is a run of one iteration in all others, which may have another number.
    """
    refused: set[tuple[int, ...]] = set()
    while True:
        found: list[_Run] = []
        while (run := _best(row, worth, refused, outer=False)) is not None:
            row = _folded(row, run)
            found.append(run)
        for run in found:
            row = _with_single(row, run)
        run = _best(row, worth, refused, outer=True)
        if run is None:
            return row
        row = _folded(row, run)


def _with_single(row: Row, run: _Run) -> Row:
    """The row with runs of one iteration where the items of one stand alone."""
    if run.period == 1:
        return row  # a single item is taken for a run of one iteration anyway
    shapes = [item.shape for item in run.content.iterations[0].items]
    start = 0
    while start + run.period <= len(row.items):
        part = row.items[start : start + run.period]
        if [item.shape for item in part] == shapes:
            alone = _alone(row, start, run)
            if alone is not None:
                row = _folded(row, alone)
        start += 1
    return row


def _alone(row: Row, start: int, run: _Run) -> _Run | None:
    """One iteration as a run, if its items are connected as those of the run are."""
    items = row.items[start : start + run.period]
    (offset, output) = run.content.iterations[0].outputs[0]
    first = items[0].reads[:1]
    if not first or any(item.name is not None for item in items):
        return None
    outer: list[Edge] = []
    made = _iteration(items, start, start, first[0], outer)
    if made is None or outer:
        return None
    kept = Edge(start + offset, output)
    end = start + run.period
    if any(_within(e, start, end) and e != kept for e in _later(row, start, run.period)):
        return None
    if any(a.reads != b.reads for a, b in zip(made, run.content.iterations[0].items, strict=True)):
        return None
    content = RunItem((Row(made, run.content.iterations[0].outputs),))
    return _Run(start, content, first)


def _best(row: Row, worth: Worth, refused: set[tuple[int, ...]], *, outer: bool) -> _Run | None:
    """The longest run of the shortest period; an `outer` one has runs in it."""
    for period in range(1, LONGEST + 1):
        found = [run for run in _of_period(row, period) if _place(row, run) not in refused]
        found = [run for run in found if _has_runs(run) is outer]
        for run in sorted(found, key=lambda run: (-run.length, run.start)):
            if worth(run.content) > -1:
                return run
            refused.add(_place(row, run))
    return None


def _has_runs(run: _Run) -> bool:
    return any(isinstance(item.content, RunItem) for item in run.content.iterations[0].items)


def _place(row: Row, run: _Run) -> tuple[int, ...]:
    return len(row.items), run.start, run.period, len(run.content.iterations)


def _of_period(row: Row, period: int) -> Iterator[_Run]:
    forms: list[Hashable] = [item.shape for item in row.items]
    start = 0
    if period == 1:
        # Runs beside each other are different, or they would be one.
        longs = [isinstance(item.content, RunItem) for item in row.items]
        forms = [
            (n, form) if long else form
            for n, (form, long) in enumerate(zip(forms, longs, strict=True))
        ]
    while start + 2 * period <= len(forms):
        end = start + period
        while end < len(forms) and forms[end] == forms[end - period]:
            end += 1
        times = (end - start) // period
        run = None
        while times > 1 and run is None:
            run = _chained(row, start, period, times)
            times -= 1
        if run is None:
            start += 1
        else:
            yield run
            start = run.start + run.length


def _chained(row: Row, start: int, period: int, times: int) -> _Run | None:
    """The run, if each iteration reads of those before it only what the last one gives."""
    items = row.items
    if not _are_named_alike(items[start : start + period * times], period):
        return None
    carried = _carried(row, start, period)
    if carried is None:
        return None
    first, offset, output = carried
    outer: list[Edge] = []
    iterations = []
    before = first
    for t in range(times):
        begin = start + t * period
        made = _iteration(items[begin : begin + period], begin, start, before, outer)
        if made is None:
            return None
        iterations.append(Row(made, (Edge(offset, output),)))
        before = Edge(begin + offset, output)
    if not _is_closed(row, start, period * times, before):
        return None
    if any(a.reads != b.reads for each in iterations for a, b in _pairs(each, iterations[0])):
        return None
    more = _more(row, start + period * times, start, before, iterations[0], outer)
    if more is not None:
        iterations.append(more)
    return _Run(start, RunItem(tuple(iterations)), (first, *outer))


def _pairs(one: Row, other: Row) -> Iterator[tuple[Item, Item]]:
    return zip(one.items, other.items, strict=True)


def _is_closed(row: Row, start: int, length: int, kept: Edge) -> bool:
    """Whether nothing behind a run reads of it but what its last iteration gives."""
    end = start + length
    return not any(_within(e, start, end) and e != kept for e in _later(row, start, length))


def _more(
    row: Row, begin: int, start: int, before: Edge, whole: Row, outer: list[Edge]
) -> Row | None:
    """A last iteration that ends early: the first items of one, and nothing that reads the rest."""
    period = len(whole.items)
    for length in range(min(period - 1, len(row.items) - begin), 0, -1):
        items = row.items[begin : begin + length]
        if [each.shape for each in items] != [each.shape for each in whole.items[:length]]:
            continue
        if all(isinstance(item.content, LeafItem) for item in items):
            continue
        made = _iteration(items, begin, start, before, list(outer))
        kept = Edge(begin + length - 1)
        if made is None or items[-1].outputs != 1:
            continue
        alike = all(a.reads == b.reads for a, b in zip(made, whole.items, strict=False))
        if alike and _is_closed(row, start, begin + length - start, kept):
            return Row(made, (Edge(length - 1),))
    return None


def _within(edge: Edge, start: int, end: int) -> bool:
    return start <= edge.node < end


def _later(row: Row, start: int, length: int) -> Iterator[Edge]:
    """What is read behind a run."""
    for item in row.items[start + length :]:
        yield from item.reads
        yield from (Edge(owner) for _, owner in item.links)
    yield from row.outputs


def _carried(row: Row, start: int, period: int) -> tuple[Edge, int, int] | None:
    """What the first iteration reads in place of the one before it, and what each hands on.

    An iteration hands on an output of its last item.
    """
    begin = start + period
    firsts: set[Edge] = set()
    offsets: set[tuple[int, int]] = set()
    for q in range(period):
        mine, next_ = row.items[start + q], row.items[begin + q]
        if len(mine.reads) != len(next_.reads):
            return None
        for a, b in zip(mine.reads, next_.reads, strict=True):
            if _within(b, start, begin):
                firsts.add(a)
                offsets.add((b.node - start, b.output))
    if len(firsts) != 1 or len(offsets) != 1:
        return None
    (offset, output) = offsets.pop()
    last = row.items[start + offset]
    if offset != period - 1 or last.outputs != 1:
        return None
    return firsts.pop(), offset, output


def _iteration(
    items: Sequence[Item], begin: int, start: int, before: Edge, outer: list[Edge]
) -> tuple[Item, ...] | None:
    """The items of an iteration, with edges of a row of their own."""
    made = []
    for item in items:
        reads = []
        for edge in item.reads:
            if edge == before:
                reads.append(Edge(INPUT))
            elif edge.node >= begin:
                reads.append(Edge(edge.node - begin, edge.output))
            elif edge.node >= start:
                return None
            else:
                if edge not in outer:
                    outer.append(edge)
                reads.append(Edge(INPUT, 1 + outer.index(edge)))
        if any(owner < begin for _, owner in item.links):
            return None
        links = tuple([(word, owner - begin) for word, owner in item.links])
        made.append(item.moved(tuple(reads), links, item.name))
    return tuple(made)


def _are_named_alike(items: Sequence[Item], period: int) -> bool:
    """Whether names count up with the iterations: `layer1`, `layer2`, …"""
    for q in range(period):
        names = [item.name for item in items[q::period]]
        if all(name is None for name in names):
            continue
        if any(name is None for name in names):
            return False
        if counting([str(name) for name in names]) is None:
            return False
    return True


# --- in and out of a row -------------------------------------------------------------------------


def _folded(row: Row, run: _Run) -> Row:
    """The row with one item for the run."""
    end = run.start + run.length

    def moved(edge: Edge) -> Edge:
        if edge.node < run.start:
            return edge
        if edge.node < end:
            return Edge(run.start)
        return Edge(edge.node - run.length + 1, edge.output)

    item = Item(None, run.content, run.reads, 1)
    items = (*row.items[: run.start], item, *(item_moved(i, moved) for i in row.items[end:]))
    return Row(items, tuple(map(moved, row.outputs)))


def item_moved(item: Item, moved: Callable[[Edge], Edge]) -> Item:
    """An item with all its edges changed."""
    links = tuple([(word, moved(Edge(owner)).node) for word, owner in item.links])
    return item.moved(tuple(map(moved, item.reads)), links, item.name)
