"""Reading command lines in which everything is written in full, which most are.

argparse, with its translations, takes as long to load as a small spec to check. It reads all other
lines, and says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archspec.cli.command import Command, Option


def read_plainly(command: Command, given: Sequence[str]) -> dict[str, Any] | None:
    """The values as argparse would read them, by field; None where it must look itself."""
    options = {name: option for option in command.options for name in option.names}
    values: dict[str, Any] = {}
    for option in command.options:
        values.setdefault(option.field, _absent(option))
    words: list[str] = []
    left, is_behind_words = iter(given), False
    for text in left:
        if text.startswith("-") and text != "-":
            is_behind_words = bool(words)
            if text not in options or not _read(options[text], left, values):
                return None
        elif is_behind_words:  # words in two places
            return None
        else:
            words.append(text)
    slots = [option for option in command.options if option.is_word]
    if not slots and not words:
        return values
    if len(slots) != 1 or slots[0].choices or not words:
        return None
    if slots[0].nargs == "+":
        return {**values, slots[0].field: words}
    if slots[0].nargs is None and len(words) == 1:
        return {**values, slots[0].field: words[0]}
    return None


def _absent(option: Option) -> Any:
    if option.action == "store_true":
        return False
    return [] if option.repeats else option.default


def _read(option: Option, left: Iterator[str], values: dict[str, Any]) -> bool:
    """Reads an option's value, if it has one, from what is left; whether that was plain."""
    value: Any = True if option.const is None else option.const
    if not option.is_switch:
        value = next(left, "")
        if not value or value.startswith("-") or (option.choices and value not in option.choices):
            return False
        value = option.type(value) if option.type else value
    if value is None or option.alone:
        return False
    values[option.field] = [*values[option.field], value] if option.repeats else value
    return True
