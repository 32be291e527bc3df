"""A compiled network as a spec that reads well, and is the same network."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.architecture import Architecture
from archspec.diagnostics.diagnostic import SpecError
from archspec.folding.fold import fold
from archspec.folding.tree import List
from archspec.importing.listing import Unwritten
from archspec.importing.standard import standard_lists
from archspec.importing.view import Unseen, seen
from archspec.importing.writing import write
from archspec.ir.facts import first_difference
from archspec.ir.graph import Graph
from archspec.loading import loads


def rewritten(arch: Architecture, *, flat: bool = False, named: bool = True) -> str:
    """The text of a spec that compiles to the same graph.

    With `flat` nothing is left to work out. Unless `named`, blocks lose the names of standard ones.
    Where a class cannot be folded, it is written out in full.
    """
    try:
        trees = seen(arch.graph)
    except Unseen:
        return arch.expand()
    root = trees[arch.graph]
    if not named:
        _hide_names(root)
    known = {} if flat else standard_lists(root, {tree: graph for graph, tree in trees.items()})
    plain: set[str] = set()
    for _ in range(0 if flat else len(_classes(root)) + 1):
        try:
            text = write(fold(root, plain, known), arch.program)
        except Unwritten:
            break
        wrong = _wrong(arch.graph, text)
        if wrong is None:
            return text
        wrong = wrong - plain or _classes(root) - plain
        if not wrong:
            break
        plain |= wrong
    return write(fold(root, flat=True), arch.program)


def _wrong(graph: Graph, text: str) -> set[str] | None:
    """The classes that a text gets wrong, none if it is not known; None where it is the same."""
    try:
        again = loads(text, warn=False).graph
    except SpecError:
        return set()
    visit = first_difference(graph, again)
    return None if visit is None else {visit.graph.block or ""}


def _lists(root: List) -> Iterator[List]:
    seen_: set[List] = set()
    ahead = [root]
    while ahead:
        found = ahead.pop()
        if found not in seen_:
            seen_.add(found)
            yield found
            ahead += [node.content for node in found.nodes if isinstance(node.content, List)]


def _classes(root: List) -> set[str]:
    return {each.of or "" for each in _lists(root)}


def _hide_names(root: List) -> None:
    for each in _lists(root):
        if each.of is not None and each is not root:
            each.of = f"{each.of.title().replace('_', '')}Module"
