"""Which lines of the package a process runs, written to a file as they run for the first time.

`sys.settrace` and not a library of coverage: the lines of a test must be known apart from those of
the others, in the processes that it starts and forks as well.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any

VARIABLE = "ARCHSPEC_MUTATION_TRACE"
"""Where a process that a test starts finds what to trace: the folder's path, and the file."""

_left: dict[int, tuple[CodeType, set[int]]] = {}
"""Lines of a function that have not run yet, by its code's id: a code's hash takes long."""
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
    """In a process that was started by a traced one."""
    if VARIABLE in os.environ:
        start(*os.environ[VARIABLE].split(os.pathsep))


def forget() -> None:
    """Lines count as not run yet: another test begins, or another process."""
    _left.clear()


def go_on() -> None:
    """Traces again, where something has set a trace function of its own."""
    if sys.gettrace() is not _called:
        sys.settrace(_called)


def _called(frame: FrameType, event: str, argument: Any) -> Any:
    code = frame.f_code
    if id(code) not in _left:
        watched = code.co_filename.startswith(_folder)
        lines = {line for *_, line in code.co_lines() if line} if watched else set()
        _left[id(code)] = code, lines  # the code too, or another could get its id
    left = _left[id(code)][1]
    if not left:
        return None  # all of it has run: nothing slows it down
    _note(frame, left)

    def ran(frame: FrameType, event: str, argument: Any) -> Any:
        _note(frame, left)
        return ran

    return ran


def _note(frame: FrameType, left: set[int]) -> None:
    line = frame.f_lineno
    if line in left:
        left.remove(line)
        with suppress(OSError):  # a test may limit the size of files: it goes on without us
            os.write(_log, f"{frame.f_code.co_filename}:{line}\n".encode())
