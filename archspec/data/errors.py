"""The exceptions of the data path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


INSTALL = "pip install 'archspec-nn[train]'"
PACKAGES = ("numpy", "PIL")
"""What pictures are read with; the core of archspec does without."""


@contextmanager
def packages_needed() -> Iterator[None]:
    """Raises `DataError` where a package that reads pictures is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise DataError(f"pictures are read with {package}, which is missing", INSTALL) from None


class PictureError(DataError):
    """One picture cannot be read. `line` names it and says why, in one line."""

    def __init__(self, name: object, reason: str) -> None:
        self.line = one_line(f"{name}: {reason}")
        super().__init__(f"cannot read the picture {self.line}")
        # An exception that crosses from a worker process is rebuilt from these.
        self.args = (name, reason)
