"""Which lines of the package a process runs, written to a file as they run for the first time.

This is `sys.settrace` and no coverage library, because each test's lines must be known apart from
those of the others, also in the processes that it starts and forks.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any

VARIABLE = "ARCHSPEC_MUTATION_TRACE"
"""The variable that says what to trace, to a process that a test starts: folder and log."""

_left: dict[int, tuple[CodeType, set[int]]] = {}
"""Lines of a function that have not run yet, by the id of its code: its hash is slow."""
_folder = ""
_log = -1


def start(folder: str, log: str) -> None:
    """Writes a line `path:number` to `log` for each line under `folder` that runs from now on."""
    global _folder, _log
    _folder, _log = folder, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.environ[VARIABLE] = os.pathsep.join((folder, log))
    os.register_at_fork(after_in_child=forget)
    threading.settrace(_called)
    sys.settrace(_called)


def start_as_told() -> None:
    """Start in a process that a traced process started."""
    if VARIABLE in os.environ:
        start(*os.environ[VARIABLE].split(os.pathsep))


def forget() -> None:
    """Count all lines as not run yet, because another test or process begins."""
    _left.clear()


def go_on() -> None:
    """Trace again, if something has set another trace function."""
    if sys.gettrace() is not _called:
        sys.settrace(_called)


def _called(frame: FrameType, event: str, argument: Any) -> Any:
    code = frame.f_code
    if id(code) not in _left:
        watched = code.co_filename.startswith(_folder)
        lines = {line for *_, line in code.co_lines() if line} if watched else set()
        _left[id(code)] = code, lines  # keeps the code alive, so that no other gets its id
    left = _left[id(code)][1]
    if not left:
        return None  # every line has run: no more tracing here
    _note(frame, left)

    def ran(frame: FrameType, event: str, argument: Any) -> Any:
        _note(frame, left)
        return ran

    return ran


def _note(frame: FrameType, left: set[int]) -> None:
    line = frame.f_lineno
    if line in left:
        left.remove(line)
        with suppress(OSError):  # a test may limit the size of files
            os.write(_log, f"{frame.f_code.co_filename}:{line}\n".encode())
