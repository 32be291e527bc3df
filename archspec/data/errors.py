"""The one exception of the data path."""

from __future__ import annotations


class DataError(Exception):
    """A data set cannot be had or used as asked. `help` says what would mend it, where known."""

    def __init__(self, message: str, help: str | None = None) -> None:
        # Both are in `args`: an exception that crosses from a worker process is rebuilt from them.
        super().__init__(message, help)
        self.message, self.help = message, help

    def __str__(self) -> str:
        return f"{self.message}\n  help: {self.help}" if self.help else self.message
