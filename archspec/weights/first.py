"""The weights that a training run begins with, where they are not drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from torch import nn

from archspec.weights.load import load_weights
from archspec.weights.read import Weights
from archspec.weights.rename import Renames


@dataclass(frozen=True)
class FirstWeights:
    """Trained weights, as `archspec.weights.load_weights` takes them.

    With `partial`, what does not fit keeps the values that follow from the run's seed.
    """

    weights: Weights
    renames: Renames | None = None
    partial: bool = False

    @property
    def source(self) -> str:
        """What run.json and messages call them."""
        return "the given mapping" if isinstance(self.weights, dict) else str(self.weights)

    def load(self, net: nn.Module, network: str) -> tuple[str, dict[str, Any]]:
        """Loads them. Returns what became of each key in words, and the record of it for run.json.

        Raises `WeightsError`.
        """
        report = load_weights(
            net, self.weights, renames=self.renames, partial=self.partial, network=network
        )
        state, digest = net.state_dict(), hashlib.sha256()
        for key in report.matched:
            digest.update(key.encode())
            digest.update(state[key].detach().cpu().contiguous().flatten().numpy().tobytes())
        record = {
            "source": self.source,
            "sha256": digest.hexdigest(),
            "taken": len(report.matched),
            "drawn": [key for key in state if key not in set(report.matched)],
        }
        return str(report), record
