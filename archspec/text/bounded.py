"""The diagnostics of one compilation, which gives up where they are too many to be of use."""

from __future__ import annotations

from collections.abc import Iterable

from archspec.diagnostics.diagnostic import Diagnostic, Refusal, SpecError
from archspec.text.limits import Limits


class Collected(list[Diagnostic]):
    """A list that raises `SpecError` with all it holds past `limits.errors` mistakes.

    Each mistake costs a search for what was meant: without an end, a long text could cause hours.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits, self.errors = limits, 0
        self.held: set[Diagnostic] = set()

    def append(self, diagnostic: Diagnostic) -> None:
        super().append(diagnostic)
        self.held.add(diagnostic)
        self.errors += diagnostic.severity == "error"
        try:
            self.limits.check("errors", self.errors, "the number of mistakes")
        except Refusal as refusal:
            raise SpecError([*self[:-1], Diagnostic.of(refusal, diagnostic.span)]) from None

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self.append(diagnostic)

    def __contains__(self, diagnostic: object) -> bool:
        return diagnostic in self.held
