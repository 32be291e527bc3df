"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from archspec.training.errors import TrainingError

REMEDIES = {
    errno.ENOSPC: "make room",
    getattr(errno, "EDQUOT", errno.ENOSPC): "make room: your quota is used up",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "the file system is read-only: make it writable, or move the run elsewhere",
    errno.EACCES: "get the right to write in {folder}",
    errno.EPERM: "get the right to write in {folder}",
    errno.EISDIR: "move the folder of that name away",
    errno.ENOENT: "put the folder {folder} back",
    errno.ENOTDIR: "move the file {folder} away, which should be a folder",
}
"""What would help, by what the system says."""


def write_whole(path: Path, data: bytes, *, keep: Path | None = None) -> None:
    """Replaces `path` by `data`, on the disk when this returns; the old file becomes `keep`.

    Whenever the machine stops, `path` (or `keep`) holds one of the two contents in full. Raises
    `TrainingError` where the disk is full or cannot be written, with the old file in its place.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise TrainingError(
            f"{cannot_write(path, error, f' ({len(data):,} bytes)')}. "
            "The files that were there are untouched; --resume goes on from them"
        ) from None


def cannot_write(path: Path, error: OSError, size: str = "") -> str:
    """What to say of a file that could not be written: why, and what would help."""
    reason = error.strerror or str(error)
    remedy = REMEDIES.get(error.errno or 0)
    return f"cannot write {path}{size}: {reason}" + (
        f": {remedy.format(folder=path.parent)}" if remedy else ""
    )


def remove_leftovers(folder: Path) -> None:
    """Removes what writers that were killed have left in a folder."""
    for path in folder.glob(".*.safetensors.*"):
        if path.suffix[1:].isdecimal():
            with contextlib.suppress(OSError):
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """`write_whole` for UTF-8 text."""
    write_whole(path, text.encode())


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk only when its folder is. Windows cannot and need not do this."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
