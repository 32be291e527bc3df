"""One writer a run folder: a lock of the operating system's, which ends with its process.

The lock is on the file `.lock`, which also says who holds it. The lock of a process that is
killed ends with it, so no lock is ever stale. The file itself stays: if it were removed, two
processes could lock two files of one name.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from archspec.training.errors import TrainingError
from archspec.training.store.files import cannot_write

NAME = ".lock"
BYTE = 1 << 30
"""Windows keeps others from reading what is locked: so the lock is on a byte behind the text."""

UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""What file systems without locks answer (some of FUSE, NFS without its lock service, Lustre)."""

_held: set[int] = set()
"""Descriptors of this process's locks."""


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a run folder while the block runs.

    Raises `TrainingError`, naming the holder, where another process holds it. Where the file
    system has no locks, `say` gets a warning, and the block runs without one.
    """
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as error:
        raise TrainingError(cannot_write(path, error)) from None
    _held.add(descriptor)
    try:
        _lock(descriptor, path, say)
        yield
    finally:
        if descriptor in _held:  # not in a forked child
            _held.remove(descriptor)
            os.close(descriptor)


def _lock(descriptor: int, path: Path, say: Callable[[str], None]) -> None:
    try:
        _take(descriptor)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            say(
                f"warning: the file system of {path.parent} has no locks: nothing keeps another "
                "process from writing there too"
            )
            return
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise TrainingError(cannot_write(path, error)) from None
        holder = os.read(descriptor, 500).decode("utf-8", "replace").strip() or "another process"
        raise TrainingError(
            f"{path.parent} is being written by {holder}: let it end (or stop it, and it saves), "
            "or choose another --run"
        ) from None
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    text = f"process {os.getpid()} on {socket.gethostname()} since {since}\n"
    with suppress(OSError):  # a full disk: the lock holds without its text
        os.ftruncate(descriptor, 0)
        os.write(descriptor, text.encode())


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _close_in_child() -> None:
        """Workers that read pictures outlive a killed run by seconds, and must not hold on."""
        for descriptor in _held:
            os.close(descriptor)
        _held.clear()

    os.register_at_fork(after_in_child=_close_in_child)
