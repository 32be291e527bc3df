"""The exceptions of the data path."""

from __future__ import annotations

from archspec.data.text import one_line
from archspec.diagnostics.diagnostic import ArchspecError


class DataError(ArchspecError):
    """A data set cannot be had or used as asked. `help` says what would help, where known."""

    def __init__(self, message: str, help: str | None = None) -> None:
        # Both are in `args`: an exception that crosses from a worker process is rebuilt from them.
        super().__init__(message, help)
        self.message, self.help = message, help

    def __str__(self) -> str:
        return f"{self.message}\n  help: {self.help}" if self.help else self.message


class PictureError(DataError):
    """One picture cannot be read. `line` names it and says why, in one line."""

    def __init__(self, name: object, reason: str) -> None:
        self.line = one_line(f"{name}: {reason}")
        super().__init__(f"cannot read the picture {self.line}")
        # An exception that crosses from a worker process is rebuilt from these.
        self.args = (name, reason)
