"""Names of one list, which are paths: what an edge names, and which names exclude each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from archspec.document.records import PatchItem
from archspec.expressions.names import MAX_NAME
from archspec.record import Record

_EDGE = re.compile(r"(?P<path>[^\[\]]+)(?:\[(?P<output>[^\[\]]*)\])?")


class Edge(Record):
    """An edge, split: the longest name of the list that it begins with, and what is left of it.

    `rest` is an iteration of that loop (`2`, or `*` for all) or a parameter of that node; it is
    empty where the edge is a name. `output` stands between the brackets, if there are any.
    """

    name: str
    rest: str
    output: str | None

    @property
    def path(self) -> str:
        """What stands before the brackets."""
        return f"{self.name}.{self.rest}" if self.name and self.rest else self.name or self.rest


def split_edge(text: str, is_name: Callable[[str], bool]) -> Edge:
    """Every edge is read by this; `is_name` says what the list calls a value.

    No name of a list is the beginning of another, so there is one reading. The name is empty
    where the list has none that the edge begins with.
    """
    found = _EDGE.fullmatch(text)
    path, output = (found["path"], found["output"]) if found else (text, None)
    if is_name(path):
        return Edge(path, "", output)
    end = len(path)
    while (end := path.rfind(".", 0, end)) > 0:
        if end <= MAX_NAME and is_name(path[:end]):
            return Edge(path[:end], path[end + 1 :], output)
    return Edge("", path, output)


def beginnings(name: str) -> Iterable[str]:
    """What stands before each dot of a name: `a` and `a.b` of `a.b.c`."""
    end = name.find(".")
    while end > 0:
        yield name[:end]
        end = name.find(".", end + 1)


def number_after(start: str, name: str) -> int | None:
    """The number n of a name that is `start.n`; None for any other name."""
    rest = name[len(start) + 1 :] if name.startswith(f"{start}.") else ""
    return iteration(rest)


def iteration(text: str) -> int | None:
    """The number that a text is, as paths write it: without zeros before it."""
    if text.isascii() and text.isdecimal() and len(text) <= 9 and str(int(text)) == text:
        return int(text)
    return None


class PatchTree:
    """The patches below one path: those of the path itself, and those below it by their parts."""

    def __init__(self) -> None:
        self.items: list[PatchItem] = []
        self.children: dict[str, PatchTree] = {}

    @classmethod
    def of(cls, items: Iterable[PatchItem]) -> PatchTree:
        root = cls()
        for item in items:
            tree = root
            for part in item.path.split("."):
                tree = tree.children.setdefault(part, cls())
            tree.items.append(item)
        return root

    def at(self, name: str) -> PatchTree | None:
        """The patches of the node that its list calls so, and below it."""
        tree: PatchTree | None = self
        for part in name.split("."):
            tree = tree.children.get(part) if tree else None
        return tree
