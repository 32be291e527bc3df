"""What the writers of constructors ask of the parts of a template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from archspec.ejecting.members import Unsayable
from archspec.ejecting.terms import source
from archspec.folding.template import Entry, Group, Loop, Part
from archspec.folding.terms import Constant, Term, Text
from archspec.folding.tree import INPUT, Edge


def is_weightless(part: Part) -> bool:
    """Whether it is a module without weights and without a name, which may bear any."""
    return isinstance(part, Entry) and part.name is None and "weightless" in part.marks


def class_word(made: str) -> str:
    """A name for a module: `relu` for `nn.ReLU()`, `avg_pool` for `nn.AdaptiveAvgPool2d(1)`."""
    name = made.partition("(")[0].rpartition(".")[2].removeprefix("Adaptive")
    plain = re.sub(r"\dd\Z", "", name)
    if re.search(r"LU\d?\Z", plain):
        return plain.lower()
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2,})", "_", plain).lower()


def top_names(parts: Sequence[Part]) -> Iterator[str]:
    """The names, and beginnings of names, that children of a list have."""
    for part in parts:
        if isinstance(part.name, Constant):
            yield str(part.name.value).partition(".")[0]
        elif isinstance(part.name, Text) and isinstance(part.name.parts[0], str):
            yield part.name.parts[0].partition(".")[0]


def iteration_entry(loop: Loop) -> Entry:
    """An iteration as one entry."""
    if len(loop.parts) == 1 and isinstance(loop.parts[0], Entry):
        return loop.parts[0]
    reads = tuple([Edge(INPUT, number) for number in range(len(loop.reads))])
    return Entry(None, Group(loop.parts, loop.outputs), reads, len(loop.outputs))


def moves(part: Part) -> bool:
    """Whether the positions behind a part depend on numbers."""
    return part.when is not None or (isinstance(part, Loop) and part.name is None)


def grows(part: Part) -> bool:
    """Whether statements make a part: a loop, a condition, or a chain that has one."""
    if moves(part) or isinstance(part, Loop):
        return True
    return isinstance(part.content, Group) and any(map(grows, part.content.parts))


def flattened(parts: Sequence[Part]) -> Iterator[Part]:
    """All parts, those of loops among them."""
    for part in parts:
        if isinstance(part, Loop) and part.name is None:
            yield from flattened(part.parts)
        else:
            yield part


def fixed_name(entry: Entry, position: int) -> str:
    """The key of a child in a chain that is written at once."""
    if entry.name is None:
        return str(position)
    if not isinstance(entry.name, Constant):
        raise Unsayable("a name that depends on numbers within an expression")
    return str(entry.name.value)


def key_source(name: Term | None, spell: Any) -> str:
    """Source of the key of a child."""
    assert name is not None
    return f'"{name.value}"' if isinstance(name, Constant) else source(_as_text(name), spell)


def _as_text(name: Term) -> Text:
    return name if isinstance(name, Text) else Text((name,))


def words(text: str) -> list[str]:
    """The names in a text of Python."""
    return re.findall(r"[A-Za-z_]\w*", text)
