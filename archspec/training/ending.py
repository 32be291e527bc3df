"""The end of a run: the best weights, the figures of the last and the best, and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from archspec.training import state
from archspec.training.errors import TrainingError
from archspec.training.evaluate import Evaluation
from archspec.training.loop import Row, Trainer
from archspec.training.report import write_report
from archspec.training.store import checkpoint
from archspec.training.store.files import write_text
from archspec.training.store.records import finite
from archspec.training.store.runs import Run
from archspec.training.store.trees import Kept, check_form


@dataclass(frozen=True)
class Finished:
    """A run that came to its end: the network with its best weights, and all figures."""

    net: nn.Module
    history: list[Row]
    result: dict[str, Any]
    run: Run
    is_main: bool = True
    """Whether this process, of several, is the one that writes and speaks."""


def close(trainer: Trainer, run: Run) -> Finished:
    """Evaluates the best weights, writes the figures and the report, and returns them."""
    last = _figures(trainer, trainer.position.epoch)
    best_epoch = _load_best(trainer, run)
    confusion = trainer.evaluate("test")
    best = _figures(trainer, best_epoch, confusion)
    result = finite({"best": best, "last": last, "epochs": trainer.position.epoch})
    if trainer.processes.is_main:
        import json

        result = {"run": run.about()["run"], **result}
        write_text(run.folder / "result.json", json.dumps(result, indent=2) + "\n")
        matrix = confusion.confusion.tolist()
        write_report(run, trainer.history, matrix, trainer.data.classes)
    trainer.processes.wait()
    return Finished(trainer.evaluated, trainer.history, result, run, trainer.processes.is_main)


def _load_best(trainer: Trainer, run: Run) -> int:
    """Gives the evaluated network its best weights, and returns their epoch.

    All processes evaluate the same ones: the last, where one of them cannot read the best.
    """
    tree, wrong = {}, None
    try:
        tree = _best(trainer, run)
    except TrainingError as error:
        wrong = error
    failed = torch.tensor(float(wrong is not None), device=trainer.device)
    if trainer.processes.largest(failed).item():
        what = wrong or "another process cannot read the best weights"
        trainer.say(f"{what}. The last weights stand in for the best")
        return trainer.position.epoch
    state.load_weights(trainer.evaluated, tree["model"])
    return int(tree["epoch"])


def _best(trainer: Trainer, run: Run) -> dict[str, Any]:
    path = run.checkpoints / checkpoint.BEST
    tree = checkpoint.load(path)
    check_form(Kept, path, tree)
    if tree["run"] != run.about()["run"]:
        raise checkpoint.DamagedError(f"{path} belongs to another run")
    own = trainer.evaluated.state_dict()
    state.check_same(own, tree["model"], "weights of another network")
    return tree


def _figures(trainer: Trainer, epoch: int, test: Evaluation | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"epoch": epoch}
    for split in ("validation", "test"):
        given = test if split == "test" else None
        figures = (given or trainer.evaluate(split)).figures
        if figures.examples:
            found[split] = {"loss": figures.loss, "accuracy": figures.accuracy}
    return found
