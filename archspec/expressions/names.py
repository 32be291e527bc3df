"""Which names a node, a parameter or an input may bear."""

from __future__ import annotations

import keyword
import re

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.expressions.functions import RESERVED

_PART = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_NODE_NAME = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
MAX_NAME = 200


def check_node_name(name: str) -> None:
    """Refuse what cannot be a part of a module path, or several with dots between them."""
    if not _NODE_NAME.match(name):
        raise Refusal(
            f"{name[:60]!r} cannot name a node",
            code=Code.NAME,
            expected="letters, digits, _ and -, not beginning with -; dots between parts of a path",
            help=_plain_form(name),
        )
    _check_length(name)
    if name == "input" or name.startswith("input."):
        raise Refusal(
            "'input' stands for the list's own input and cannot name a node",
            code=Code.NAME,
            help=f"call it input_{name.removeprefix('input')}",
        )


def check_input_name(name: str) -> None:
    """Refuse what cannot name an input, which generated code has as a variable."""
    check_identifier(name, "an input")
    _check_length(name)
    if name == "self" or name[:2] == name[-2:] == "__":
        raise Refusal(
            f"{name!r} means something else in the code of the network",
            code=Code.NAME,
            help=f"call it {name.strip('_')}_in",
        )


def _check_length(name: str) -> None:
    if len(name) > MAX_NAME:
        raise Refusal(
            f"a name of {len(name)} characters", code=Code.NAME, expected=f"at most {MAX_NAME}"
        )


def check_identifier(name: str, what: str) -> None:
    """Refuse what cannot name a parameter, a loop variable or an input."""
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise Refusal(
            f"{name[:60]!r} cannot name {what}",
            code=Code.NAME,
            expected="letters, digits and _, not beginning with a digit, and no Python keyword",
            help=_plain_form(name),
        )
    if name in RESERVED:
        raise Refusal(
            f"{name!r} is a name of the language and cannot name {what}",
            code=Code.NAME,
            help=f"call it {name}_",
        )


def _plain_form(name: str) -> str | None:
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    return f"call it {plain}" if plain and plain != name and len(plain) <= 60 else None
