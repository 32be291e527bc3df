"""The pictures of a data set that cannot be read. A message names all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from archspec.data.errors import DataError

SHOWN = 10
"""Pictures named in a message; it says how many more there are."""

REMEDY = "repair or remove them; --skip-unreadable goes on without them"


class Fault(NamedTuple):
    """The row of a picture that cannot be read, and its name with the reason."""

    row: int
    line: str


class Unreadable:
    """The faults found so far, by the pictures they are among."""

    def __init__(self) -> None:
        self._faults: dict[int, list[Fault]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._faults.values()))

    def add(self, pictures: object, faults: Iterable[Fault]) -> None:
        self._faults.setdefault(id(pictures), []).extend(faults)

    def without(self, pictures: object, rows: Tensor) -> Tensor:
        """`rows` less those that cannot be read."""
        bad = [fault.row for fault in self._faults.get(id(pictures), ())]
        return rows[~torch.isin(rows, torch.tensor(bad, dtype=rows.dtype))] if bad else rows

    def error(self) -> DataError:
        """Names them, and says what would help."""
        return unreadable_error(self.lines, REMEDY)

    def statement(self, total: int) -> str:
        """A line on those that are left out."""
        return (
            f"unreadable: {len(self):,} of {total:,} pictures are left out: "
            f"{'; '.join(bounded(self.lines))}"
        )

    @property
    def lines(self) -> list[str]:
        return sorted(fault.line for faults in self._faults.values() for fault in faults)


def unreadable_error(lines: Sequence[str], help: str | None) -> DataError:
    """The error that names those pictures."""
    if len(lines) == 1:
        return DataError(f"cannot read the picture {lines[0]}", help)
    return DataError("\n  ".join([f"cannot read {len(lines):,} pictures:", *bounded(lines)]), help)


def bounded(lines: Sequence[str]) -> list[str]:
    """The first of some lines, and how many more there are."""
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
