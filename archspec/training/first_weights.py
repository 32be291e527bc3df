"""The weights that a run begins with, where they are not drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from archspec.training.errors import TrainingError

if TYPE_CHECKING:
    from archspec.training.store.runs import Run
    from archspec.weights import Renames, Weights


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
        from archspec.weights import load_weights

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


def check_first_weights(run: Run, asked: FirstWeights | None) -> None:
    """Raises `TrainingError` where a run that goes on was begun with other weights than asked for.

    The weights themselves are not read again: the checkpoint has what became of them.
    """
    if asked is None:
        return
    begun = run.about().get("weights")
    if begun is None or begun["source"] != asked.source:
        before = f"the weights {begun['source']}" if begun else "weights drawn from its seed"
        raise TrainingError(
            f"{run.folder} was begun with {before}, and cannot go on with {asked.source}: "
            "leave --weights out, or begin a new run"
        )
