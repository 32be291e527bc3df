"""From a name to `Data`: find the set, split it, and choose how its images are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archspec.data.errors import DataError
from archspec.data.registry import find
from archspec.data.split import Data, Split

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from archspec.data.pictures import Pictures, PictureSets
    from archspec.data.prepare import Preparation, Statistics
    from archspec.data.resize import Resize

TEST_SHARE = 0.2
"""What is split off for the test where a data set brings no test images."""

FREE_SHARE = 4
"""Images stay on the device where they take at most this part (a quarter) of its free memory."""

LOAD_AT_ONCE = 256


def data_root(root: str | Path | None) -> Path:
    """The folder of downloads: `root`, else $ARCHSPEC_DATA, else one in the user's cache."""
    if root is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        root = os.environ.get("ARCHSPEC_DATA") or cache / "archspec" / "data"
    try:
        return Path(root).expanduser()
    except RuntimeError as error:  # ~ or ~somebody without a home
        raise DataError(f"there is no folder {root}: {error}") from None


def open_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    resize: int | Sequence[int] | None = None,
    seed: int = 0,
    validation: float | int = 0.1,
    limit_train: int | None = None,
    limit_test: int | None = None,
    resident: bool | None = None,
    augment: Sequence[str] = (),
    normalize: Statistics | None = None,
    device: torch.device | str = "cpu",
    identify: bool = False,
) -> Data:
    """The data set `name` (`digits`, `image_folder:PATH`), split and ready for batches on `device`.

    root: where torchvision's files lie or go. resize: a side in pixels, or height and width.
    seed: of the splits and of what `limit_train` and `limit_test` keep, all stratified.
    validation: share (below 1) or number of training images; ignored where the set brings its
    own. resident: keep the images on the device (true), stream them (false), or as it fits.
    augment: names as in `random_crop:4`, applied while training. normalize: mean and std of each
    channel, for pixels of 0 to 1. identify: take the data's fingerprint too, which reads files.
    Raises `DataError`.

    >>> data = open_dataset("digits", resize=28)
    >>> images, labels = next(data.train.batches(16, device="cpu"))
    >>> images.shape
    torch.Size([16, 1, 28, 28])
    """
    import torch

    from archspec.data.augment import parse
    from archspec.data.pictures import size_after
    from archspec.data.prepare import prepared

    steps = parse(augment)
    entry, argument = find(name)
    sets = entry.opener(data_root(root), *([argument] if argument else []))
    parts = _parts(sets, seed, validation, limit_train, limit_test)
    size = _size(resize)
    shape = size_after(sets.train.shape, size)
    device = torch.device(device)
    preparation = prepared(size, steps, normalize, shape[0], device)
    keeper = _Keeper(preparation, shape, device)
    splits, statement = keeper.splits(parts, resident)
    channels, height, width = shape
    train, held, test = splits
    found = None
    if identify:
        from archspec.data.fingerprint import fingerprint

        found = fingerprint(sets, parts)
    return Data(name, sets.classes, channels, height, width, train, held, test, statement, found)


def read_images(
    paths: Sequence[str | Path],
    *,
    channels: int,
    resize: int | Sequence[int],
    normalize: Statistics | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Picture files as a network reads them: float32 (N, C, H, W). Raises `DataError`.

    The arguments are those of the data that the network was trained on.
    """
    import torch

    from archspec.data.augment import Augment
    from archspec.data.folder import Files
    from archspec.data.pictures import Pictures
    from archspec.data.prepare import prepared

    device, size = torch.device(device), _size(resize)
    labels = torch.zeros(len(paths), dtype=torch.int64)
    pictures = Pictures(labels, read=Files(tuple(map(str, paths))), channels=channels)
    stored = pictures.load(torch.arange(len(paths)), size).to(device)
    return prepared(size, Augment(), normalize, channels, device)(stored, None, None)


def _size(resize: int | Sequence[int] | None) -> Resize:
    sides = (resize,) if isinstance(resize, int) else tuple(resize or ())
    if resize is not None and (len(sides) not in (1, 2) or min(sides) < 1):
        raise DataError(f"images cannot be resized to {resize}", "give a side, or height and width")
    return resize if resize is None or isinstance(resize, int) else (sides[0], sides[1])


class Part(NamedTuple):
    """Rows of some pictures: one split."""

    pictures: Pictures
    rows: Tensor

    @property
    def labels(self) -> Tensor:
        return self.pictures.labels[self.rows]


def _parts(
    sets: PictureSets,
    seed: int,
    validation: float | int,
    limit_train: int | None,
    limit_test: int | None,
) -> tuple[Part, Part, Part]:
    """Training, validation and test rows, each stratified and drawn from one generator."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    train = Part(sets.train, torch.arange(len(sets.train)))
    if sets.test is None:
        test, train = _divided(train, round(TEST_SHARE * len(train.rows)), generator)
    else:
        test = Part(sets.test, torch.arange(len(sets.test)))
    train, test = _limited(train, limit_train, generator), _limited(test, limit_test, generator)
    if sets.validation is not None:
        held = Part(sets.validation, torch.arange(len(sets.validation)))
    else:
        count = validation if isinstance(validation, int) else round(validation * len(train.rows))
        if not 0 <= count < len(train.rows):
            raise DataError(
                f"{validation} of {len(train.rows):,} training images cannot be for validation",
                "a share (0.1) or a number that leaves some to train on",
            )
        held, train = _divided(train, count, generator)
    return train, held, test


def _divided(part: Part, count: int, generator: torch.Generator) -> tuple[Part, Part]:
    from archspec.data.stratify import stratified

    chosen, others = stratified(part.labels, count, generator)
    return Part(part.pictures, part.rows[chosen]), Part(part.pictures, part.rows[others])


def _limited(part: Part, limit: int | None, generator: torch.Generator) -> Part:
    if limit is None or limit >= len(part.rows):
        return part
    return _divided(part, limit, generator)[0]


class _Keeper(NamedTuple):
    """How the images of a data set are kept: on the device, or read when they are needed."""

    preparation: Preparation
    shape: tuple[int, int, int]
    device: torch.device

    def splits(self, parts: Sequence[Part], resident: bool | None) -> tuple[list[Split], str]:
        """A split for each part, and which way was chosen and why."""
        from archspec.data.memory import free_memory, readable

        size, free = sum(self._bytes(p, rows) for p, rows in _used(parts)), free_memory(self.device)
        fits = size * FREE_SHARE <= free
        available = f"{readable(free)} free on {self.device}"
        if resident and size > free:
            raise DataError(
                f"the images do not fit: {readable(size)} of {available}",
                "leave `resident` out, and they are streamed",
            )
        part = "at most a quarter" if fits else "more than a quarter"
        why = "as asked" if resident is not None else f"{part} of {available}"
        figures = f"{readable(size)}, {why}"
        count = sum(len(part.rows) for part in parts)
        if fits if resident is None else resident:
            return self._resident(parts), f"{count:,} images stay on the device: {figures}"
        return self._streaming(parts), f"{count:,} images are streamed: {figures}"

    def _bytes(self, pictures: Pictures, rows: Tensor) -> int:
        channels, height, width = self.shape if pictures.array is None else pictures.array.shape[1:]
        return len(rows) * channels * height * width

    def _resident(self, parts: Sequence[Part]) -> list[Split]:
        import torch

        from archspec.data.resident import ResidentSplit

        splits: dict[int, Split] = {}
        for pictures, rows in _used(parts):
            stored = self._stored(pictures, rows).to(self.device)
            for number, part in enumerate(parts):
                if part.pictures is pictures:
                    places = torch.searchsorted(rows, part.rows)
                    splits[number] = ResidentSplit(
                        part.labels, part.rows, stored, places, self.preparation
                    )
        return [splits[number] for number in range(len(parts))]

    def _stored(self, pictures: Pictures, rows: Tensor) -> Tensor:
        """The bytes of `rows`, which are all in memory, or all to be read once."""
        import torch

        from archspec.data.streaming import Loader, worker_count

        if pictures.array is not None:
            return pictures.array if len(rows) == len(pictures) else pictures.array[rows]
        workers = worker_count() if len(rows) > LOAD_AT_ONCE else 0
        loader = Loader(pictures, self.preparation.resize, workers, pin=False)
        stored = torch.empty(len(rows), *self.shape, dtype=torch.uint8)
        for index, images in enumerate(loader.read(rows, LOAD_AT_ONCE)):
            stored[index * LOAD_AT_ONCE :][: len(images)] = images
        return stored

    def _streaming(self, parts: Sequence[Part]) -> list[Split]:
        from archspec.data.streaming import Loader, StreamingSplit, worker_count

        pin = self.device.type == "cuda"
        splits: list[Split] = []
        for part in parts:
            # A loader each: an epoch's batches under way must survive a look at the others.
            loader = Loader(part.pictures, self.preparation.resize, worker_count(), pin)
            splits.append(StreamingSplit(part.labels, part.rows, loader, self.preparation))
        return splits


def _used(parts: Sequence[Part]) -> list[tuple[Pictures, Tensor]]:
    """Each pictures' rows that any part uses, ascending."""
    pictures = {id(part.pictures): part.pictures for part in parts}
    return [
        (each, _union([part.rows for part in parts if part.pictures is each]))
        for each in pictures.values()
    ]


def _union(rows: Sequence[Tensor]) -> Tensor:
    """Distinct rows (the parts of a data set never share one), ascending."""
    import torch

    return torch.cat(list(rows)).sort().values
