"""The classes of a network, in an order in which they can be folded."""

from __future__ import annotations

from collections.abc import Container

from archspec.folding.tree import List

_Key = tuple[str, int]
"""A class, and how often it nests within itself below an instance."""


def in_order(root: List, known: Container[List] = ()) -> list[list[List]]:
    """The instances of each class, those inside others first.

    Instances of a class that hold others of it are a class of their own. Lists that are `known`
    are none, nor what is in them.
    """
    members = _members(root, known)
    home = {each: key for key, lists in members.items() for each in lists}
    order: dict[_Key, None] = {}
    ahead: set[_Key] = set()

    def place(key: _Key) -> None:
        if key in order or key in ahead:
            return
        ahead.add(key)
        for each in members[key]:
            for other in _needed(each, home, known):
                place(other)
        order[key] = None

    for key in members:
        place(key)
    return [members[key] for key in order]


def _members(root: List, known: Container[List]) -> dict[_Key, list[List]]:
    members: dict[_Key, list[List]] = {}
    seen: dict[List, dict[str, int]] = {}

    def visit(found: List) -> dict[str, int]:
        """How often each class nests within a list."""
        if found in seen:
            return seen[found]
        inside: dict[str, int] = {}
        for node in found.nodes:
            if isinstance(node.content, List) and node.content not in known:
                for of, times in visit(node.content).items():
                    inside[of] = max(times, inside.get(of, 0))
        if found.of is not None and found is not root:
            number = inside.get(found.of, 0)
            members.setdefault((found.of, number), []).append(found)
            inside = {**inside, found.of: number + 1}
        seen[found] = inside
        return inside

    visit(root)
    return members


def _needed(found: List, home: dict[List, _Key], known: Container[List]) -> list[_Key]:
    """The classes of the instances in a list and in its groups."""
    keys: list[_Key] = []
    for node in found.nodes:
        if isinstance(node.content, List) and node.content not in known:
            key = home.get(node.content)
            keys += _needed(node.content, home, known) if key is None else [key]
    return keys
