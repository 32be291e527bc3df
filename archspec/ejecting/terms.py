"""Terms of a folded list as Python source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.folding.terms import (
    Binary,
    Conditional,
    Constant,
    Field,
    Item,
    Name,
    Sequence,
    Term,
    Text,
)

_STRENGTH = {
    **dict.fromkeys(("or",), 1),
    **dict.fromkeys(("and",), 2),
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/", "//", "%"), 6),
    "**": 8,
}
"""How firmly operators bind. A conditional binds least."""

Spell = Callable[[str], str]
"""Spells a name where it is read: as it is, or as an attribute of `self`."""


def source(term: Term, spell: Spell = str, strength: int = 0) -> str:
    """The term, in brackets where what stands around it binds more firmly."""
    if isinstance(term, Constant):
        text = literal(term.value)
        return f"({text})" if text.startswith("-") and strength > 6 else text
    if isinstance(term, Name):
        return spell(term.name)
    if isinstance(term, Binary):
        own = _STRENGTH[term.operator]
        left, right = source(term.left, spell, own), source(term.right, spell, own + 1)
        made = f"{left} {term.operator} {right}"
        return f"({made})" if own < strength else made
    if isinstance(term, Conditional):
        if _is_truth(term.then, True, False) and _is_truth(term.otherwise, True, False):
            return _truth(term, spell, strength)
        then, condition = source(term.then, spell, 1), source(term.condition, spell, 1)
        made = f"{then} if {condition} else {source(term.otherwise, spell)}"
        return f"({made})" if strength else made
    if isinstance(term, Item):
        return f"{source(term.of, spell, 9)}[{source(term.position, spell)}]"
    if isinstance(term, Field):
        return f'{source(term.of, spell, 9)}["{term.name}"]'
    if isinstance(term, Sequence):
        inside = ", ".join([source(item, spell) for item in term.items])
        return f"({inside}{',' * (len(term.items) == 1)})"
    return f'f"{text_source(term, spell)}"'


def _is_truth(term: Term, *values: bool) -> bool:
    return isinstance(term, Constant) and any(term.value is value for value in values)


def _truth(term: Conditional, spell: Spell, strength: int) -> str:
    """A condition, or its opposite."""
    condition = term.condition
    if _is_truth(term.then, True):
        return source(condition, spell, strength)
    opposite = {"==": "!=", "!=": "==", "<": ">=", ">": "<=", "<=": ">", ">=": "<"}
    if isinstance(condition, Binary) and condition.operator in opposite:
        changed = condition._replace(operator=opposite[condition.operator])
        return source(changed, spell, strength)
    made = f"not {source(condition, spell, 3)}"
    return f"({made})" if strength > 3 else made


def text_source(text: Text, spell: Spell = str) -> str:
    """What stands between the quotation marks of the text."""
    return "".join(
        [
            part.replace("{", "{{").replace("}", "}}")
            if isinstance(part, str)
            else f"{{{source(part, spell)}}}"
            for part in text.parts
        ]
    )


def literal(value: Any) -> str:
    """A value as a literal, as formatters write it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, str):
        text = repr(value)
        plain = text[0] == "'" and '"' not in text and "\\" not in text
        return f'"{text[1:-1]}"' if plain else text
    return repr(value)


def names(term: Term) -> set[str]:
    """All names that a term reads."""
    if isinstance(term, Name):
        return {term.name}
    if isinstance(term, Constant):
        return set()
    parts: list[Term]
    if isinstance(term, Binary):
        parts = [term.left, term.right]
    elif isinstance(term, Conditional):
        parts = [term.condition, term.then, term.otherwise]
    elif isinstance(term, Item):
        parts = [term.of, term.position]
    elif isinstance(term, Field):
        parts = [term.of]
    elif isinstance(term, Sequence):
        parts = list(term.items)
    else:
        parts = [part for part in term.parts if not isinstance(part, str)]
    return set().union(*map(names, parts)) if parts else set()
