"""Rows: the lists of nodes that are folded together, with the runs that were found in them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from archspec.folding.columns import ABSENT, Column, key
from archspec.folding.template import Template
from archspec.folding.tree import Edge, Formula, Node, Value
from archspec.record import Record


class Ready:
    """A class that is folded: its template, and what each of its instances gives for parameters.

    `values` and `defaults` have a column for each parameter that calls may give, over the
    instances; a default is absent where the parameter has none.
    """

    __slots__ = ("defaults", "template", "values")

    def __init__(
        self, template: Template, values: dict[str, Column], defaults: dict[str, Column]
    ) -> None:
        self.template, self.values, self.defaults = template, values, defaults


class LeafItem(Record):
    """A node without nodes of its own."""

    kind: str
    values: Mapping[str, Value]
    defaults: Mapping[str, Value]


class CallItem(Record):
    """An instance of a class: which one it is."""

    ready: Ready
    instance: int


class GroupItem(Record):
    """A list of its own."""

    row: Row


class RunItem(Record):
    """Items that run several times, each time on what the time before gave.

    Each iteration is a row whose input 0 is that value; further inputs are the same for all.
    """

    iterations: tuple[Row, ...]


Content = LeafItem | CallItem | GroupItem | RunItem


class Item:
    """One item of a row. `form` says which items may be one: the same kind, outputs and marks."""

    __slots__ = ("content", "form", "given", "links", "marks", "name", "outputs", "reads", "shape")

    def __init__(
        self,
        name: str | None,
        content: Content,
        reads: tuple[Edge, ...],
        outputs: int,
        links: tuple[tuple[str, int], ...] = (),
        marks: Mapping[str, Value] | None = None,
        given: Mapping[str, Value] | None = None,
    ) -> None:
        self.name, self.content, self.reads, self.outputs = name, content, reads, outputs
        self.links, self.marks, self.given = links, marks or {}, given or {}
        rest = outputs, key(self.marks) if self.marks else (), tuple(word for word, _ in links)
        self.form: Hashable = (_form(content), *rest)
        self.shape: Hashable = (_shape(content), *rest)
        if isinstance(content, RunItem) and len(content.iterations[0].items) == 1:
            # It may run once elsewhere.
            (item,) = content.iterations[0].items
            self.form, self.shape = item.form, item.shape

    def values(self) -> Mapping[str, Value]:
        """The arguments of a leaf, or what a class is given."""
        if isinstance(self.content, LeafItem):
            return {**self.content.defaults, **self.content.values}
        if isinstance(self.content, CallItem):
            columns = self.content.ready.values.items()
            pairs = [(name, column.values[self.content.instance]) for name, column in columns]
            return {name: value for name, value in pairs if value is not ABSENT}
        return {}

    def moved(
        self, reads: tuple[Edge, ...], links: tuple[tuple[str, int], ...], name: str | None
    ) -> Item:
        """The same with other edges."""
        return Item(name, self.content, reads, self.outputs, links, self.marks, self.given)

    def holding(self, content: Content) -> Item:
        """The same with another content."""
        return Item(
            self.name, content, self.reads, self.outputs, self.links, self.marks, self.given
        )


class Row:
    """A list of items with its outputs. Its inputs are edges at `INPUT`."""

    __slots__ = ("items", "outputs")

    def __init__(self, items: tuple[Item, ...], outputs: tuple[Edge, ...]) -> None:
        self.items, self.outputs = items, outputs

    @property
    def shape(self) -> Hashable:
        """The kinds of all nodes, runs and single items alike."""
        return tuple([item.shape for item in self.items])


def item_of(node: Node, content: Content) -> Item:
    """A node with what its content became."""
    name = node.name if node.named else None
    return Item(name, content, node.reads, node.outputs, node.links, node.marks, node.given)


def _form(content: Content) -> Hashable:
    """What is compared before items are folded: how deep they agree is seen then."""
    match content:
        case LeafItem(kind, values, _):
            formulas = {n: v for n, v in values.items() if _has_formula(v)}
            return kind, key(formulas) if formulas else ()
        case CallItem(ready, _):
            return "call", id(ready)
        case GroupItem():
            return "group"
        case RunItem(iterations):
            return "run", *[each.form for each in iterations[0].items]


def _shape(content: Content) -> Hashable:
    match content:
        case GroupItem(row):
            return "group", row.shape
        case RunItem(iterations):
            return "run", *[each.shape for each in iterations[0].items]
        case _:
            return _form(content)


def _has_formula(value: Value) -> bool:
    if isinstance(value, tuple):
        return any(_has_formula(each) for each in value if not isinstance(each, Mapping))
    return isinstance(value, Formula)
