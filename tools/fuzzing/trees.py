"""Documents as plain trees that can be changed freely and written as YAML again.

A `Pairs` may hold a key twice, unlike a dict. A scalar is a Python value. Text is written without
quotes if YAML would read it back as that text. A `Raw` is written as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_PLAIN = re.compile(r"[A-Za-z_$][^#:\n,\[\]{}&*!|>%@`\"'?]*(?<! )\Z")
_FLOW_DEPTH = 6


class Raw(str):
    """Text that is written without quotes, whatever it holds."""

    __slots__ = ()


class Pairs(list[list[Any]]):
    """A mapping as a list of `[key, value]`."""


class Slot(NamedTuple):
    """A place in a tree: an element of a list, or the value of a pair."""

    holder: list[Any]
    at: int

    @property
    def value(self) -> Any:
        found = self.holder[self.at]
        return found[1] if isinstance(self.holder, Pairs) else found

    @property
    def key(self) -> str | None:
        return str(self.holder[self.at][0]) if isinstance(self.holder, Pairs) else None

    def set(self, value: Any) -> None:
        if isinstance(self.holder, Pairs):
            self.holder[self.at] = [self.holder[self.at][0], value]
        else:
            self.holder[self.at] = value


def tree(data: Any) -> Any:
    """Plain data as a tree of its own."""
    if isinstance(data, dict):
        return Pairs([key, tree(value)] for key, value in data.items())
    if isinstance(data, Pairs):
        return Pairs([key, tree(value)] for key, value in data)
    if isinstance(data, list | tuple):
        return [tree(item) for item in data]
    return data


def slots(node: Any) -> Iterator[Slot]:
    """Every place in the tree, outer ones first."""
    stack = [node]
    while stack:
        holder = stack.pop()
        if isinstance(holder, list):
            found = [Slot(holder, index) for index in range(len(holder))]
            yield from found
            stack.extend(slot.value for slot in reversed(found))


def depth(node: Any) -> int:
    """The depth of the deepest list."""
    deepest, level = 0, [node]
    while lists := [item for item in level if isinstance(item, list)]:
        level = [item for each in lists for item in each]
        deepest += 1
    return deepest


def write(node: Any) -> str:
    """The tree as YAML: block style on the outside, flow style within nodes and deep down."""
    return "\n".join(_lines(node, "", 0)) + "\n"


def _lines(node: Any, indent: str, depth: int) -> Iterator[str]:
    if not isinstance(node, list) or not node or depth >= _FLOW_DEPTH:
        yield indent + flow(node)
        return
    for item in node:
        lead, value = "- ", item
        if isinstance(node, Pairs):
            lead, value = f"{_key(item[0])}: ", item[1]
        inner = list(_lines(value, indent + "  ", depth + 1))
        if not isinstance(value, list) or not value or depth + 1 >= _FLOW_DEPTH:
            yield indent + lead + inner[0].lstrip(" ")
        elif isinstance(node, Pairs):
            yield indent + lead.rstrip()
            yield from inner
        else:
            yield indent + "- " + inner[0][len(indent) + 2 :]
            yield from inner[1:]


def flow(node: Any) -> str:
    """The tree on one line."""
    if isinstance(node, Pairs):
        return "{" + ", ".join(f"{_key(k)}: {flow(v)}" for k, v in node) + "}"
    if isinstance(node, list):
        return f"[{', '.join(map(flow, node))}]"
    return _scalar(node)


def _key(key: Any) -> str:
    return flow(key)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, str):
        plain = _PLAIN.match(value) and value not in ("true", "false", "null")
        return value if plain else json.dumps(value, ensure_ascii=False)
    return repr(value)
