"""People's own pictures: a folder for each class, named after it.

PATH/train/CLASS/*.jpg, PATH/test/CLASS/*.jpg (and PATH/val/CLASS/*.jpg), or
PATH/CLASS/*.jpg, where a fifth is split off for the test
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from archspec.data.errors import DataError
from archspec.data.pictures import Pictures, PictureSets
from archspec.data.registry import register_with_argument

SUFFIXES = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)


@register_with_argument("image_folder", "PATH")
def image_folder(root: Path, path: str) -> PictureSets:
    """Your own pictures: a folder for each class under PATH, or under PATH/train and PATH/test."""
    top = Path(path).expanduser()
    if not top.is_dir():
        raise DataError(f"there is no folder {top}")
    train = top / "train"
    if not train.is_dir():
        classes = _classes(top)
        return PictureSets(classes, _pictures(top, classes))
    classes = _classes(train)
    parts = [_pictures(top / name, classes) for name in ("test", "val") if (top / name).is_dir()]
    # With one of the two only, it is what is reported: the choice is made on a part of `train`.
    test, validation = (*parts, None, None)[:2]
    return PictureSets(classes, _pictures(train, classes), test, validation)


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _classes(folder: Path) -> tuple[str, ...]:
    names = tuple(path.name for path in _folders(folder))
    if not names:
        raise DataError(
            f"{folder} holds no folders", f"put the pictures of each class in {folder}/CLASS/"
        )
    return names


def _pictures(folder: Path, classes: Sequence[str]) -> Pictures:
    strange = [path.name for path in _folders(folder) if path.name not in classes]
    if strange:
        raise DataError(f"{folder / strange[0]}: there is no class {strange[0]!r} to train on")
    files: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        found = [str(p) for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES]
        files += sorted(found)
        labels += [number] * len(found)
    if not files:
        raise DataError(f"{folder} holds no pictures ({' '.join(SUFFIXES)})")
    return Pictures(torch.tensor(labels), read=Files(tuple(files)))


@dataclass(frozen=True)
class Files:
    """Reads picture i of a list of files; a class, so that worker processes can receive it."""

    paths: tuple[str, ...]

    def __call__(self, row: int) -> Any:
        return read_file(self.paths[row])


def read_file(path: str | Path) -> Any:
    """The PIL image of a file, the right way up. Raises `DataError`."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            upright.load()
    # What PIL raises for what is no picture, a truncated one, and one too large to be honest.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the picture {path}: {error}") from None
    return upright
