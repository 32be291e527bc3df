"""A compiled network as a spec that reads well, and is the same network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from archspec.architecture import Architecture
from archspec.diagnostics.diagnostic import SpecError
from archspec.expand.program import Program
from archspec.expand.write import Unwritten as Unspelled
from archspec.folding.fold import fold
from archspec.folding.tree import List, Value
from archspec.importing.hoisting import hoisted
from archspec.importing.listing import Unwritten
from archspec.importing.standard import standard_lists
from archspec.importing.tidying import with_classes
from archspec.importing.view import Unseen, seen
from archspec.importing.writing import write
from archspec.ir.computed import is_computed, parts
from archspec.ir.facts import first_difference
from archspec.ir.graph import Graph, walk
from archspec.loading import loads
from archspec.record import Record


class Hint(Record):
    """What a network's author knows of a list: its class, numbers by name, notes for readers."""

    of: str
    known: Mapping[str, Value] = {}
    notes: tuple[str, ...] = ()


def rewritten(
    arch: Architecture,
    *,
    flat: bool = False,
    named: bool = True,
    hints: Mapping[str, Hint] | None = None,
    loose: bool = False,
) -> str:
    """The text of a spec that compiles to the same graph. `hints` are those of lists by path.

    With `flat` nothing is left to work out. Unless `named`, blocks lose the names of standard ones.
    Where a class cannot be folded, it is written out in full. Sizes that the spec declares stay
    declared where each number that follows them can be said. Where it may be `loose`, the graph is
    another one with the same results: values that are joined again and again are joined outside.
    """
    change = hoisted if loose else _unchanged
    if arch.sizes:
        with suppress(Unseen, Unwritten, Unspelled, SpecError):
            text = _Rewriter(arch, arch.emitted, arch.program, named, hints or {}, change).text(
                flat
            )
            if _is_alike(arch, text, change):
                return text
    said = {**arch.program.said, "sizes": {}, "input_sizes": None}
    program = arch.program._replace(said=said) if arch.sizes else arch.program
    try:
        return _Rewriter(arch, arch.graph, program, named, hints or {}, change).text(flat)
    except (Unseen, Unwritten):
        return arch.expand()


Change = Callable[[Graph], Graph]


def _unchanged(graph: Graph) -> Graph:
    return graph


class _Rewriter:
    """Writes a graph that a spec was compiled to. `graph` may have formulas for its numbers."""

    def __init__(
        self,
        arch: Architecture,
        graph: Graph,
        program: Program,
        named: bool,
        hints: Mapping[str, Hint],
        change: Change,
    ) -> None:
        self.graph, self.program = change(arch.graph), program
        graph = change(graph)
        told = {
            visit.step.body: hints[visit.path]
            for visit in walk(graph)
            if visit.step.body is not None and visit.path in hints
        }
        trees = seen(
            graph,
            {body: hint.known for body, hint in told.items()},
            {body: hint.notes for body, hint in told.items()},
        )
        for body, hint in told.items():
            trees[body].of = hint.of
        self.root = trees[graph]
        if not named:
            _hide_names(self.root)
        plain = _same_lists(graph, self.graph)
        self.graphs = {tree: plain[body] for body, tree in trees.items()}
        self.follows = {tree for body, tree in trees.items() if _follows(body)}

    def text(self, flat: bool) -> str:
        """The text. Raises `Unwritten`."""
        known = {} if flat else standard_lists(self.root, self.graphs, self.follows)
        plain: set[str] = set()
        classes = {each.of or "" for each in _lists(self.root)}
        for _ in range(0 if flat else len(classes) + 1):
            try:
                root = with_classes(fold(self.root, plain, known), self.graph)
                text = write(root, self.program)
            except Unwritten:
                break
            wrong = _wrong(self.graph, text)
            if wrong is None:
                return text
            wrong = wrong - plain or classes - plain
            if not wrong:
                break
            plain |= wrong
        return write(fold(self.root, flat=True), self.program)


def _same_lists(graph: Graph, other: Graph) -> dict[Graph, Graph]:
    """For each list of a graph that of another one that differs in its numbers alone."""
    found = {graph: other}
    for one, two in zip(walk(graph), walk(other), strict=True):
        if one.step.body is not None and two.step.body is not None:
            found[one.step.body] = two.step.body
    return found


def _follows(graph: Graph) -> bool:
    """Whether a number in a list follows sizes of values."""
    ops = [v.step.op for v in walk(graph) if v.step.op is not None]
    return any(is_computed(part) for op in ops for part in parts(vars(op)))


def _is_alike(arch: Architecture, text: str, change: Change) -> bool:
    """Whether a text is the same network at other sizes too."""
    again = loads(text, warn=False)
    contract = arch.contract()
    for more in (1, 5, 32):
        sizes = {name: size + more * (i + 1) for i, (name, size) in enumerate(arch.sizes.items())}
        if contract.accepts(**sizes):
            one, two = (each.variant(sizes=sizes).graph for each in (arch, again))
            if first_difference(change(one), two) is not None:
                return False
    return True


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


def _hide_names(root: List) -> None:
    for each in _lists(root):
        if each.of is not None and each is not root:
            each.of = f"{each.of.title().replace('_', '')}Module"
