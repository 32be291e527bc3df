"""Reporting of mistakes while a document is read."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Diagnostic, Help, Refusal, Span
from archspec.expressions.arguments import LocatedError
from archspec.text.values import Placed


class Reporting:
    """A context that turns a refusal or a located error inside it into a diagnostic."""

    __slots__ = ("at", "diagnostics")

    def __init__(self, diagnostics: list[Diagnostic], at: Span | Placed) -> None:
        self.diagnostics, self.at = diagnostics, at

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, Refusal):
            span = self.at.span if isinstance(self.at, Placed) else self.at
            self.diagnostics.append(Diagnostic.of(error, span))
        elif isinstance(error, LocatedError):
            self.diagnostics.extend(error.diagnostics)
        else:
            return False
        return True


class Reporter:
    """Has a list of diagnostics, and adds to it."""

    __slots__ = ()

    diagnostics: list[Diagnostic]

    def report(
        self,
        code: Code,
        message: str,
        span: Span,
        *,
        expected: str | None = None,
        found: str | None = None,
        help: str | Help | None = None,
        severity: str = "error",
    ) -> None:
        self.diagnostics.append(
            Diagnostic.at(
                code, message, span, severity=severity, expected=expected, found=found, help=help
            )
        )

    def reporting(self, at: Span | Placed) -> Reporting:
        """Turns a refusal or a located error inside into a diagnostic, with the place of `at`."""
        return Reporting(self.diagnostics, at)

    def refuse(self, refusal: Refusal, span: Span) -> None:
        self.diagnostics.append(Diagnostic.of(refusal, span))
