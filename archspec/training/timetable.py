"""What of a step follows from its number alone: its learning rate, and how the average moves."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from archspec.recipe.recipe import Recipe
from archspec.training.optimise import renewed_share
from archspec.training.plan import Plan
from archspec.training.position import Position
from archspec.training.schedule import learning_rate


class Moment(NamedTuple):
    """A step: its number (from 0), its learning rate, and the share of the average that it renews.

    They are plain numbers, or tensors without axes on the device.
    """

    step: int | Tensor
    lr: float | Tensor
    renewed: float | Tensor


class Timetable:
    """The moments of an epoch.

    With `on_device`, rates and shares lie there as one float32 table, (steps of an epoch, 2), that
    stays in its place: a step then reads them without a copy from the CPU.
    """

    def __init__(
        self, recipe: Recipe, plan: Plan, device: torch.device, *, on_device: bool
    ) -> None:
        self.recipe, self.plan, self.on_device = recipe, plan, on_device
        self.table = torch.zeros(plan.steps if on_device else 0, 2, device=device)
        self._first = -1

    def moment(self, position: Position) -> Moment:
        """The step at a position."""
        if not self.on_device:
            return self._numbers(position.step)
        self.prepare(position)
        lr, renewed = self.table[position.batch].unbind()
        return Moment(position.step, lr, renewed)

    def at(self, first: Tensor, batch: Tensor) -> Moment:
        """The moment of the batch of that number in the epoch whose first step is `first`.

        Both are int64 of shape (1,) on the device. What they hold when the step runs counts.
        """
        lr, renewed = self.table.index_select(0, batch)[0].unbind()
        return Moment((first + batch)[0], lr, renewed)

    def prepare(self, position: Position) -> None:
        """Writes the table of the epoch that the position is in."""
        first = position.step - position.batch
        if first != self._first:
            moments = [self._numbers(first + batch) for batch in range(len(self.table))]
            self.table.copy_(torch.tensor([[each.lr, each.renewed] for each in moments]))
            self._first = first

    def _numbers(self, step: int) -> Moment:
        lr = learning_rate(self.recipe, step, self.plan.steps)
        return Moment(step, lr, renewed_share(self.recipe.ema or 0.0, step + 1))
