"""Writing results to standard output and diagnostics to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from archspec.diagnostics.diagnostic import Code, Diagnostic, SpecError, plain

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


def write_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Write diagnostics to standard error, an empty line between two; coloured on a terminal."""
    paint = coloured if wants_colour(sys.stderr) else plain
    text = "\n\n".join(diagnostic.text(paint) for diagnostic in diagnostics)
    if text:
        write(text, sys.stderr)


_COLOURS = {
    "place": "\x1b[1m",
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "label": "\x1b[36m",
    "help": "\x1b[1;32m",
}
"""Select Graphic Rendition of ECMA-48 for the roles of a diagnostic's parts."""


def coloured(role: str, text: str) -> str:
    """A part of a diagnostic in the colour of its role."""
    return f"{_COLOURS[role]}{text}\x1b[0m"


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour: on a terminal that can, unless $NO_COLOR says otherwise."""
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def diagnostics_of(error: SpecError | OSError) -> list[Diagnostic]:
    """What is wrong, also where a file cannot be read at all."""
    if isinstance(error, SpecError):
        return list(error.diagnostics)
    reason = error.strerror or str(error)
    return [Diagnostic(Code.FILE, f"cannot read {error.filename}: {reason}")]


def columns() -> int:
    """Width for plain tables: $COLUMNS, or 80. A pipe has none of its own."""
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and 0 < int(given) < 10_000 else 80
