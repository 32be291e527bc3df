"""Digests of a data set, by which a run that goes on recognises the data it was begun with.

Pictures in memory count with every byte. Files count with their names and sizes, and with their
contents where all of them together have at most `CONTENT` bytes: reading more at every start would
take longer than it is worth, and a picture that was edited hardly ever keeps its size. Of pictures
that a data set reads in a way of its own, `PROBES` are read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from archspec.data.errors import DataError, PictureError
from archspec.data.pictures import Pictures, PictureSets, as_pil

if TYPE_CHECKING:
    from archspec.data.dividing import Part

CONTENT = 1 << 30
PROBES = 32
NAMED = 3
"""Files that a difference names."""


@dataclass(frozen=True)
class Fingerprint:
    """Digests of a data set. `files` maps each file's name to its size and digest, where it is
    made of files; names are relative to the folder that holds all of them."""

    pictures: str
    labels: str
    splits: str
    files: Mapping[str, str]

    @property
    def parts(self) -> dict[str, str]:
        """All but the files, which `pictures` covers."""
        return {"pictures": self.pictures, "labels": self.labels, "splits": self.splits}


def fingerprint(sets: PictureSets, parts: Sequence[Part]) -> Fingerprint:
    """The digests of pictures, labels, and of which are in which split. Raises `DataError`."""
    pictures = [each for each in (sets.train, sets.test, sets.validation) if each is not None]
    paths = [path for each in pictures for path in _paths(each)]
    files = _files(paths) if paths else {}
    contents = [_contents(each) for each in pictures]
    listed = [f"{name}\0{files[name]}" for name in sorted(files)]
    return Fingerprint(
        _digest(text.encode() for text in (*contents, *listed)),
        _digest(_bytes(each.labels) for each in pictures),
        _digest(_bytes(part.rows) for part in parts),
        files,
    )


def difference(
    before: Mapping[str, str], files: Mapping[str, str] | None, now: Fingerprint
) -> str | None:
    """What changed since `before`, which were a fingerprint's parts; None where nothing did.

    `files` were its files, where they are known.
    """
    if before == now.parts:
        return None
    if before.get("pictures") == now.pictures:
        same = before.get("labels") == now.labels
        return "they are divided otherwise" if same else "some have other labels"
    if not files or not now.files:
        return "some are other pictures"
    added = sorted(now.files.keys() - files.keys())
    removed = sorted(files.keys() - now.files.keys())
    changed = sorted(
        name for name in files.keys() & now.files.keys() if _differ(files[name], now.files[name])
    )
    kinds = {"added": added, "removed": removed, "changed": changed}
    counts = [f"{_files_in_words(len(names))} {kind}" for kind, names in kinds.items() if names]
    first = [*added, *removed, *changed]
    more = ", …" if len(first) > NAMED else ""
    return f"{', '.join(counts)} ({', '.join(first[:NAMED])}{more})" if first else "some moved"


def _files_in_words(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _differ(before: str, now: str) -> bool:
    """Sizes always count, digests where both are there."""
    pairs = zip(before.split(" "), now.split(" "), strict=False)
    return any(one != other for one, other in pairs)


def _paths(pictures: Pictures) -> Sequence[str]:
    return getattr(pictures.read, "paths", ())


def _files(paths: Sequence[str]) -> dict[str, str]:
    top = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    try:
        sizes = [os.stat(path).st_size for path in paths]
        whole = sum(sizes) <= CONTENT
        found = {}
        for path, size in zip(paths, sizes, strict=True):
            name = os.path.relpath(os.path.abspath(path), top).replace(os.sep, "/")
            found[name] = f"{size} {_file_digest(path)}" if whole else str(size)
    except OSError as error:
        raise DataError(f"cannot read the picture {error.filename}: {error.strerror}") from None
    return found


def _file_digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _contents(pictures: Pictures) -> str:
    """A digest of pictures that are not files."""
    if pictures.array is not None:
        return _digest([str(tuple(pictures.array.shape)).encode(), _bytes(pictures.array)])
    if _paths(pictures):
        return ""
    step = max(1, len(pictures) // PROBES)
    rows = range(0, len(pictures), step)
    first, again = (_digest(_pixels(pictures, row) for row in rows) for _ in range(2))
    # Some data sets draw their pictures at random: a digest of those would never be the same.
    return first if first == again else ""


def _pixels(pictures: Pictures, row: int) -> bytes:
    assert pictures.read is not None
    try:
        picture = as_pil(pictures.read(row))
    except PictureError:  # it is left out, if it may be
        return f"{row} unreadable".encode()
    return f"{row} {picture.mode} {picture.size}".encode() + bytes(picture.tobytes())


def _bytes(tensor: Tensor) -> Any:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _digest(pieces: Iterable[Any]) -> str:
    """Of some pieces of bytes, each with its length, so that no two lists run into one."""
    digest = hashlib.blake2b(digest_size=32)
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()
