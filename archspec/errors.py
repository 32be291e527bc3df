"""Places in a text, diagnostics about them, and the one exception that carries them.

Everything a user can do wrong ends in a `SpecError`. Code that knows no place (a shape rule, an
expression) raises `Refusal`; the stage that knows the place turns it into a `Diagnostic`, once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple


class Code(StrEnum):
    """Stable identifiers of diagnostics; the hundreds name the stage that finds the mistake."""

    # 1xx: the text is not the YAML that a spec is written in
    YAML = "AS101"
    ENCODING = "AS102"
    DUPLICATE_KEY = "AS103"
    YAML_FEATURE = "AS104"
    SCALAR = "AS105"
    # 2xx: the document has not the form of a spec
    STRUCTURE = "AS201"
    UNKNOWN_KEY = "AS202"
    MISSING_KEY = "AS203"
    UNKNOWN_OP = "AS204"
    ARGUMENT = "AS205"
    UNKNOWN_ARGUMENT = "AS206"
    MISSING_ARGUMENT = "AS207"
    NAME = "AS208"
    DUPLICATE_NAME = "AS209"
    VERSION = "AS210"
    # 3xx: expressions and parameters
    EXPRESSION = "AS301"
    UNKNOWN_NAME = "AS302"
    EVALUATION = "AS303"
    PARAMETER = "AS304"
    UNKNOWN_PARAMETER = "AS305"
    REPEAT = "AS306"
    # 4xx: shapes
    SHAPE = "AS401"
    RANK = "AS402"
    EMPTY = "AS403"
    UNBATCHED = "AS404"
    MIXES_BATCH = "AS405"
    # 5xx: edges
    UNKNOWN_NODE = "AS501"
    FORWARD_REFERENCE = "AS502"
    OUTPUT_INDEX = "AS503"
    ARITY = "AS504"
    OUTPUTS = "AS505"
    TRAINING_ONLY = "AS506"
    SHARE = "AS507"
    # 6xx: other files and blocks
    FILE = "AS601"
    EXTENDS = "AS602"
    PATCH = "AS603"
    BLOCK_CYCLE = "AS604"
    OUTSIDE = "AS605"
    # 7xx: limits
    LIMIT = "AS701"
    # 8xx: real runs
    WEIGHTS = "AS801"
    # 9xx: warnings
    UNREAD_NODE = "AS901"
    UNUSED_PARAMETER = "AS902"


class Source(NamedTuple):
    """A text and the name it is shown under."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Line `number` (from 1) without its line end; empty when there is none."""
        lines = self.text.split("\n", number)
        return lines[number - 1].rstrip("\r") if number <= len(lines) else ""


class Span(NamedTuple):
    """A stretch of a source text. Lines and columns count from 1; the end is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


class Refusal(Exception):
    """What is wrong, said by code that does not know where. Never reaches a user as it is."""

    def __init__(
        self,
        message: str,
        *,
        code: Code = Code.SHAPE,
        expected: str | None = None,
        found: str | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.code = message, code
        self.expected, self.found, self.help = expected, found, help


@dataclass(frozen=True, slots=True)
class Note:
    """A further place that explains a diagnostic: a producer with its shape, a calling block."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake (or warning), with its place and what would mend it."""

    code: Code
    message: str
    span: Span | None = None
    severity: str = "error"
    expected: str | None = None
    found: str | None = None
    help: str | None = None
    trail: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = field(default=())

    @classmethod
    def of(cls, refusal: Refusal, span: Span | None, **more: Any) -> Diagnostic:
        """The diagnostic that a refusal becomes at `span`."""
        return cls(
            code=refusal.code,
            message=refusal.message,
            span=span,
            expected=refusal.expected,
            found=refusal.found,
            help=refusal.help,
            **more,
        )

    def with_notes(self, *notes: Note) -> Diagnostic:
        return replace(self, notes=self.notes + notes)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterable[str]:
        place = f"{self.span}: " if self.span else ""
        yield f"{place}{self.severity} {self.code}: {self.message}"
        if self.span:
            yield from excerpt(self.span)
        if self.expected:
            yield f"  expected: {self.expected}"
        if self.found:
            yield f"  found:    {self.found}"
        for title, notes in (("trail", self.trail), ("note", self.notes)):
            for note in notes:
                where = f" ({note.span})" if note.span else ""
                yield f"  {title}: {note.message}{where}"
        if self.help:
            yield f"  help: {self.help}"

    def as_dict(self) -> dict[str, Any]:
        """The diagnostic as plain data for JSON output."""

        def place(span: Span | None) -> dict[str, Any] | None:
            return span and {
                "file": span.source.name,
                "line": span.line,
                "column": span.column,
                "end_line": span.end_line,
                "end_column": span.end_column,
            }

        def notes(items: Sequence[Note]) -> list[dict[str, Any]]:
            return [{"message": n.message, "span": place(n.span)} for n in items]

        return {
            "code": str(self.code),
            "severity": self.severity,
            "message": self.message,
            "span": place(self.span),
            "expected": self.expected,
            "found": self.found,
            "help": self.help,
            "trail": notes(self.trail),
            "notes": notes(self.notes),
        }


def excerpt(span: Span, width: int = 100) -> list[str]:
    """The source line of `span` with carets under it, cut to `width` around them."""
    line = span.source.line(span.line)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    start = min(span.column, len(line) + 1)
    count = max(1, min(end, len(line) + 1) - start)
    first = max(0, start - 1 - width // 2)
    shown = line[first : first + width]
    # Tabs and other controls would misplace the caret (or drive the terminal).
    shown = "".join(c if c.isprintable() else " " for c in shown)
    number = str(span.line)
    carets = " " * (start - 1 - first) + "^" * min(count, max(1, width - (start - 1 - first)))
    return [f"  {number} | {shown}", f"  {' ' * len(number)} | {carets}"]


class SpecError(Exception):
    """A spec is wrong. `diagnostics` says where and why; the message holds them all."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return "\n\n".join(str(d) for d in self.diagnostics)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A help text naming the nearest known word, or None where nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None
