"""The courses of the learning rate. One class adds one, with the fields that belong to it.

A rate is a function of the step alone: nothing accumulates, so a resumed run computes what the
first one did.
"""

import math
from abc import abstractmethod
from typing import Any, ClassVar

from archspec.recipe.settings import Choice, NotNegative, Positive, setting


class Schedule(Choice):
    """A course of the learning rate."""

    entries: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def rate(self, lr: float, step: int, total: int, steps_per_epoch: int) -> float:
        """The learning rate of step `step` (from 0) of `total`, both counted after the warm-up."""


class Constant(Schedule, name="constant"):
    """Always the same."""

    def rate(self, lr: float, step: int, total: int, steps_per_epoch: int) -> float:
        return lr


class StepDecay(Schedule, name="step"):
    """Drops at regular intervals."""

    step_epochs: Positive = setting(30.0, "epochs between two drops", "EPOCHS")
    gamma: Positive = setting(0.1, "factor of a drop", "FACTOR")

    def rate(self, lr: float, step: int, total: int, steps_per_epoch: int) -> float:
        return lr * self.gamma ** math.floor(step / (self.step_epochs * steps_per_epoch))


class Cosine(Schedule, name="cosine"):
    """Half a cosine wave, without restarts (Loshchilov and Hutter, arXiv 1608.03983)."""

    final_lr: NotNegative = setting(0.0, "learning rate at the end", "LR")

    def rate(self, lr: float, step: int, total: int, steps_per_epoch: int) -> float:
        return _between(lr, self.final_lr, step / max(1, total))


class OneCycle(Schedule, name="one_cycle"):
    """Up and down once, as torch's `OneCycleLR` (Smith and Topin, arXiv 1708.07120).

    It rises from lr/25 over the first 30 % of the steps, then falls to a ten-thousandth of the
    start. Both parts follow a cosine.
    """

    def conflict(self, recipe: Any) -> str | None:
        return "`one_cycle` warms up by itself: leave `warmup` out" if recipe.warmup else None

    def rate(self, lr: float, step: int, total: int, steps_per_epoch: int) -> float:
        first, last = lr / 25, lr / 25 / 1e4
        peak = 0.3 * total - 1
        if step <= peak:
            return _between(first, lr, step / peak)
        return _between(lr, last, min(1.0, (step - peak) / max(1e-9, total - 1 - peak)))


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
