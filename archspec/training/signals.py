"""Ctrl-C and SIGTERM ask a run to stop after its step; they do not end it at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

TOGETHER = 1.0
"""Seconds in which signals are one: Slurm and torchrun send theirs to the same process."""


@contextmanager
def stoppable(ask: Callable[[int], None]) -> Iterator[None]:
    """Calls `ask` with the signal that comes first; a second one ends the process at once."""
    before: dict[signal.Signals, Any] = {}
    first: list[float] = []

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def handle(number: int, frame: object) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            ask(number)
        elif now - first[0] > TOGETHER:
            restore()
            signal.raise_signal(number)

    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            before[each] = signal.signal(each, handle)
    except ValueError:  # not the main thread, which alone may handle signals
        before.clear()
    try:
        yield
    finally:
        restore()
