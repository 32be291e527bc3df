"""Which pictures are for training, for validation and for the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from archspec.data.errors import DataError
from archspec.data.pictures import Pictures, PictureSets
from archspec.data.stratify import stratified
from archspec.data.unreadable import Unreadable

TEST_SHARE = 0.2
"""What is split off for the test where a data set brings no test images."""


class Part(NamedTuple):
    """Rows of some pictures: one split."""

    pictures: Pictures
    rows: Tensor

    @property
    def labels(self) -> Tensor:
        return self.pictures.labels[self.rows]

    def without(self, unreadable: Unreadable) -> Part:
        return Part(self.pictures, unreadable.without(self.pictures, self.rows))


def divide(
    sets: PictureSets,
    seed: int,
    validation: float | int,
    limit_train: int | None,
    limit_test: int | None,
) -> tuple[Part, Part, Part]:
    """Training, validation and test rows, each stratified and drawn from one generator.

    They follow from the labels alone: a picture that turns out to be unreadable, or is repaired
    later, moves no other from one part to another. Raises `DataError`.
    """
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
    chosen, others = stratified(part.labels, count, generator)
    return Part(part.pictures, part.rows[chosen]), Part(part.pictures, part.rows[others])


def _limited(part: Part, limit: int | None, generator: torch.Generator) -> Part:
    if limit is None or limit >= len(part.rows):
        return part
    chosen, _ = stratified(part.labels, limit, generator, share_out=False)
    return Part(part.pictures, part.rows[chosen])


def used(parts: Sequence[Part]) -> list[tuple[Pictures, Tensor]]:
    """Each pictures' rows that any part uses, ascending (no two parts share one)."""
    pictures = {id(part.pictures): part.pictures for part in parts}
    return [
        (each, torch.cat([part.rows for part in parts if part.pictures is each]).sort().values)
        for each in pictures.values()
    ]


def classes_left_out(parts: Sequence[Part], classes: Sequence[str]) -> list[str]:
    """A line for each part that has images, but none of some classes."""
    lines = []
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        counts = torch.bincount(part.labels, minlength=len(classes)).tolist()
        none = [each for each, count in zip(classes, counts, strict=True) if not count]
        if none and len(part.rows):
            more = f" and {len(none) - 5} more" if len(none) > 5 else ""
            lines.append(f"classes: no {name} images of {', '.join(none[:5])}{more}")
    return lines
