"""The trainer: `train` is all that most callers need. Nothing here imports torch by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from archspec.record import Record

if TYPE_CHECKING:
    from torch import nn

    from archspec.architecture import Architecture
    from archspec.recipe.recipe import Recipe
    from archspec.training.loop import Listener, Trainer
    from archspec.weights import Renames, Weights


class Trained(Record):
    """What `train` returns: the network with its best weights, and a row of figures an epoch."""

    net: nn.Module
    history: list[dict[str, Any]]


def train(
    arch: Architecture | str | PathLike[str],
    *,
    run: str | PathLike[str] | None = None,
    resume: bool = False,
    data_root: str | PathLike[str] | None = None,
    config: str | PathLike[str] | None = None,
    listeners: Sequence[Listener] = (),
    trainer: type[Trainer] | None = None,
    quiet: bool = True,
    weights: Weights | None = None,
    renames: Renames | None = None,
    partial: bool = False,
    **recipe: Any,
) -> Trained:
    """Trains a network: `net, history = archspec.train(arch, dataset="digits", epochs=3)`.

    `arch` may be a spec that `archspec.load` takes. The recipe is the spec's `train:`, then the
    `config` file, then the keywords. `run` is the folder that everything is written to (a new one
    below `runs/` unless given); `resume` continues what is in it. A new run begins with `weights`,
    a file or whatever else `load_weights` takes, with `renames` and `partial` as there. Nothing is
    printed unless `quiet` is false. `listeners` hear of intervals, epochs and checkpoints; a
    subclass of `Trainer` may change the step.

    Raises `SpecError`, `TrainingError`, or `DataError`; `Stopped` where a signal asked for it.
    """
    from pathlib import Path

    from archspec.data.opening import nothing_shown
    from archspec.training import session
    from archspec.training.loop import Trainer as PlainTrainer
    from archspec.training.progress import PlainProgress, PlainReading
    from archspec.weights.first import FirstWeights

    if isinstance(arch, str | PathLike):
        from archspec.loading import load, raise_warnings

        arch = load(arch, warn=False)
        raise_warnings(arch)
    given = (*listeners,) if quiet else (PlainProgress(), *listeners)
    finished = session.train(
        session.Session(
            arch=arch,
            recipe=recipe_for(arch, config, recipe),
            folder=None if run is None else Path(run),
            data_root=None if data_root is None else str(data_root),
            resume=resume,
            weights=None if weights is None else FirstWeights(weights, renames, partial),
            listeners=given,
            trainer=trainer or PlainTrainer,
            say=_nothing if quiet else print,
            reading=nothing_shown if quiet else PlainReading(),
        )
    )
    return Trained(finished.net, finished.history)


def recipe_for(
    arch: Architecture, config: str | PathLike[str] | None, given: Mapping[str, Any]
) -> Recipe:
    """The recipe that `train` would use. Raises `SpecError`."""
    from pathlib import Path

    from archspec.recipe.layers import RecipeLayer, file_layer, located_layer
    from archspec.recipe.recipe import layers_for, resolve

    own = located_layer(arch.located_recipe)
    return resolve(
        layers_for(own, file_layer(Path(config)) if config else None, RecipeLayer(given))
    )


def _nothing(line: str) -> None:
    pass


__all__ = ["Trained", "recipe_for", "train"]
