"""The one way in which an export is refused."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Diagnostic, Span, SpecError


class ExportError(SpecError):
    """A network cannot be exported, or the file would not compute the same. No file is left."""

    def __init__(
        self,
        message: str,
        span: Span | None = None,
        *,
        expected: str | None = None,
        found: str | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(
            [Diagnostic.at(Code.EXPORT, message, span, expected=expected, found=found, help=help)]
        )
