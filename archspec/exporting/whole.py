"""A file, with one of weights beside it where needed, that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archspec.exporting.errors import ExportError


def data_name(path: Path) -> str:
    """The name of the file of weights beside a file."""
    return f"{path.name}.data"


@contextmanager
def whole(path: Path, suffix: str) -> Iterator[Path]:
    """A file in a folder beside `path` that becomes `path` at the end; after an error neither is.

    What is written beside it as `data_name(path)` keeps that name beside `path`.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if path.exists() and not path.is_file():
            raise FileExistsError(0, "it is no file")
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from None
    try:
        file = folder / f"net.{suffix}"
        yield file
        data = folder / data_name(path)
        for each in (data, file):
            if each.exists():
                _sync(each)
        if data.exists():
            data.replace(path.with_name(data.name))
        file.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cannot_write(path: Path, error: OSError | ValueError) -> ExportError:
    reason = getattr(error, "strerror", None) or error
    return ExportError(f"cannot write {path}: {reason}")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
