"""How the images of a data set are kept: on the device, or read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from archspec.data import memory
from archspec.data.dividing import Part, used
from archspec.data.errors import DataError
from archspec.data.memory import readable
from archspec.data.pictures import LoadedPictures, Pictures, for_each_readable, with_channels
from archspec.data.prepare import Preparation
from archspec.data.resident import ResidentSplit
from archspec.data.split import Split
from archspec.data.streaming import Loader, StreamingSplit, worker_count
from archspec.data.survey import Progress
from archspec.data.unreadable import Fault, Unreadable, unreadable_error

FREE_SHARE = 4
"""Images stay on the device where they take at most this part (a quarter) of its free memory."""

LOAD_AT_ONCE = 256

MID_RUN = (
    "repair it and go on with --resume; or begin a run with --skip-unreadable, which decodes every "
    "picture first and leaves out those that fail"
)


def load_all(load: Callable[[list[int]], LoadedPictures], rows: list[int]) -> Tensor:
    """Some pictures, all of which must be readable. Runs in worker processes."""
    images, bad = load(rows)
    if bad:
        raise unreadable_error([fault.line for fault in bad], MID_RUN)
    return images


def undecodable(pictures: Pictures, rows: list[int]) -> list[Fault]:
    """Those of some pictures that cannot be decoded. Runs in worker processes."""
    return for_each_readable(rows, pictures.picture)


@dataclass(frozen=True)
class Keeper:
    """Keeps images of a `shape` (channels, height, width) on `device` or streams them to it."""

    preparation: Preparation
    shape: tuple[int, int, int]
    device: torch.device
    progress: Progress

    def keep(
        self, parts: Sequence[Part], resident: bool | None, bad: Unreadable, skip: bool
    ) -> tuple[list[Part], list[Split], str]:
        """What is left of each part, its split, and which way was chosen and why.

        Pictures that cannot be read are added to `bad`, and left out if that is to `skip` them.
        Raises `DataError`.
        """
        stay, figures = self._choice(parts, resident)
        stored = {}
        if stay:
            stored = {id(each): self._stored(each, rows, bad) for each, rows in used(parts)}
        elif skip:
            for pictures, rows in used(parts):
                self._check(pictures, bad.without(pictures, rows), bad)
        if len(bad) and not skip:
            raise bad.error()
        left = [part.without(bad) for part in parts]
        count = sum(len(part.rows) for part in left)
        if stay:
            kept: list[Split] = [self._resident(part, *stored[id(part.pictures)]) for part in left]
            return left, kept, f"{count:,} images stay on the device: {figures}"
        streamed = [self._streaming(part) for part in left]
        return left, streamed, f"{count:,} images are streamed: {figures}"

    def _choice(self, parts: Sequence[Part], resident: bool | None) -> tuple[bool, str]:
        size = sum(self._bytes(pictures, rows) for pictures, rows in used(parts))
        free = memory.free_memory(self.device)
        fits = size * FREE_SHARE <= free
        available = f"{readable(free)} free on {self.device}"
        if resident and size > free:
            raise DataError(
                f"the images do not fit: {readable(size)} of {available}",
                "leave `resident` out, and they are streamed",
            )
        part = "at most a quarter" if fits else "more than a quarter"
        why = "as asked" if resident is not None else f"{part} of {available}"
        return fits if resident is None else resident, f"{readable(size)}, {why}"

    def _bytes(self, pictures: Pictures, rows: Tensor) -> int:
        _, height, width = self.shape if pictures.array is None else pictures.array.shape[1:]
        return len(rows) * self.shape[0] * height * width

    def _resident(self, part: Part, rows: Tensor, stored: Tensor) -> Split:
        places = torch.searchsorted(rows, part.rows)
        return ResidentSplit(part.labels, part.rows, stored, places, self.preparation)

    def _streaming(self, part: Part) -> Split:
        # A loader each: an epoch's batches under way must survive a look at the others.
        loader = Loader(
            partial(load_all, self._load(part.pictures)),
            worker_count(),
            pin=self.device.type == "cuda",
        )
        return StreamingSplit(part.labels, part.rows, loader, self.preparation)

    def _load(self, pictures: Pictures) -> Callable[[list[int]], LoadedPictures]:
        return partial(pictures.load, channels=self.shape[0], resize=self.preparation.resize)

    def _stored(self, pictures: Pictures, rows: Tensor, bad: Unreadable) -> tuple[Tensor, Tensor]:
        """Rows that can be read and their bytes, which are in memory, or all to be read once."""
        if pictures.array is not None:
            array = pictures.array if len(rows) == len(pictures) else pictures.array[rows]
            return rows, with_channels(array, self.shape[0]).to(self.device)
        rows = bad.without(pictures, rows)
        workers = worker_count() if len(rows) > LOAD_AT_ONCE else 0
        stored = torch.empty(len(rows), *self.shape, dtype=torch.uint8)
        done = filled = 0
        loader = Loader(self._load(pictures), workers, pin=False)
        for loaded in loader.read(rows, LOAD_AT_ONCE):
            stored[filled:][: len(loaded.images)] = loaded.images
            bad.add(pictures, loaded.bad)
            filled += len(loaded.images)
            done += len(loaded.images) + len(loaded.bad)
            self.progress("reading pictures", done, len(rows))
        return bad.without(pictures, rows), stored[:filled].to(self.device)

    def _check(self, pictures: Pictures, rows: Tensor, bad: Unreadable) -> None:
        """Decodes pictures that will be streamed, to know those that cannot be."""
        if pictures.array is not None:
            return
        workers = worker_count() if len(rows) > LOAD_AT_ONCE else 0
        done = Loader(partial(undecodable, pictures), workers, pin=False).read(rows, LOAD_AT_ONCE)
        for index, faults in enumerate(done):
            bad.add(pictures, faults)
            self.progress(
                "checking pictures", min(len(rows), (index + 1) * LOAD_AT_ONCE), len(rows)
            )
