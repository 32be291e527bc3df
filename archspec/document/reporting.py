"""Reporting of mistakes while a document is read."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Diagnostic, Help, Refusal, Span


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

    def refuse(self, refusal: Refusal, span: Span) -> None:
        self.diagnostics.append(Diagnostic.of(refusal, span))
