"""Silencing warnings: in a line's comment, for a whole file, or by the caller."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Span
from archspec.diagnostics.suggestions import did_you_mean

_COMMENT = re.compile(r"(?:^|\s)#\s*archspec:\s*ignore\s+(AS\d+(?:\s*,\s*AS\d+)*)")

WARNINGS = tuple(str(code) for code in Code if code.is_warning)


def check_code(text: str) -> str:
    """A warning's code. Raises `Refusal` for anything else: an error cannot be ignored."""
    if text in WARNINGS:
        return text
    is_error = text in tuple(Code)
    raise Refusal(
        f"{text} is an error, and only warnings can be ignored"
        if is_error
        else f"{text[:60]!r} is not the code of a warning",
        code=Code.ARGUMENT,
        expected=f"one of {', '.join(WARNINGS)}",
        help=None if is_error else did_you_mean(text, WARNINGS),
    )


def kept(warnings: Sequence[Diagnostic], ignored: Collection[str]) -> list[Diagnostic]:
    """Those that neither `ignored` nor a comment on one of their lines silences."""
    return [
        warning
        for warning in warnings
        if warning.code not in ignored
        and not any(warning.code in _codes(span) for span in _places(warning))
    ]


def _places(diagnostic: Diagnostic) -> list[Span]:
    """Its place, and those of the blocks that it stands in."""
    spans = [diagnostic.span, *(note.span for note in diagnostic.notes)]
    return [span for span in spans if span is not None]


def _codes(span: Span) -> frozenset[str]:
    return _comment(span.source.line(span.line))


@lru_cache(maxsize=4096)
def _comment(line: str) -> frozenset[str]:
    match = _COMMENT.search(line)
    return frozenset(re.split(r"\s*,\s*", match[1])) if match else frozenset()
