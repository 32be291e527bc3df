"""What a leaf of the tree is in Python, as text with places for its values and numbers.

A phrase has two sides: what makes the child of a module, and what applies it. Both together are the
`kind` of a leaf, so that nodes that differ in more than their numbers are never one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from archspec.folding.tree import Value
from archspec.record import Record

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"|(?P<axis>(?:\.shape\[|\.size\()\d+)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    r"|(?P<brace>[{}])"
)
_ARGUMENT = re.compile(r"([a-z_]\w*)=-?\(?\Z")
_CALL = re.compile(r"\.([a-z_]+)\([^()]*\Z")
_PLACE = re.compile(r"v(\d+)_\Z")


class Phrase(Record):
    """`path` is a class or a function that makes the child, with the leaf's values as arguments.

    `tensor` is the source of a tensor instead. `call` applies the child, or is all there is.
    Places are `{own}` for the child, `{0}` for a value, and `{dim}` for a number by its name.
    """

    path: str
    tensor: str
    call: str

    @property
    def kind(self) -> str:
        return f"{self.path}|{self.tensor}|{self.call}"

    @classmethod
    def of(cls, kind: str) -> Phrase:
        """The phrase of a leaf's kind."""
        path, _, rest = kind.partition("|")
        tensor, _, call = rest.partition("|") if not rest.startswith("|") else ("", "", rest[1:])
        return cls(path, tensor, call)


def place(number: int) -> str:
    """A variable in the place of a value, which `with_places` finds again."""
    return f"v{number}_"


def with_places(source: str, taken: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:
    """The source with a place for each number and value, and the numbers by the names of places.

    `taken` are names that other numbers of the leaf have. Sizes of axes stay as they are.
    """
    numbers: dict[str, Value] = {}

    def replaced(found: re.Match[str]) -> str:
        if (text := found["text"]) is not None:
            return _quoted(text).replace("{", "{{").replace("}", "}}")
        if (word := found["word"]) is not None:
            value = _PLACE.match(word)
            return f"{{{value[1]}}}" if value else "{own}" if word == "own_" else word
        if (number := found["number"]) is not None:
            before = source[: found.start()]
            name = _free(_named(before), {**taken, **numbers})
            numbers[name] = int(number) if number.isdigit() else float(number)
            return f"{{{name}}}"
        return found[0] * 2 if found["brace"] else found[0]

    return _TOKEN.sub(replaced, source), numbers


def _named(before: str) -> str:
    """A name for the number that comes next: the argument's, or that of what is called."""
    if found := _ARGUMENT.search(before):
        return found[1]
    call = _CALL.search(before)
    return (
        {"permute": "axis", "unsqueeze": "dim", "squeeze": "dim"}.get(call[1], "size")
        if call
        else "size"
    )


def _free(name: str, taken: Mapping[str, Value]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def _quoted(text: str) -> str:
    """A literal with the quotation marks that formatters prefer."""
    plain = text[0] == "'" and '"' not in text and "\\" not in text
    return f'"{text[1:-1]}"' if plain else text
