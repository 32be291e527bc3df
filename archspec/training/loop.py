"""The training loop: epochs, steps, evaluation, and when to save."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from archspec.training import state
from archspec.training.device import synchronise
from archspec.training.errors import Stopped, TrainingError
from archspec.training.evaluate import Evaluation, evaluate
from archspec.training.finite import FiniteCheck
from archspec.training.layouts import FORMATS
from archspec.training.metrics import Figures, figures_of
from archspec.training.position import Best
from archspec.training.schedule import learning_rate
from archspec.training.signals import stoppable
from archspec.training.store.records import finite
from archspec.training.updates import ADVICE, Updates

Row = dict[str, Any]
AGREE_EVERY = 10
"""Steps after which processes ask each other whether any wants to stop or to save."""


class Listener:
    """Hears how a run goes. Each method does nothing unless a subclass gives it something to do."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step (of this process)."""

    def on_interval(self, trainer: Trainer, row: Row) -> None:
        """Every `log_every` seconds, with the means since the last time."""

    def on_epoch(self, trainer: Trainer, row: Row) -> None:
        """After each epoch, with all its figures."""

    def on_save(self, trainer: Trainer, best: bool) -> None:
        """When `trainer.state()` should be written. `best`: its weights are the best so far."""

    def on_end(self) -> None:
        """When the run ends, in whatever way."""


@dataclass
class Trainer(Updates):
    """Trains `net`. To change the step, override `forward`; for the rest there are listeners."""

    listeners: tuple[Listener, ...] = ()
    history: list[Row] = field(default_factory=list)
    best: Best = field(default_factory=Best)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.logged = torch.zeros_like(self.sums.total)
        self.stop_signal = 0
        kept = (self.net, self.average.net) if self.average else (self.net,)
        self.finite_check = FiniteCheck(kept, self.processes)

    # --- the run -------------------------------------------------------------------------------

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.recipe, self.position.step, self.plan.steps)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and kept: the average where there is one."""
        return self.net if self.average is None else self.average.net

    def state(self) -> dict[str, Any]:
        """All that the run's future depends on, as a tree of tensors and plain values.

        `checkpoint.save` writes such a tree. Every one of several processes must call this.
        """
        return state.take(self)

    def fit(self) -> None:
        """Trains to the end. Raises `Stopped` after a signal, `TrainingError` where it cannot."""
        with stoppable(self.ask_to_stop):
            try:
                for listener in self.listeners:
                    listener.on_start(self)
                self.prepare_steps()
                if not self.position.step:
                    self._save()
                while self.position.epoch < self.recipe.epochs and not self._is_out_of_patience():
                    self._epoch()
            finally:
                for listener in self.listeners:
                    listener.on_end()

    def _epoch(self) -> None:
        started, steps_before = time.monotonic(), self.position.batch
        if not self.position.batch:
            self.sums.reset()
            self.logged.zero_()
        self._start_interval()
        self.model.train()
        for _ in self.steps():
            self._between_steps()
        self._log()
        synchronise(self.device)
        seconds = time.monotonic() - started
        share = (self.plan.steps - steps_before) / self.plan.steps
        self._finish_epoch(seconds, self.plan.count * share / max(seconds, 1e-9))

    def ask_to_stop(self, number: int) -> None:
        """Save and stop after the present step, as if that signal had come."""
        self.stop_signal = number

    # --- between steps -------------------------------------------------------------------------

    def _between_steps(self) -> None:
        now = time.monotonic()
        if now >= self.next_log:
            self._log()
        stop, save = self.stop_signal != 0, now >= self.next_save
        if self.processes.world > 1:
            if self.position.step % AGREE_EVERY:
                return
            self._read_flag()
            stop, save = self._agree(stop, save)
        if stop or save:
            self._save()
        if stop:
            raise Stopped(self.stop_signal or signal.SIGTERM, self.position.step)

    def _agree(self, stop: bool, save: bool) -> tuple[bool, bool]:
        stop_all, save_all = self._any(torch.tensor([stop, save], device=self.device))
        return stop_all, save_all

    def _any(self, flags: Tensor) -> list[bool]:
        """For each flag whether it is set in any of the processes."""
        return [bool(flag) for flag in self.processes.largest(flags.to(torch.float32)).tolist()]

    def _start_interval(self) -> None:
        now = time.monotonic()
        self.interval = (now, self.position.step)
        self.next_log = now + self.recipe.log_every
        self.next_save = now + self.recipe.save_every

    def _log(self) -> None:
        """Reads the sums of the interval. Only here does the loop wait for the device."""
        position, now = self.position, time.monotonic()
        since, step = self.interval
        if position.step == step:
            return
        figures = figures_of(self.sums.total - self.logged)
        self.logged.copy_(self.sums.total)
        if self.processes.world == 1:
            self._read_flag()
        elif not math.isfinite(figures.loss):
            return  # each process logs when its time has come, and all of them read the flag soon
        speed = figures.examples * self.processes.world / max(now - since, 1e-9)
        row: Row = {
            "kind": "interval",
            "epoch": position.epoch + position.batch / self.plan.steps,
            "step": position.step,
            "lr": learning_rate(self.recipe, position.step - 1, self.plan.steps),
            "train_loss": figures.loss,
            "train_accuracy": figures.accuracy,
            "examples_per_second": speed,
            "seconds_left": self._seconds_left(now - since, position.step - step),
        }
        self.interval = (now, position.step)
        self.next_log = now + self.recipe.log_every
        for listener in self.listeners:
            listener.on_interval(self, row)

    def _seconds_left(self, seconds: float, steps: int) -> float:
        left = self.recipe.epochs * self.plan.steps - self.position.step
        return seconds / max(steps, 1) * left

    def _finish_epoch(self, seconds: float, speed: float) -> None:
        self._read_flag()
        train = figures_of(self.processes.sum(self.sums.total.clone()))
        validation = self.evaluate("validation").figures
        test = self.evaluate("test").figures
        row: Row = {
            "kind": "epoch",
            "epoch": self.position.epoch + 1,
            "step": self.position.step,
            "lr": learning_rate(self.recipe, self.position.step - 1, self.plan.steps),
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            **_named("validation", validation),
            **_named("test", test),
            "examples_per_second": speed,
            "seconds": seconds,
        }
        row = finite(row)
        self.history.append(row)
        self.position.epoch, self.position.batch = self.position.epoch + 1, 0
        is_best = not validation.examples or self.best.is_beaten_by(validation)
        if is_best:
            self.best = Best(validation.accuracy, validation.loss, self.position.epoch)
        for listener in self.listeners:
            listener.on_epoch(self, row)
        self._save(best=is_best)
        (stop,) = self._any(torch.tensor([self.stop_signal != 0], device=self.device))
        if stop and self.position.epoch < self.recipe.epochs:
            raise Stopped(self.stop_signal or signal.SIGTERM, self.position.step)

    def evaluate(self, split: str) -> Evaluation:
        """Loss, accuracy and confusion of the evaluated network on one part of the data.

        All processes must call this.
        """
        self.processes.share_buffers(self.evaluated)
        return evaluate(
            self.evaluated,
            getattr(self.data, split),
            self.loss,
            classes=len(self.data.classes),
            batch_size=self.evaluation_batch,
            device=self.device,
            precision=self.recipe.precision,
            layout=FORMATS.get(self.recipe.evaluation_memory_format, self.layout),
            processes=self.processes,
        )

    @property
    def evaluation_batch(self) -> int:
        """Larger than a training batch for small images: no gradients need room.

        Not larger than what is computed at once where a batch is computed in pieces.
        """
        share = self.plan.batch_size // (self.processes.world * self.recipe.accumulate)
        if self.recipe.accumulate > 1:
            return max(share, 1)
        pixels = self.data.channels * self.data.height * self.data.width
        return max(share, min(256, 2**22 // pixels), 1)

    def _is_out_of_patience(self) -> bool:
        patience = self.recipe.patience
        return patience is not None and self.position.epoch - max(self.best.epoch, 0) >= patience

    def _save(self, best: bool = False) -> None:
        self._read_flag()
        for net in self.finite_check.nets:
            self.processes.share_buffers(net)
        self._refuse_bad_weights()
        for listener in self.listeners:
            listener.on_save(self, best)
        self.next_save = time.monotonic() + self.recipe.save_every

    def _refuse_bad_weights(self) -> None:
        """Raises `TrainingError` for weights that a run could not go on from."""
        if problem := self.finite_check.problem():
            raise TrainingError(
                f"{problem} after step {self.position.step:,}, at a learning rate of "
                f"{self.lr:.3g}. {ADVICE}"
            )


def _named(split: str, figures: Figures) -> Mapping[str, Any]:
    if not figures.examples:
        return {}
    return {f"{split}_loss": figures.loss, f"{split}_accuracy": figures.accuracy}
