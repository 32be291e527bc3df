"""Names that people and systems gave, fit to be shown."""

from __future__ import annotations

from unicodedata import category

JOINERS = "\u200c\u200d"
"""Letters of some scripts, and emoji, are joined or kept apart by these."""


def one_line(text: str) -> str:
    """`text` with what would break a line, steer a terminal or cannot be encoded, escaped.

    >>> print(one_line("a\\nb"))
    a\\nb
    """
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or category(character) == "Zs" or character in JOINERS:
        return character
    return character.encode("unicode_escape").decode()
