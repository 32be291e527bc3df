"""Texts that hold expressions: `$name`, `$(expression)`, and names with expressions in braces."""

from __future__ import annotations

import re

from archspec.diagnostics.diagnostic import Code
from archspec.expressions.evaluate import Env, refuse, type_name
from archspec.expressions.parse import Expression, parse
from archspec.record import Record
from archspec.sizes.size import plain
from archspec.text.limits import DEFAULT, Limits

_INSERT = re.compile(r"\$(?:\((?P<whole>.*)\)|(?P<name>[A-Za-z_]\w*(?:\.\w+|\[[^\]]*\])*))\Z", re.S)


def inserted(text: str) -> str | None:
    """The expression of `$name` or `$(expression)`; None for text without a leading `$`.

    Raises `Refusal` where a `$` does not cover the whole scalar.
    """
    if not text.startswith("$"):
        return None
    match = _INSERT.match(text.rstrip())  # a block scalar ends with a line end
    if not match:
        refuse(
            f"{text[:60]!r}: `$` covers a whole value",
            Code.EXPRESSION,
            expected="$name or $(expression)",
            help=f"$({text[1:].strip('(){} ')})",
        )
    return match["whole"] if match["whole"] is not None else match["name"]


_BRACES = re.compile(r"\{([^{}]*)\}")


class Template(Record):
    """A name that may hold expressions in braces: literal texts and expressions, alternating."""

    text: str
    parts: tuple[str | Expression, ...]

    @property
    def is_fixed(self) -> bool:
        return len(self.parts) == 1 and isinstance(self.parts[0], str)

    @property
    def names(self) -> frozenset[str]:
        """What its expressions read."""
        parts = [part.names for part in self.parts if not isinstance(part, str)]
        return frozenset().union(*parts)

    def render(self, env: Env) -> str:
        """The name; raises `Refusal` where an expression gives neither text nor whole number."""
        if self.is_fixed:
            return self.text
        env.budget.count(len(self.parts))
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            value = plain(part.evaluate(env))
            if value.__class__ not in (int, str):
                refuse(
                    f"{{{part.text}}} gives {type_name(value)}; a name is made of text and whole "
                    "numbers"
                )
            out.append(str(value))
        return "".join(out)


def template(text: str, limits: Limits = DEFAULT) -> Template:
    """Parse a name. Raises `Refusal` for an expression in braces that is none."""
    pieces = _BRACES.split(text)
    parts: list[str | Expression] = []
    for position, piece in enumerate(pieces):
        if position % 2:
            parts.append(parse(piece, limits))
        elif piece or len(pieces) == 1:
            parts.append(piece)
    return Template(text, tuple(parts))
