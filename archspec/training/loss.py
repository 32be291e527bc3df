"""Losses of networks with one output or several."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its customary name)

from archspec.diagnostics.suggestions import did_you_mean
from archspec.recipe.recipe import Recipe
from archspec.training.errors import TrainingError

AUXILIARY = 0.3
"""Weight of an output that exists in training alone: Szegedy et al., arXiv 1409.4842, section 5."""


class Loss:
    """The weighted sum of every output's cross-entropy, summed over the batch.

    It is a sum, because a step may be computed in pieces on several devices. The caller, who knows
    the size of the whole step, divides it.
    """

    def __init__(self, recipe: Recipe, main: str | None, names: tuple[str, ...] = ()) -> None:
        """`names` are the outputs of training; `main` is the one that is evaluated.

        Raises `TrainingError` where the recipe weighs another output, or none at all.
        """
        for name in recipe.loss_weights:
            if name not in names:
                outputs = f"its outputs are {', '.join(names)}" if names else "it has one output"
                near = did_you_mean(name, names)
                raise TrainingError(
                    f"loss_weights: the network has no output {name!r}: {near or outputs}"
                )
        self.smoothing = recipe.label_smoothing
        self.weights = {
            name: recipe.loss_weights.get(name, 1.0 if name == main else AUXILIARY)
            for name in names
        }
        if names and not any(self.weights.values()):
            raise TrainingError("loss_weights: every output has the weight 0: nothing would learn")
        self.main = main

    @property
    def has_idle_outputs(self) -> bool:
        """Whether some output has no part in the loss, so that nothing learns from it."""
        return not all(self.weights.values())

    def __call__(self, output: Tensor | Mapping[str, Tensor], labels: Tensor) -> Tensor:
        if isinstance(output, Tensor):
            return self._one(output, labels)
        parts = [
            weight * self._one(output[name], labels)
            for name, weight in self.weights.items()
            if weight and name in output
        ]
        return sum(parts[1:], parts[0])

    def logits(self, output: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The output that classes are taken from."""
        return output if isinstance(output, Tensor) else output[self.main or next(iter(output))]

    def _one(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(
            logits.float(), labels, reduction="sum", label_smoothing=self.smoothing
        )
