"""The batches of one process in the rest of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from archspec.training.distributed import Processes
from archspec.training.plan import Plan, runs_of
from archspec.training.position import Position

if TYPE_CHECKING:
    from archspec.data import Split


class Batch(NamedTuple):
    """This process's part of a step over `total` images. With a `weight` of 0 it does not count."""

    images: Tensor
    labels: Tensor
    weight: float
    total: int


def training_batches(
    split: Split, plan: Plan, position: Position, processes: Processes, device: torch.device
) -> Iterator[Batch]:
    """The rest of the epoch at `position`, which the caller advances.

    The data path is asked for runs of batches of one size. It augments by the generator's seed and
    the number of each image, so an epoch that was cut anywhere goes on with the same pixels.
    """
    generator = plan.generator(position.epoch, 1)
    order, shares = plan.order(position.epoch), plan.shares(processes.rank, processes.world)
    totals = [stop - start for start, stop in plan.bounds]
    done, first = position.batch, 0
    for size, count in runs_of([stop - start for start, stop in shares]):
        skip = min(max(done - first, 0), count)
        if skip < count:
            mine = [order[start:stop] for start, stop in shares[first : first + count]]
            found = _run(split, size, mine, skip, device, generator)
            for index, (images, labels) in enumerate(found, first + skip):
                yield Batch(images, labels, float(size > 0), totals[index])
        first += count


def _run(
    split: Split,
    size: int,
    parts: list[Tensor],
    skip: int,
    device: torch.device,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of equal size.

    A process whose share is empty computes one image, to take part in the exchange of gradients.
    """
    if size:
        order, start = torch.cat(parts), skip * size
    else:
        size, order, start = 1, torch.zeros(len(parts), dtype=torch.long), skip
    return split.batches(
        size, order=order, start=start, device=device, training=True, generator=generator
    )
