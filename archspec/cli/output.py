"""Writing results to standard output and diagnostics to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from archspec.diagnostics.diagnostic import Diagnostic, Paint, plain

PLAIN = str.maketrans({"×": "x", "→": ">", "…": "~", "─": "-"})
"""For an output whose encoding lacks these: one letter for one, so that tables keep their form."""


class OutputError(Exception):
    """The output cannot be written, as on a full disk."""


def write(text: str, stream: TextIO | None = None) -> None:
    """Write a text and a line end, whatever the encoding of the stream.

    Raises `OutputError` and `BrokenPipeError`.
    """
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    with _writing():
        stream.write(f"{text}\n")


def flush() -> None:
    """Hand what was written to the system. Raises `OutputError` and `BrokenPipeError`."""
    with _writing():
        sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from None


def write_json(value: Any) -> None:
    """Write plain data as JSON in ASCII."""
    import json

    write(json.dumps(value, indent=2))


def note(command: str, text: str) -> None:
    """Write what a command has to say beside its results to standard error."""
    write(f"archspec {command}: note: {text}", sys.stderr)


def write_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Write diagnostics to standard error, an empty line between two; coloured on a terminal."""
    paint = paint_for(sys.stderr)
    text = "\n\n".join(diagnostic.text(paint) for diagnostic in diagnostics)
    if text:
        write(text, sys.stderr)


_COLOURS = {
    "place": "\x1b[1m",
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "label": "\x1b[36m",
    "help": "\x1b[1;32m",
    "title": "\x1b[1m",
    "faint": "\x1b[2m",
    "row": "",
    "op": "\x1b[36m",
    "warm": "\x1b[33m",
    "hot": "\x1b[31m",
    "block": "\x1b[1m",
    "block op": "\x1b[1;35m",
}
"""Select Graphic Rendition of ECMA-48 for the roles of a diagnostic's and a summary's parts."""


def paint_for(stream: TextIO) -> Paint:
    """Colours for a terminal that can show them; $NO_COLOR and $FORCE_COLOR decide before that."""
    if os.environ.get("NO_COLOR"):
        return plain
    if os.environ.get("FORCE_COLOR"):
        return _coloured
    return _coloured if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" else plain


def _coloured(role: str, text: str) -> str:
    colour = _COLOURS[role]
    return f"{colour}{text}\x1b[0m" if colour and text else text


def columns() -> int:
    """Width for tables: $COLUMNS, or that of the terminal; 80 where there is neither."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and 0 < int(given) < 10_000:
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):  # a pipe, a file, or no stream of the system
        return 80


def padded(text: str, width: int) -> str:
    """The text, filled with spaces to `width` columns of a terminal."""
    return text + " " * (width - columns_of(text))


def columns_of(text: str) -> int:
    """Columns that a terminal takes for it: two for a wide letter, none for a mark on another."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    bare = (letter for letter in text if category(letter) not in ("Mn", "Me", "Cf"))
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in bare)
