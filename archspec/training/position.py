"""How far a run has come, and what of a trainer its future depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from archspec.recipe.recipe import Recipe
from archspec.training.distributed import Processes
from archspec.training.metrics import Figures, Sums
from archspec.training.optimise import Average, Optimizer
from archspec.training.plan import Plan


@dataclass
class Position:
    """How far a run has come: epochs done, batches done in this one, steps in all."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


@dataclass
class Best:
    """The best validation so far, and when it was."""

    accuracy: float = -1.0
    loss: float = math.inf
    epoch: int = -1

    def is_beaten_by(self, figures: Figures) -> bool:
        """Whether the figures are better. A loss that is not finite is worse than any other."""
        mine, theirs = (
            loss if math.isfinite(loss) else math.inf for loss in (self.loss, figures.loss)
        )
        return (figures.accuracy, -theirs) > (self.accuracy, -mine)


class Resumable(Protocol):
    """A trainer, as far as its state is concerned."""

    net: nn.Module
    recipe: Recipe
    device: torch.device
    plan: Plan
    processes: Processes
    history: list[dict[str, Any]]
    position: Position
    best: Best
    average: Average | None
    optimizer: Optimizer
    scaler: torch.amp.GradScaler | None
    sums: Sums
    logged: Tensor
