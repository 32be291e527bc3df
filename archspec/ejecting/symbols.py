"""Values of the guard: modules as they stand in a tree, and what code computes, as symbols.

Equal computations are one symbol, whoever reads them, so that two programs compare at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from archspec.record import Record


class Differs(Exception):
    """The written program is not the network.

    `path` is the module where it shows, and `classes` are those around it, the innermost first.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.classes: list[str] = []


class Symbol(Record):
    """What is computed, by its number among all that the guard has seen."""

    number: int


class Global(Record):
    """What stands at a path of Python."""

    path: str


class Made:
    """A module, parameter or buffer: a leaf, which `new` makes, or one with children.

    `of` is the class of the file whose instance it is; None for a leaf, a list and a holder.
    `stored` are plain attributes. `extras` are calls that change a leaf, such as weight norm.
    """

    def __init__(self, kind: str = "module", new: Symbol | None = None, of: Any = None) -> None:
        self.kind, self.new, self.of = kind, new, of
        self.is_chain = self.is_list = self.frozen = self.keyless = False
        self.children: dict[str, Made] = {}
        self.stored: dict[str, Any] = {}
        self.extras: list[Symbol] = []

    def in_order(self) -> Iterator[tuple[str, Made]]:
        """The children as the state dict has them: parameters and buffers come first."""
        for kind in ("parameter", "buffer", "module"):
            for name, each in self.children.items():
                if each.kind == kind:
                    yield name, each


class Field(Record):
    """An attribute of a leaf: its weight, mostly."""

    of: Made
    name: str


class Tie(Record):
    """A weight that is that of another module."""

    of: Made
    name: str
    giver: Made
    key: str


class Symbols:
    """Makes symbols. `weightless` are the leaves that have no key, and may stand anywhere."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], Symbol] = {}
        self.weightless: set[Symbol] = set()
        self.paths: dict[int, str] = {}

    def of(self, *parts: Any) -> Symbol:
        """The symbol of what these parts make up."""
        key = tuple(map(self._key, parts))
        return self.known.setdefault(key, Symbol(len(self.known)))

    def leaf(self, made: Made) -> Symbol:
        """What a leaf is, wherever it stands."""
        extras = sorted(made.extras, key=lambda each: each.number)
        return self.of("leaf", made.kind, made.keyless, made.new, *extras)

    def _key(self, value: Any) -> Any:
        if isinstance(value, Symbol):
            return value
        if isinstance(value, Made):
            own = None if value.new is None else self.leaf(value)
            return ("made", own if own in self.weightless else self.paths.get(id(value)))
        if isinstance(value, Field):
            return ("field", self._key(value.of), value.name)
        if isinstance(value, Global):
            return ("global", value.path)
        if isinstance(value, tuple | list):
            return ("items", *map(self._key, value))
        if isinstance(value, dict):
            return ("pairs", *[(key, self._key(each)) for key, each in value.items()])
        if isinstance(value, slice):
            return ("slice", *map(self._key, (value.start or None, value.stop, value.step)))
        return (type(value).__name__, repr(value))


Row = tuple[str, Symbol, bool]
"""A leaf of the tree: its path, what it is, and whether it is frozen."""


def rows(root: Made, symbols: Symbols) -> list[Row]:
    """All leaves with a key, in the order of the state dict. Notes the paths of all modules."""
    found: list[Row] = []

    def visit(made: Made, path: str, frozen: bool) -> None:
        symbols.paths.setdefault(id(made), path)
        frozen |= made.frozen
        if made.new is not None:
            leaf = symbols.leaf(made)
            if leaf not in symbols.weightless:
                found.append((path, leaf, frozen))
        for name, each in made.in_order():
            visit(each, f"{path}.{name}" if path else name, frozen)

    visit(root, "", False)
    return found


def leaves(root: Made, wanted: Callable[[Made], bool]) -> Iterator[Made]:
    """The leaves of a tree that are wanted."""
    if root.new is not None and wanted(root):
        yield root
    for each in root.children.values():
        yield from leaves(each, wanted)
