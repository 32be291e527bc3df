"""What can go wrong in a training run, beyond what a `SpecError` says."""

from __future__ import annotations

import signal

from archspec.diagnostics.diagnostic import ArchspecError


class TrainingError(ArchspecError):
    """The run cannot go on (or begin); the message is for a person and says what would help."""


class Stopped(ArchspecError):
    """A signal asked the run to stop; all is saved up to `step`."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"{signal.Signals(number).name}: saved and stopped after step {step:,}")
        self.number, self.step = number, step

    @property
    def status(self) -> int:
        """The exit status of a program that the signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number
