"""Scikit-learn's written digits: 1,797 real grey images of 8×8 that come with the package."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.data.errors import INSTALL, DataError
from archspec.data.registry import register

if TYPE_CHECKING:
    from archspec.data.pictures import PictureSets

WHITE = 16
"""The largest value of a pixel in the file."""


# So few images need small batches and more epochs.
@register("digits", {"batch_size": 16, "epochs": 20, "optimizer": "adam", "lr": 0.001})
def digits(root: Path) -> PictureSets:
    """Written digits: 1,797 grey images of 8×8 in ten classes (Alpaydin and Kaynak 1998)."""
    import numpy
    import torch

    from archspec.data.pictures import Pictures, PictureSets

    # Importing scikit-learn (and scipy with it) takes seconds; its file needs neither.
    with gzip.open(_file(), "rt", encoding="ascii") as text:
        table = torch.from_numpy(numpy.loadtxt(text, delimiter=",", dtype=numpy.int64))
    values = (table[:, :-1] * 255 / WHITE).round().to(torch.uint8)
    pictures = Pictures(table[:, -1].clone(), values.view(-1, 1, 8, 8))
    return PictureSets(tuple(map(str, range(10))), pictures)


def _file() -> Path:
    spec = find_spec("sklearn")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return file
    raise DataError("`digits` comes with scikit-learn", INSTALL)
