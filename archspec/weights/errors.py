"""The one way in which weights are refused."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, SpecError
from archspec.weights.report import LoadReport


class WeightsError(SpecError):
    """Weights cannot be read, or do not fit. `report` says what of each key, where it was read."""

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        found: str | None = None,
        help: str | None = None,
        notes: tuple[Note, ...] = (),
        report: LoadReport | None = None,
    ) -> None:
        super().__init__(
            [
                Diagnostic(
                    Code.WEIGHTS, message, expected=expected, found=found, help=help, notes=notes
                )
            ]
        )
        self.report = report
