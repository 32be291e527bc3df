"""Leaves out the runs that are worth little as loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.folding.rows import GroupItem, Item, Row, RunItem
from archspec.folding.runs import Worth, item_moved
from archspec.folding.tree import INPUT, Edge


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

        made += [item_moved(item, inner) for item in iteration.items]
        before = inner(iteration.outputs[0])

    def later(edge: Edge) -> Edge:
        if edge.node < place:
            return edge
        return before if edge.node == place else Edge(edge.node + len(made) - 1, edge.output)

    items = (*row.items[:place], *made, *(item_moved(i, later) for i in row.items[place + 1 :]))
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
