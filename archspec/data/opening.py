"""From a name to `Data`: find the set, split it, and choose how its images are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.data.errors import DataError, packages_needed
from archspec.data.registry import find
from archspec.data.split import Data
from archspec.data.text import one_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from archspec.data.augment import Augment
    from archspec.data.keeping import Keeper
    from archspec.data.pictures import PictureSets
    from archspec.data.prepare import MeanAndStd
    from archspec.data.resize import Resize
    from archspec.data.survey import Progress


def data_root(root: str | Path | None) -> Path:
    """The folder of downloads: `root`, else $ARCHSPEC_DATA, else one in the user's cache."""
    if root is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        root = os.environ.get("ARCHSPEC_DATA") or cache / "archspec" / "data"
    try:
        return Path(root).expanduser()
    except RuntimeError as error:  # ~ or ~somebody without a home
        raise DataError(f"there is no folder {root}: {error}") from None


def nothing_shown(what: str, done: int, total: int) -> None:
    """The progress of reading, to those who do not want to see it."""


@packages_needed()
def open_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    resize: int | Sequence[int] | None = None,
    channels: int | None = None,
    seed: int = 0,
    validation: float | int = 0.1,
    limit_train: int | None = None,
    limit_test: int | None = None,
    skip_unreadable: bool = False,
    resident: bool | None = None,
    augment: Sequence[str] = (),
    normalize: MeanAndStd | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = nothing_shown,
    identify: bool = False,
    sets: PictureSets | None = None,
) -> Data:
    """The data set `name` (`digits`, `image_folder:PATH`), split and ready for batches on `device`.

    root: where torchvision's files lie or go. resize: the side of a square in pixels, or height
    and width, which images are brought to whole. channels: 1 (grey) or 3 (colour), which they are
    converted to; left out, all are grey where every one is. seed: of the splits and of what
    `limit_train` and `limit_test` keep, all stratified. validation: share (below 1) or number of
    training images, unless the set brings its own. skip_unreadable: go on without pictures that
    cannot be read, which are an error otherwise. resident: keep the images on the device (true),
    stream them (false), or as it fits. augment: names as in `random_crop:4`, applied while
    training. normalize: mean and std of each channel, for pixels of 0 to 1. progress: called as
    `progress("reading pictures", 256, 20000)`. identify: take the data's fingerprint too, which
    reads files. sets: what `picture_sets` has found. Raises `DataError`.

    >>> data = open_dataset("digits", resize=28)
    >>> images, labels = next(data.train.batches(16, device="cpu"))
    """
    from archspec.data.augment import parse
    from archspec.data.dividing import classes_left_out, divide
    from archspec.data.fingerprint import fingerprint
    from archspec.data.survey import survey
    from archspec.data.unreadable import Unreadable

    # 1. the pictures, and which of them are for what
    steps, size, sets = parse(augment), _size(resize), sets or picture_sets(name, root)
    parts = divide(sets, seed, validation, limit_train, limit_test)
    # 2. what they are like
    bad = Unreadable()
    found = survey(parts, channels, size, bad, progress)
    shape = found.shape(channels, size)
    # 3. their bytes, on the device or on the way to it
    keeper = _keeper(size, steps, normalize, shape, device, progress)
    left, (train, held, test), statement = keeper.keep(parts, resident, bad, skip_unreadable)
    # 4. what is to be said of them
    total = sum(len(part.rows) for part in parts)
    notes = (
        *(*sets.notes, *found.conversion(shape[0]), *classes_left_out(left, sets.classes)),
        *([bad.statement(total)] if len(bad) else []),
    )
    identity = fingerprint(sets, left) if identify else None
    said = statement, tuple(map(one_line, notes)), identity
    return Data(name, sets.classes, *shape, train, held, test, *said)


def natural_size(sets: PictureSets) -> tuple[int, int] | None:
    """Height and width of a data set whose images are kept in one size; None for other ones."""
    parts = [part for part in (sets.train, sets.validation, sets.test) if part is not None]
    sizes = {None if part.array is None else tuple(part.array.shape[2:]) for part in parts}
    found = sizes.pop() if len(sizes) == 1 else None
    return None if found is None else (found[0], found[1])


def _keeper(
    size: Resize,
    augment: Augment,
    normalize: MeanAndStd | None,
    shape: tuple[int, int, int],
    device: torch.device | str,
    progress: Progress,
) -> Keeper:
    import torch

    from archspec.data.keeping import Keeper
    from archspec.data.prepare import prepared

    place = torch.device(device)
    return Keeper(prepared(size, augment, normalize, shape[0], place), shape, place, progress)


@packages_needed()
def picture_sets(name: str, root: str | Path | None = None) -> PictureSets:
    """The pictures of a data set as it has them, not yet divided. Raises `DataError`."""
    entry, argument = find(name)
    sets: PictureSets = entry.opener(data_root(root), *([argument] if argument else []))
    return sets


@packages_needed()
def read_images(
    paths: Sequence[str | Path],
    *,
    channels: int,
    resize: int | Sequence[int],
    normalize: MeanAndStd | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Picture files as a network reads them: float32 (N, C, H, W).

    The arguments are those of the data that the network was trained on, and so is what happens to
    a picture. Raises `DataError`, which names all the files that cannot be read.
    """
    import torch

    from archspec.data.augment import Augment
    from archspec.data.folder import Files
    from archspec.data.pictures import Pictures
    from archspec.data.prepare import prepared
    from archspec.data.unreadable import unreadable_error

    if channels not in (1, 3):
        raise DataError(f"pictures have 1 channel (grey) or 3 (colour), not {channels}")
    device, size = torch.device(device), _size(resize)
    files = Files(tuple(map(str, paths)))
    pictures = Pictures(torch.zeros(len(paths), dtype=torch.int64), read=files)
    images, bad = pictures.load(range(len(paths)), channels, size)
    if bad:
        raise unreadable_error([fault.line for fault in bad], None)
    return prepared(size, Augment(), normalize, channels, device)(images.to(device), None, None)


def _size(resize: int | Sequence[int] | None) -> Resize:
    if resize is None:
        return None
    sides = (resize, resize) if isinstance(resize, int) else tuple(resize)
    if len(sides) != 2 or min(sides) < 1:
        raise DataError(f"images cannot be resized to {resize}", "give a side, or height and width")
    return sides[0], sides[1]
