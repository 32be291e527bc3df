"""Which images a step sees: the order of an epoch, its batches, and each process's share.

All of it follows from (seed, epoch, number of images, batch size, processes), so a run that was
killed, or goes on with another number of processes, sees each image exactly once an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from archspec.training.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from archspec.recipe.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """The batches of every epoch over `count` images.

    A last batch of fewer than `least` images joins the one before it: batch statistics need two
    images in every process.
    """

    count: int
    batch_size: int
    seed: int
    least: int = 1

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Start and stop of each batch within the epoch's order."""
        starts = list(range(0, self.count, self.batch_size))
        if len(starts) > 1 and self.count - starts[-1] < min(self.least, self.batch_size):
            starts.pop()
        return tuple(zip(starts, [*starts[1:], self.count], strict=True))

    @property
    def steps(self) -> int:
        """Optimiser steps in an epoch."""
        return len(self.bounds)

    def order(self, epoch: int) -> Tensor:
        """The order in which an epoch sees the images."""
        import torch

        return torch.randperm(self.count, generator=self.generator(epoch))

    def generator(self, epoch: int, purpose: int = 0) -> torch.Generator:
        """A generator for one purpose of one epoch (0: the order, 1: augmentation)."""
        import torch

        # The seeds of torch's Mersenne twister are hashed from all 64 bits: neighbours are
        # as good as any.
        seed = (self.seed * 1_000_003 + epoch) * 16 + purpose
        return torch.Generator().manual_seed(seed % 2**63)

    def shares(self, rank: int, world: int) -> list[tuple[int, int]]:
        """Start and stop, within the order, of what one process takes of each batch.

        A process may have nothing of a batch that is smaller than the number of processes.
        """
        shares = []
        for start, stop in self.bounds:
            size = stop - start
            shares.append((start + size * rank // world, start + size * (rank + 1) // world))
        return shares


def runs_of(sizes: list[int]) -> list[tuple[int, int]]:
    """Consecutive equal sizes as (size, how many): `[8, 8, 5]` is `[(8, 2), (5, 1)]`."""
    runs: list[tuple[int, int]] = []
    for size in sizes:
        if runs and runs[-1][0] == size:
            runs[-1] = (size, runs[-1][1] + 1)
        else:
            runs.append((size, 1))
    return runs


def plan_of(recipe: Recipe, net: nn.Module, images: int, world: int) -> Plan:
    """The batches of an epoch. Raises `TrainingError` where they cannot be computed."""
    batch = int(recipe.batch_size)
    if batch % world:
        raise TrainingError(
            f"a batch of {batch} images cannot be shared by {world} processes: "
            f"--batch-size {batch // world * world or world} can"
        )
    least = 2 * world * recipe.accumulate if _has_batch_statistics(net) else 1
    plan = Plan(images, batch, recipe.seed, least)
    _check_smallest(plan, least, world * recipe.accumulate)
    return plan


def _has_batch_statistics(net: nn.Module) -> bool:
    """Whether a layer takes means over the images of a step."""
    from torch.nn.modules.batchnorm import _BatchNorm

    from archspec.runtime.modules import BatchNormScratch

    return any(isinstance(module, _BatchNorm | BatchNormScratch) for module in net.modules())


def _check_smallest(plan: Plan, least: int, pieces: int) -> None:
    """Refuse steps in which a process or piece would have one image, of which no mean is taken."""
    smallest = min(stop - start for start, stop in plan.bounds)
    if smallest >= least:
        return
    each = f" in each of its {pieces} parts" if pieces > 1 else ""
    remedy = f"--batch-size {least} or more" if plan.count >= least else "more training images"
    raise TrainingError(
        f"the network has batch normalisation, which needs two images{each}, and a step has "
        f"{smallest}: it takes {remedy}"
    )
