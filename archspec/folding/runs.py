"""Finds items that repeat, each time on what the time before gave."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence

from archspec.folding.rows import CallItem, GroupItem, Item, LeafItem, Ready, Row, RunItem
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


_NUMBER = re.compile(r"\d+")


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


def counting(names: Sequence[str]) -> tuple[str, int, str] | None:
    """What stands before and behind a number that counts up, and its first value."""
    numbers = list(_NUMBER.finditer(names[0]))
    for found in reversed(numbers):
        before, behind = names[0][: found.start()], names[0][found.end() :]
        first = int(found[0])
        if all(name == f"{before}{first + i}{behind}" for i, name in enumerate(names)):
            return before, first, behind
    return None


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
    items = (*row.items[: run.start], item, *(_moved(i, moved) for i in row.items[end:]))
    return Row(items, tuple(map(moved, row.outputs)))


def _moved(item: Item, moved: Callable[[Edge], Edge]) -> Item:
    links = tuple([(word, moved(Edge(owner)).node) for word, owner in item.links])
    return item.moved(tuple(map(moved, item.reads)), links, item.name)


def unrolled(row: Row, place: int) -> Row:
    """The row with the items of all iterations in place of a run."""
    run = row.items[place]
    assert isinstance(run.content, RunItem)
    made: list[Item] = []
    before = run.reads[0]
    for iteration in run.content.iterations:
        begin = place + len(made)

        def inner(edge: Edge, begin: int = begin, before: Edge = before) -> Edge:
            if edge.node != INPUT:
                return Edge(edge.node + begin, edge.output)
            return before if edge.output == 0 else run.reads[edge.output]

        made += [_moved(item, inner) for item in iteration.items]
        before = inner(iteration.outputs[0])

    def later(edge: Edge) -> Edge:
        if edge.node < place:
            return edge
        return before if edge.node == place else Edge(edge.node + len(made) - 1, edge.output)

    items = (*row.items[:place], *made, *(_moved(i, later) for i in row.items[place + 1 :]))
    return Row(items, tuple(map(later, row.outputs)))


POOR = 0.1
"""A loop must save this share of its text at least."""


def settled(row: Row, worth: Worth, staged: Callable[[RunItem], RunItem]) -> Row:
    """The row without the runs that are worth little, also in its groups.

    `staged` may make a run of runs of a long one.
    """
    for place in range(len(row.items) - 1, -1, -1):
        content = row.items[place].content
        if isinstance(content, RunItem) and worth(content) < POOR:
            row = unrolled(row, place)
    items = [_settled(item, worth, staged) for item in row.items]
    return Row(tuple(items), row.outputs)


def _settled(item: Item, worth: Worth, staged: Callable[[RunItem], RunItem]) -> Item:
    match item.content:
        case GroupItem(row):
            return item.holding(GroupItem(settled(row, worth, staged)))
        case RunItem(iterations):
            return item.holding(staged(RunItem(tuple(settled_together(iterations, worth)))))
        case _:
            return item


def settled_together(rows: Sequence[Row], worth: Worth) -> Sequence[Row]:
    """Iterations without runs that are worth little in each of them.

    Those that have different numbers of iterations stay: together they are worth more.
    """
    if len({len(row.items) for row in rows}) > 1:
        return rows
    for place in range(len(rows[0].items) - 1, -1, -1):
        items = [row.items[place] for row in rows]
        runs = [item.content for item in items if isinstance(item.content, RunItem)]
        groups = [item.content.row for item in items if isinstance(item.content, GroupItem)]
        if len(runs) == len(rows) and len({len(run.iterations) for run in runs}) == 1:
            if all(worth(run) < POOR for run in runs):
                rows = [unrolled(row, place) for row in rows]
        elif len(groups) == len(rows):
            inner = settled_together(groups, worth)
            rows = [
                Row(
                    (*row.items[:place], item.holding(GroupItem(group)), *row.items[place + 1 :]),
                    row.outputs,
                )
                for row, item, group in zip(rows, items, inner, strict=True)
            ]
    return rows


def weight(row: Row) -> int:
    """About how many words the nodes of a row take."""
    return sum(map(_weight, row.items))


def _weight(item: Item) -> int:
    own = 1 + (item.name is not None)
    match item.content:
        case LeafItem(_, values, _):
            return own + len(values) * 2
        case CallItem(ready, instance):
            given = [n for n, c in ready.values.items() if not _is_default(ready, n, instance)]
            return own + 2 * len(given)
        case GroupItem(row):
            return own + weight(row)
        case RunItem(iterations):
            return own + 1 + weight(iterations[0])


def _is_default(ready: Ready, name: str, instance: int) -> bool:
    return ready.values[name].keys[instance] == ready.defaults[name].keys[instance]
