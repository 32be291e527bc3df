"""The ways in which an export is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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


class SizesError(ExportError):
    """An export that may succeed with fewer open sizes.

    `symbols` are those that torch blames, and `bounds` the least and greatest counts (see `Dim`)
    that it asks for instead, of symbols that need not be closed.
    """

    symbols: tuple[str, ...] = ()
    bounds: Mapping[str, tuple[int, int | None]] = MappingProxyType({})
