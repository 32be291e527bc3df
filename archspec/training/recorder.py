"""Writes a run down: metrics, TensorBoard events, checkpoints."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from archspec.training.errors import TrainingError
from archspec.training.loop import Listener, Row
from archspec.training.store import checkpoint
from archspec.training.store.files import cannot_write
from archspec.training.store.records import finite
from archspec.training.store.runs import Run

if TYPE_CHECKING:
    from archspec.training.loop import Trainer


class Recorder(Listener):
    """Keeps a run's folder up to date; only the first of several processes writes."""

    def __init__(self, run: Run, about: dict[str, Any]) -> None:
        """`about` goes into every checkpoint: what it is bound to, as `trees.Bound` has it."""
        self.run, self.about = run, about
        self.events: Any = None

    def on_interval(self, trainer: Trainer, row: Row) -> None:
        self._write(trainer, row, "interval")

    def on_epoch(self, trainer: Trainer, row: Row) -> None:
        self._write(trainer, row, "epoch")

    def on_save(self, trainer: Trainer, best: bool) -> None:
        tree = {**self.about, **trainer.state()}
        if trainer.processes.is_main:
            folder = self.run.checkpoints
            if best:
                kept = tree["average"] or tree["model"]
                checkpoint.save(
                    folder / checkpoint.BEST,
                    {**self.about, "epoch": trainer.position.epoch, "model": kept},
                )
            checkpoint.save_last(folder, tree)
        trainer.processes.wait()

    def on_end(self) -> None:
        if self.events is not None:
            self.events.close()

    def _write(self, trainer: Trainer, row: Row, kind: str) -> None:
        if not trainer.processes.is_main:
            return
        try:
            with self.run.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite(row)) + "\n")
        except OSError as error:
            raise TrainingError(cannot_write(self.run.metrics, error)) from None
        for key, value in row.items() if self._has_events(row["step"]) else ():
            if isinstance(value, float) and key not in ("epoch", "seconds_left"):
                self.events.add_scalar(f"{kind}/{key}", value, row["step"])

    def _has_events(self, step: int) -> bool:
        """Opens the file of events when there is something for it: the import takes a while."""
        if self.events is None and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            folder = self.run.folder / "tensorboard"
            try:
                self.events = SummaryWriter(str(folder), purge_step=step)
            except OSError as error:
                raise TrainingError(cannot_write(folder, error)) from None
        return self.events is not None
