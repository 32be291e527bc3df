"""Applies the edits that diagnostics are certain of, and nothing else, to a spec's text.

Only the characters of an edit change: comments, layout and line ends stay as they are.
"""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from archspec.diagnostics.diagnostic import Diagnostic, Edit, Source, line_starts
from archspec.record import Record

MAX_ROUNDS = 10
"""One mistake may hide another: a text is checked and fixed again, at most so many times."""

Check = Callable[[Source], Sequence[Diagnostic]]
"""The mistakes of a text."""


class Change(Record):
    """One applied edit: its line (as it was when the edit was made), and the text it changed."""

    line: int
    before: str
    after: str


def fixed(source: Source, check: Check) -> tuple[Source, list[Change]]:
    """The text with every certain edit made, and the edits; the same text where there is none."""
    changes: list[Change] = []
    for _ in range(MAX_ROUNDS):
        edits = _own_edits(source, check(source))
        if not edits:
            break
        text, made = apply(source, edits)
        changes += made
        source = source._replace(text=text)
    return source, changes


def _own_edits(source: Source, diagnostics: Iterable[Diagnostic]) -> list[Edit]:
    return [
        edit
        for diagnostic in diagnostics
        for edit in diagnostic.edits
        if edit.span.source == source
    ]


def apply(source: Source, edits: Iterable[Edit]) -> tuple[str, list[Change]]:
    """The text after the edits, from the first on; one that overlaps an earlier one is left out."""
    starts = line_starts(source.text)
    parts: list[str] = []
    changes: list[Change] = []
    end = 0
    for edit in sorted(set(edits), key=lambda e: (e.span.line, e.span.column)):
        span = edit.span
        start = starts[span.line - 1] + span.column - 1
        stop = starts[span.end_line - 1] + span.end_column - 1
        if start < end:
            continue
        parts += [source.text[end:start], edit.replacement]
        changes.append(Change(span.line, source.text[start:stop], edit.replacement))
        end = stop
    return "".join(parts) + source.text[end:], changes


def write_whole(path: Path, text: str) -> None:
    """Replaces a file's text, wholly or not at all, whatever happens meanwhile.

    Its permissions stay, a byte order mark too, and a symbolic link goes on pointing to the file.
    Raises `OSError`.
    """
    path = path.resolve()
    mark = codecs.BOM_UTF8
    with path.open("rb") as file:
        marked = file.read(3) == mark
        mode = os.fstat(file.fileno()).st_mode
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write((mark if marked else b"") + text.encode("utf-8"))
            file.flush()
            os.fchmod(file.fileno(), mode & 0o7777)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes the new name durable, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
