"""People's own pictures: a folder for each class, named after it.

PATH/train/CLASS/*.jpg, PATH/test/CLASS/*.jpg (and PATH/val/CLASS/*.jpg), or
PATH/CLASS/*.jpg, where a fifth is split off for the test
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.data.errors import DataError
from archspec.data.layout import find_layout, folders, in_folder
from archspec.data.reading import SUFFIXES, PictureForm, look, read_picture
from archspec.data.registry import register

if TYPE_CHECKING:
    from archspec.data.pictures import Pictures, PictureSets


@register("image_folder", argument="PATH")
def image_folder(root: Path, path: str) -> PictureSets:
    """Your own pictures: a folder for each class under PATH, or under PATH/train and PATH/test."""
    from archspec.data.pictures import PictureSets

    layout = find_layout(Path(path).expanduser())
    train = _pictures(layout.train, layout.classes)
    parts = [
        _pictures(folder, layout.classes)
        for folder in (layout.test, layout.validation)
        if folder is not None
    ]
    # With one of the two only, it is what is reported: the choice is made on a part of `train`.
    test, validation = (*parts, None, None)[:2]
    return PictureSets(layout.classes, train, test, validation, layout.notes)


def _pictures(folder: Path, classes: Sequence[str]) -> Pictures:
    import torch

    from archspec.data.pictures import Pictures

    strange = [path.name for path in folders(folder) if path.name not in classes]
    if strange:
        raise DataError(f"{folder / strange[0]}: there is no class {strange[0]!r} to train on")
    files: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        found = in_folder(folder / name)
        files += found
        labels += [number] * len(found)
    if not files:
        raise DataError(f"{folder} holds no pictures ({' '.join(SUFFIXES)})")
    paths = tuple(files)
    return Pictures(torch.tensor(labels), read=Files(paths), look=Heads(paths))


@dataclass(frozen=True)
class Files:
    """Reads picture i of a list of files; a class, so that worker processes can receive it."""

    paths: tuple[str, ...]

    def __call__(self, row: int) -> Any:
        return read_picture(self.paths[row])


@dataclass(frozen=True)
class Heads:
    """Looks at picture i of a list of files, at its head alone."""

    paths: tuple[str, ...]

    def __call__(self, row: int) -> PictureForm:
        return look(self.paths[row])
