"""A look at pictures before they are decoded: whether they can be read, their colours and sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from archspec.data.dividing import Part, used
from archspec.data.errors import DataError
from archspec.data.pictures import Pictures, differ_in_size, for_each_readable
from archspec.data.reading import PictureForm
from archspec.data.resize import Resize
from archspec.data.streaming import Loader, worker_count
from archspec.data.unreadable import Fault, Unreadable

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many pictures it is done for, and of how many."""

PROBES = 32
"""Pictures that are looked at where each look decodes one, and nothing depends on the result."""

CHUNK = 256
FEW = 4096
"""Up to so many pictures, one process is quicker than starting others."""


def look(pictures: Pictures, rows: list[int]) -> tuple[Counter[PictureForm], list[Fault]]:
    """The forms of some pictures, counted, and those that cannot be read.

    Runs in worker processes.
    """
    forms: Counter[PictureForm] = Counter()
    bad = for_each_readable(rows, lambda row: forms.update([pictures.form(row)]))
    return forms, bad


@dataclass(frozen=True)
class Survey:
    """What was found: how many pictures there are of each form (a few, where not `whole`)."""

    forms: Counter[PictureForm]
    whole: bool

    def shape(self, channels: int | None, size: Resize) -> tuple[int, int, int]:
        """Channels (those asked for, or else found), height and width. Raises `DataError`."""
        found = {form.channels for form in self.forms}
        if found != {channels} and not (found <= {1, 3} and channels in (None, 1, 3)):
            if channels is None and len(found) == 1:
                channels = found.pop()
            else:
                raise DataError(_no_conversion(found, channels))
        sizes = {(form.height, form.width) for form in self.forms}
        if size is None and len(sizes) > 1:
            raise differ_in_size()
        return (channels or max(found), *(size or sizes.pop()))

    def conversion(self, channels: int) -> list[str]:
        """A line where pictures are brought to another number of channels."""
        other = sum(n for form, n in self.forms.items() if form.channels != channels)
        if not other:
            return []
        total = self.forms.total()
        how_many = f"all {total:,}" if other == total else f"{other:,} of {total:,}"
        what = {
            1: "pictures are in colour and are made grey",
            3: "pictures are grey and get three equal channels",
        }[channels]
        return [f"channels: {how_many} {what}" if self.whole else f"channels: {what}"]


def survey(
    parts: Sequence[Part],
    channels: int | None,
    size: Resize,
    unreadable: Unreadable,
    progress: Progress,
) -> Survey:
    """Looks at the pictures in use, or at all of the set where they decide on grey or colour.

    Those that cannot be read are added to `unreadable`. Raises `DataError`.
    """
    forms: Counter[PictureForm] = Counter()
    whole = True
    for pictures, rows in used(parts):
        if pictures.array is not None:
            forms[pictures.form(0)] += len(rows)
            continue
        looked_at = rows
        if channels is None:
            looked_at = torch.arange(len(pictures))
        elif pictures.look is None and size is not None:
            whole = False
            looked_at = rows[:: max(1, len(rows) // PROBES)]
        some, bad = _looked(pictures, looked_at, progress)
        forms += some
        in_use = set(rows.tolist()) if bad else set()
        unreadable.add(pictures, [fault for fault in bad if fault.row in in_use])
    if not forms and len(unreadable):
        raise unreadable.error()
    return Survey(forms, whole)


def _looked(
    pictures: Pictures, rows: Tensor, progress: Progress
) -> tuple[Counter[PictureForm], list[Fault]]:
    forms: Counter[PictureForm] = Counter()
    bad: list[Fault] = []
    loader = Loader(partial(look, pictures), worker_count() if len(rows) > FEW else 0, pin=False)
    for index, (some, faults) in enumerate(loader.read(rows, CHUNK)):
        forms += some
        bad += faults
        progress("looking at pictures", min(len(rows), (index + 1) * CHUNK), len(rows))
    return forms, bad


def _no_conversion(found: set[int], channels: int | None) -> str:
    have = " and ".join(map(str, sorted(found)))
    if channels is None:
        return f"the images have different numbers of channels ({have})"
    return (
        f"images of {have} channel{'s' * (found != {1})} cannot be brought to {channels}: "
        "grey (1) and colour (3) can, one to the other"
    )
