"""How a folder of pictures is arranged: its classes and parts. Any other folder is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archspec.data.errors import DataError
from archspec.data.reading import SUFFIXES

PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""The names of folders that hold a part of the data, in capitals too."""

CLUTTER = ("__macosx", "__pycache__", "@eadir", "$recycle.bin", "lost+found")
"""What systems leave in folders, beside whatever begins with a dot."""

EXPECTED = (
    "expected PATH/CLASS/*.jpg, of two classes or more; or PATH/train/CLASS/*.jpg and "
    "PATH/test/CLASS/*.jpg, with PATH/val/CLASS/*.jpg if you like"
)


@dataclass(frozen=True)
class Layout:
    """The folders of the parts, each of which has a folder for every class."""

    classes: tuple[str, ...]
    train: Path
    test: Path | None = None
    validation: Path | None = None
    notes: tuple[str, ...] = ()


def find_layout(top: Path) -> Layout:
    """How the pictures in a folder are arranged. Raises `DataError` where that is not clear."""
    if not top.is_dir():
        raise DataError(f"there is no folder {top}")
    inner = folders(top)
    parts = {path: part for path in inner if (part := _part(path.name))}
    # A class may be called `train`, or `valid`: then it holds pictures, and not its classes.
    divided = [path for path in parts if folders(path)]
    if not divided and len(parts) < max(2, len(inner)):
        return Layout(_classes(top), top, notes=_strays(top))
    others = [path.name for path in inner if path not in parts]
    flat = [path.name for path in parts if path not in divided]
    if flat:
        raise DataError(f"{top / flat[0]} holds no folders of classes", EXPECTED)
    if others:
        raise DataError(
            f"{top} holds {_listed(others)} beside the parts of the data "
            f"({_listed([path.name for path in parts])})",
            f"{EXPECTED}; move other folders away",
        )
    by_part: dict[str, Path] = {}
    for path, part in parts.items():
        if part in by_part:
            raise DataError(f"{by_part[part]} and {path} are both for {part}", "leave one of them")
        by_part[part] = path
    if "train" not in by_part:
        raise DataError(f"{top} holds {_listed([p.name for p in parts])}, and no train", EXPECTED)
    return _in_parts(by_part)


def _in_parts(by_part: dict[str, Path]) -> Layout:
    train, test, validation = (by_part.get(part) for part in ("train", "test", "validation"))
    assert train is not None
    notes = [line for folder in by_part.values() for line in _strays(folder)]
    if test is None and validation is not None:
        notes.append(
            f"folders: there is no test folder, so {validation} is the test; "
            "validation images are split off those of training"
        )
    return Layout(_classes(train), train, test, validation, tuple(notes))


def folders(top: Path) -> list[Path]:
    """The folders in a folder, sorted, without those that are hidden. Raises `DataError`."""
    try:
        found = [path for path in top.iterdir() if not _hidden(path.name) and path.is_dir()]
    except OSError as error:
        raise DataError(f"cannot read the folder {top}: {error.strerror}") from None
    return sorted(found)


def in_folder(top: Path) -> list[str]:
    """The paths of all pictures below a folder, sorted. Raises `DataError`."""

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from None

    found: list[str] = []
    for folder, inner, files in os.walk(top, onerror=refuse if top.is_dir() else None):
        inner[:] = [name for name in inner if not _hidden(name)]
        found += [os.path.join(folder, name) for name in files if _is_picture(name)]
    return sorted(found)


def _part(name: str) -> str | None:
    return next((part for part, names in PARTS.items() if name.lower() in names), None)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in CLUTTER


def _is_picture(name: str) -> bool:
    return not _hidden(name) and os.path.splitext(name)[1].lower() in SUFFIXES


def _classes(folder: Path) -> tuple[str, ...]:
    inner = folders(folder)
    names = tuple(path.name for path in inner)
    if not names:
        raise DataError(
            f"{folder} holds no folders", f"put the pictures of each class in {folder}/CLASS/"
        )
    for name in names:
        if not _encodable(name):
            raise DataError(f"{folder}: the name of the class {name!r} is not UTF-8", "rename it")
    if len(names) == 1:
        (only,) = inner
        deeper = len(folders(only)) > 1
        raise DataError(
            f"{folder} holds one folder only, {names[0]}: one class cannot be told from another",
            f"is it image_folder:{only}? {EXPECTED}" if deeper else EXPECTED,
        )
    empty = [path.name for path in inner if not in_folder(path)]
    if empty:
        raise DataError(
            f"{folder} has folders without pictures: {_listed(empty)} "
            f"(a picture ends in {' '.join(SUFFIXES)})",
            f"fill or remove them; {EXPECTED}",
        )
    return names


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _strays(folder: Path) -> tuple[str, ...]:
    """A line on pictures that lie beside the folders of classes: nothing says what they show."""
    count = sum(_is_picture(path.name) and path.is_file() for path in folder.iterdir())
    if not count:
        return ()
    what = f"{count:,} pictures" if count > 1 else "one picture"
    return (f"folders: {what} in {folder} itself, in no folder of a class, left out",)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"
