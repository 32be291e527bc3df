"""The conditions of a contract, in words, each with the node that asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from archspec.contracts.cells import Cell
from archspec.contracts.networks import Need
from archspec.contracts.regions import Region, Values
from archspec.diagnostics.call_sites import CallSite, located
from archspec.diagnostics.diagnostic import Code, Diagnostic, Span
from archspec.ir.graph import Graph
from archspec.record import Record
from archspec.sizes.formula import Condition
from archspec.sizes.sets import ALL, Sizes, Unsolved
from archspec.sizes.solve import Solver
from archspec.sizes.words import condition_text, sizes_text


class Requirement(Record):
    """One condition of a contract, in words, and the node that asks for it.

    It bounds the size of `symbol` to `sizes`. Where it joins several symbols, both are None and
    `condition` is set. `node` is the path of the node and `kind` its op or block; both are None
    where no node is left. `span` is the place in the text.
    """

    text: str
    node: str | None
    kind: str | None
    span: Span | None
    symbol: str | None
    sizes: Sizes | None
    condition: Condition | None

    def holds(self, values: Values) -> bool:
        """Whether these sizes meet the condition."""
        if self.symbol is not None and self.sizes is not None:
            return values[self.symbol] in self.sizes
        return self.condition is None or self.condition.holds(values)

    @property
    def asker(self) -> str:
        """`up4.1 (concat, line 17)`; empty where several nodes ask together."""
        if self.span is None:
            return ""
        source, line, *_ = self.span
        where = f"{source.name}:{line}" if source.library else f"line {line}"
        return f"{self.node} ({self.kind}, {where})" if self.node else where

    def as_dict(self) -> dict[str, Any]:
        """The condition as plain data for JSON output."""
        place = self.span and {"file": self.span.source.name, "line": self.span.line}
        return {"text": self.text, "node": self.node, "op": self.kind, "place": place}


class _Asked(Record):
    """A condition, the number that its formula is compared with, and who asks."""

    condition: Condition
    number: int
    node: tuple[str, str] | None
    span: Span | None


Key: TypeAlias = tuple[str | None, Span | None, Condition | None]
"""A symbol with the place that asks; a condition that joins symbols also has itself."""


def requirements(
    main: Cell,
    wanted: Iterable[Need],
    regions: Sequence[Region],
    hull: Mapping[str, Sizes],
    solver: Solver,
) -> Iterator[Requirement]:
    """The requirements that make up the contract, in the order in which they are asked.

    `wanted` keeps the weights as they are. `regions` are the legal sizes, and `hull` those of each
    symbol.
    """
    joint = {condition for region in regions for condition in region.joint}
    groups: dict[Key, list[_Asked]] = {}
    for asked in _asked(main, wanted):
        symbols = asked.condition.formula.symbols
        if len(symbols) > 1 or _sizes([asked], solver) is None:
            if asked.condition in joint:  # otherwise it follows from the others
                groups[None, asked.span, asked.condition] = [asked]
            continue
        (name,) = symbols
        sizes = _sizes([asked], solver)
        # Where the symbol has other sizes too, the other case is legal as well.
        if sizes is not None and _within(hull[name], sizes):
            groups.setdefault((name, asked.span, None), []).append(asked)
    for name in hull:
        met = {key: _sizes(of, solver) or ALL for key, of in groups.items() if key[0] == name}
        with suppress(Unsolved):
            for key in _redundant(met):
                del groups[key]
    explained = dict.fromkeys(hull, ALL)
    for (symbol, span, _), of in groups.items():
        path, kind = of[0].node or (None, None)
        if symbol is None:
            text = condition_text(of[0].condition, of[0].number)
            yield Requirement(text, path, kind, span, None, None, of[0].condition)
            continue
        sizes = _sizes(of, solver) or ALL
        with suppress(Unsolved):
            explained[symbol] &= sizes
        # Of several nodes at one place, the one that asks for all of it, if there is one.
        alone = [each for each in of if _sizes([each], solver) == sizes]
        path, kind = (alone or of)[0].node or (None, None)
        yield Requirement(sizes_text(sizes, symbol), path, kind, span, symbol, sizes, None)
    for name, sizes in explained.items():
        if sizes != hull[name]:
            text = sizes_text(hull[name], name)
            yield Requirement(text, None, None, None, name, hull[name], None)


def _asked(main: Cell, wanted: Iterable[Need]) -> Iterator[_Asked]:
    """The conditions that the network sets for its sizes."""
    assert main.graph is not None
    known = _nodes(main.graph)
    for condition, (span, calls, label) in main.conditions.items():
        key = (*[call.span for call in calls], span)
        node = known.get((*key, label)) or known.get(key)
        yield _Asked(condition, 0, node, _user_line(span, calls))
    for need in wanted:
        yield _Asked(need.condition, need.number, (need.path, need.step.kind), need.step.span)


def _nodes(graph: Graph) -> dict[tuple[Any, ...], tuple[str, str]]:
    """The path and kind of each node, by its place and the places of the calls around it.

    Nodes of a repeat have one place: with its name as well, each can be found.
    """
    found: dict[tuple[Any, ...], tuple[str, str]] = {}
    waiting: list[tuple[Graph, str, tuple[Any, ...]]] = [(graph, "", ())]
    met: set[Graph] = set()
    while waiting:
        graph, prefix, calls = waiting.pop()
        for step in graph.steps:
            key = (*calls, step.span)
            found.setdefault(key, (prefix + step.name, step.kind))
            found[*key, step.name] = prefix + step.name, step.kind
            if step.body is not None and step.body not in met:
                met.add(step.body)
                waiting.append((step.body, f"{prefix}{step.name}.", key))
    return found


def _user_line(span: Span | None, calls: Sequence[CallSite]) -> Span | None:
    """The user's own line that asks, outside the blocks of the library."""
    return located(Diagnostic(Code.SHAPE, "", span), calls).span if span else None


def _sizes(asked: Sequence[_Asked], solver: Solver) -> Sizes | None:
    """The sizes that meet all of these; None where their period is too long."""
    sizes = ALL
    try:
        for each in asked:
            sizes &= solver.where(each.condition)
    except Unsolved:
        return None
    return sizes


def _within(some: Sizes, sizes: Sizes) -> bool:
    """Whether one set lies in the other; false where the period is too long to find out."""
    with suppress(Unsolved):
        return some <= sizes
    return False


def _redundant(met: Mapping[Key, Sizes]) -> list[Key]:
    """The groups that follow from the others. Of two that mean the same, the first stays."""
    left, dropped = dict(met), []
    for key in list(met)[::-1]:
        others = ALL
        for other, sizes in left.items():
            if other != key:
                others &= sizes
        if others <= left[key]:
            del left[key]
            dropped.append(key)
    return dropped
