"""Names for the counters of loops: `index`, unless a loop inside counts too and needs both."""

from __future__ import annotations

from typing import Any

from archspec.folding.substitution import substituted
from archspec.folding.template import Group, Loop, Part, Template
from archspec.folding.terms import Name

OUTER = ("stage", "level", "step", "turn", "pass_", "round_")


def with_counters(template: Template) -> Template:
    """The template with names that a reader knows in place of the numbers of its loops."""
    names: dict[str, str] = {}
    taken = {each.name for each in template.parameters} | _walked(template.parts)
    free = [name for name in OUTER if name not in taken]
    for loop, inner in _loops(template.parts):
        deep = any(_uses(each, loop.counter) for each in inner)
        names[loop.counter] = free.pop(0) if deep and free else "index"
    terms = {old: Name(new) for old, new in names.items()}
    return template._replace(parts=substituted(template.parts, terms))


def _walked(parts: tuple[Part, ...]) -> set[str]:
    return {name for loop, _ in _loops(parts) for name in loop.lists}


def _loops(parts: tuple[Part, ...]) -> list[tuple[Loop, list[Loop]]]:
    """All loops, each with those inside it."""
    found: list[tuple[Loop, list[Loop]]] = []
    for part in parts:
        if isinstance(part, Loop):
            inner = _loops(part.parts)
            found += [(part, [loop for loop, _ in inner]), *inner]
        elif isinstance(part.content, Group):
            found += _loops(part.content.parts)
    return found


def _uses(loop: Loop, counter: str) -> bool:
    """Whether what a loop repeats names the counter of a loop around it."""
    return _names(loop.parts, counter)


def _names(value: Any, counter: str) -> bool:
    if isinstance(value, Name):
        return value.name == counter
    if isinstance(value, Template):
        return False
    if isinstance(value, dict):
        return any(_names(each, counter) for each in value.values())
    return isinstance(value, tuple) and any(_names(each, counter) for each in value)
