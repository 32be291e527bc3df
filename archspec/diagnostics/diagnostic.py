"""Places in a text, diagnostics about them, and the one exception that carries them.

Everything a user can do wrong ends in a `SpecError`. Code that knows no place (a shape rule, an
expression) raises `Refusal`; the stage that knows the place turns it into a `Diagnostic`, once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

from archspec.record import Record


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
    SINGLE_VALUE = "AS406"
    DTYPE = "AS407"
    # 5xx: edges
    UNKNOWN_NODE = "AS501"
    FORWARD_REFERENCE = "AS502"
    OUTPUT_INDEX = "AS503"
    ARITY = "AS504"
    OUTPUTS = "AS505"
    TRAINING_ONLY = "AS506"
    SHARE = "AS507"
    ABSENT = "AS508"
    # 6xx: other files and blocks
    FILE = "AS601"
    EXTENDS = "AS602"
    PATCH = "AS603"
    BLOCK_CYCLE = "AS604"
    OUTSIDE = "AS605"
    # 7xx: limits
    LIMIT = "AS701"
    # 8xx: what is not in the text: other packages' modules, weights, exports, Python in and out
    MODULE = "AS801"
    WEIGHTS = "AS802"
    EXPORT = "AS803"
    IMPORT = "AS804"
    EJECT = "AS805"
    # 9xx: warnings
    UNREAD_NODE = "AS901"
    UNUSED_PARAMETER = "AS902"
    BIAS_BEFORE_NORM = "AS903"
    REPEATED_ACTIVATION = "AS904"
    DROPOUT_AT_END = "AS905"
    REPEATED_INPUT = "AS906"
    LINEAR_ON_IMAGE = "AS907"
    UNREAD_INPUT = "AS908"
    ONE_VALUE_NORMALISED = "AS909"
    CHANNELS_LAST = "AS910"
    HIDDEN_OP = "AS911"

    @property
    def is_shape(self) -> bool:
        """Whether a shape rule refuses: the producers of the shapes are shown with it."""
        return self.startswith("AS4")

    @property
    def is_warning(self) -> bool:
        """Whether it may be ignored: a network compiles in spite of it."""
        return self.startswith("AS9")


class Source(Record):
    """A text and the name it is shown under. `library` texts come with archspec or a package."""

    name: str
    text: str
    library: bool = False

    def __repr__(self) -> str:
        return f"<Source {self.name}: {len(self.text):,} characters>"

    def line(self, number: int) -> str:
        """Line `number` (from 1) without its line end; empty when there is none."""
        starts = line_starts(self.text)
        if number > len(starts):
            return ""
        end = starts[number] if number < len(starts) else None
        return self.text[starts[number - 1] : end].rstrip("\r\n\x85\u2028\u2029")


_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What ends a line in YAML 1.1, by which libyaml counts them."""


@lru_cache(maxsize=4)
def line_starts(text: str) -> list[int]:
    """Where each line begins. Found once: a text of many lines may earn a diagnostic for each."""
    return [0, *(match.end() for match in _LINE_BREAK.finditer(text))]


class Span(Record):
    """A stretch of a source text. Lines and columns count from 1; the end is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{printable(self.source.name)}:{self.line}:{self.column}"


class Edit(Record):
    """A change to a text that is certainly right: `replacement` in the place of `span`."""

    span: Span
    replacement: str


class Help(Record):
    """What would help: a line for people, and the edits that certainly fix the mistake."""

    text: str | None
    edits: tuple[Edit, ...] = ()

    def or_else(self, text: str) -> Help:
        """The same, with another line where it has none."""
        return self._replace(text=self.text or text)


class Refusal(Exception):
    """What is wrong, said by code that does not know where. Never reaches a user as it is.

    `replacement` is what must stand at the place instead, where that is certain. `too_small`
    names the axis of the input (height, width) that a window did not fit.
    """

    def __init__(
        self,
        message: str,
        *,
        code: Code = Code.SHAPE,
        expected: str | None = None,
        found: str | None = None,
        help: str | None = None,
        replacement: str | None = None,
        too_small: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.code = message, code
        self.expected, self.found, self.help = expected, found, help
        self.replacement, self.too_small = replacement, too_small

    def but(self, message: str | None = None, *, help: str | None, whole: bool = True) -> Refusal:
        """Another refusal for the same reason, with this help, and this message if one is given.

        Not `whole`: the place that it will have is only a part of what would be replaced.
        """
        return Refusal(
            message or self.message,
            code=self.code,
            expected=self.expected,
            found=self.found,
            help=help,
            replacement=self.replacement if whole else None,
            too_small=self.too_small,
        )


class Note(Record):
    """A further place that explains a diagnostic: a producer with its shape, a calling block.

    With `excerpt` its source line is shown too.
    """

    message: str
    span: Span | None = None
    excerpt: bool = False


Paint: TypeAlias = Callable[[str, str], str]
"""Colours a text by its role: place, error, warning, label, help."""


def plain(role: str, text: str) -> str:
    """The `Paint` that leaves every text as it is."""
    return text


class Diagnostic(Record):
    """One mistake (or warning), with its place and what would help.

    `edits` certainly fix it, all of them together; `too_small` is as in `Refusal`.
    """

    code: Code
    message: str
    span: Span | None = None
    severity: str = "error"
    expected: str | None = None
    found: str | None = None
    help: str | None = None
    trail: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()
    edits: tuple[Edit, ...] = ()
    too_small: str | None = None

    @classmethod
    def at(
        cls,
        code: Code,
        message: str,
        span: Span | None,
        *,
        severity: str = "error",
        expected: str | None = None,
        found: str | None = None,
        help: str | Help | None = None,
    ) -> Diagnostic:
        """A diagnostic with a line of help, or with help that has edits."""
        given = help if isinstance(help, Help) else Help(help)
        return cls(code, message, span, severity, expected, found, given.text, edits=given.edits)

    @classmethod
    def of(cls, refusal: Refusal, span: Span | None, **more: Any) -> Diagnostic:
        """The diagnostic that a refusal becomes at `span`."""
        if span is not None and refusal.replacement is not None:
            more.setdefault("edits", (Edit(span, refusal.replacement),))
        return cls(
            code=refusal.code,
            message=refusal.message,
            span=span,
            expected=refusal.expected,
            found=refusal.found,
            help=refusal.help,
            too_small=refusal.too_small,
            **more,
        )

    def with_notes(self, *notes: Note) -> Diagnostic:
        return self._replace(notes=self.notes + notes)

    def __str__(self) -> str:
        return self.text()

    def text(self, paint: Paint = plain) -> str:
        """The diagnostic as people read it, coloured by `paint`."""
        return "\n".join(self._lines(paint))

    def _lines(self, paint: Paint) -> Iterator[str]:
        place = paint("place", f"{self.span}:") + " " if self.span else ""
        severity = paint(self.severity, f"{self.severity} {self.code}:")
        yield f"{place}{severity} {printable(self.message)}"
        if self.span:
            shown, carets = excerpt(self.span)
            yield shown
            yield _carets(carets, self.severity, paint)
        if self.expected:
            yield f"  {paint('label', 'expected:')} {printable(self.expected)}"
        if self.found:
            yield f"  {paint('label', 'found:')}    {printable(self.found)}"
        for title, notes in (("trail", self.trail), ("note", self.notes)):
            for note in notes:
                where = paint("place", f" ({note.span})") if note.span else ""
                yield f"  {paint('label', f'{title}:')} {printable(note.message)}{where}"
                if note.span and note.excerpt:
                    shown, carets = excerpt(note.span)
                    yield f"  {shown}"
                    yield f"  {_carets(carets, self.severity, paint)}"
        if self.help:
            yield f"  {paint('help', 'help:')} {printable(self.help)}"

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
            "edits": [{"span": place(e.span), "replacement": e.replacement} for e in self.edits],
        }


def _carets(line: str, severity: str, paint: Paint) -> str:
    margin, bar, carets = line.partition("| ")
    return margin + bar + carets.replace(carets.strip(), paint(severity, carets.strip()))


def printable(text: str, width: int = 1000) -> str:
    """The text, cut to `width`, with controls escaped: a key of the user's may hold any."""
    shown = text if len(text) <= width else text[: width - 1] + "…"
    if shown.replace("\n", "").isprintable():
        return shown
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in shown)


def bare(word: str) -> str:
    """A word without what people write differently: capitals, `_` and `-`."""
    return word.lower().replace("_", "").replace("-", "")


def excerpt(span: Span, width: int = 100) -> list[str]:
    """The source line of `span` with carets under it, cut to `width` around them."""
    line = span.source.line(span.line)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    start = min(span.column, len(line) + 1)
    count = max(1, min(end, len(line) + 1) - start)
    first = max(0, min(start - 1 - width // 2, len(line) - width))
    shown = line[first : first + width]
    # Tabs and other controls would misplace the caret (or drive the terminal).
    shown = "".join(c if c.isprintable() else " " for c in shown)
    number = str(span.line)
    carets = " " * (start - 1 - first) + "^" * min(count, max(1, width - (start - 1 - first)))
    return [f"  {number} | {shown}", f"  {' ' * len(number)} | {carets}"]


class ArchspecError(Exception):
    """The base of all errors that a user can correct."""


class SpecError(ArchspecError):
    """A spec is wrong. `diagnostics` says where and why; the message holds them all."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return "\n\n".join(str(d) for d in self.diagnostics)


class SpecWarning(UserWarning):
    """Something in a spec is suspicious, though it compiles: `diagnostic` says what and where."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic
