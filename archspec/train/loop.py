"""The training loop: epochs, steps, evaluation, and when to save."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from archspec.train.batches import training_batches
from archspec.train.device import autocast, synchronise
from archspec.train.diagnose import first_bad
from archspec.train.distributed import Processes, exchange_held_back
from archspec.train.errors import Stopped, TrainingError
from archspec.train.evaluate import Evaluation, evaluate
from archspec.train.loss import Loss
from archspec.train.metrics import Figures, Sums, figures_of
from archspec.train.optimise import Average, Optimizer, local
from archspec.train.plan import Plan
from archspec.train.recipe import Recipe
from archspec.train.schedule import learning_rate
from archspec.train.signals import stoppable

if TYPE_CHECKING:
    from archspec.data import Data

Row = dict[str, Any]
AGREE_EVERY = 10
"""Steps between two looks at what other processes wish (to stop, to save)."""


class Listener:
    """What wants to know of a run's course; every method may be left as it is."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step (of this process)."""

    def on_interval(self, trainer: Trainer, row: Row) -> None:
        """Every `log_every` seconds, with the means since the last time."""

    def on_epoch(self, trainer: Trainer, row: Row) -> None:
        """After each epoch, with all its figures."""

    def on_save(self, trainer: Trainer, best: bool) -> None:
        """The moment to write `trainer.state()`; `best`: its weights are the best so far."""

    def on_end(self) -> None:
        """However the run ends."""


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
        """A loss that is not finite is the worst of all, and NaN compares with nothing."""
        mine, theirs = (
            loss if math.isfinite(loss) else math.inf for loss in (self.loss, figures.loss)
        )
        return (figures.accuracy, -theirs) > (self.accuracy, -mine)


@dataclass
class Trainer:
    """Trains `net`. To change the step, override `forward`; for the rest there are listeners."""

    net: nn.Module
    data: Data
    recipe: Recipe
    device: torch.device
    loss: Loss
    plan: Plan
    processes: Processes = field(default_factory=Processes)
    listeners: tuple[Listener, ...] = ()
    history: list[Row] = field(default_factory=list)
    position: Position = field(default_factory=Position)
    best: Best = field(default_factory=Best)

    def __post_init__(self) -> None:
        recipe, device = self.recipe, self.device
        self.layout = (
            torch.channels_last
            if recipe.memory_format == "channels_last"
            else torch.contiguous_format
        )
        self.net.to(memory_format=self.layout)
        self.average = Average(self.net, recipe.ema) if recipe.ema else None
        self.model = self.processes.wrap(self.net, device, fsdp=recipe.fsdp)
        if recipe.compile:
            self.model.compile()
        self.optimizer = Optimizer(self.net.named_parameters(), recipe)
        self.scaler = torch.amp.GradScaler(device.type) if recipe.precision == "fp16" else None
        self.sums = Sums(device)
        self.logged = torch.zeros_like(self.sums.total)
        # The first step whose loss was not finite; -1 as long as there is none.
        self.bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self.stop_signal = 0

    # --- what one may override -----------------------------------------------------------------

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, summed over the images, and the logits."""
        output = self.model(images)
        return self.loss(output, labels), self.loss.logits(output)

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
        from archspec.train.state import take

        return take(self)

    def fit(self) -> None:
        """Trains to the end. Raises `Stopped` after a signal, `TrainingError` where it cannot."""
        with stoppable(self.ask_to_stop):
            try:
                for listener in self.listeners:
                    listener.on_start(self)
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
        for images, labels, weight, total in training_batches(
            self.data.train, self.plan, self.position, self.processes, self.device
        ):
            self._step(images, labels, weight, total)
            self._between_steps()
        self._log()
        synchronise(self.device)
        seconds = time.monotonic() - started
        share = (self.plan.steps - steps_before) / self.plan.steps
        self._finish_epoch(seconds, self.plan.count * share / max(seconds, 1e-9))

    def _step(self, images: Tensor, labels: Tensor, weight: float, total: int) -> None:
        """One update. The gradient is the mean over the `total` images of all processes."""
        lr = self.lr
        if self.layout is torch.channels_last:
            images = images.contiguous(memory_format=self.layout)
        pieces = max(1, min(self.recipe.accumulate, len(images) // 2))
        # DDP and FSDP average over processes; the sum is wanted.
        factor = weight * self.processes.world / total
        bad: Tensor | None = None
        for index in range(pieces):
            x, y = (t.tensor_split(pieces)[index] if pieces > 1 else t for t in (images, labels))
            with exchange_held_back(self.model, index + 1 < pieces):
                with autocast(self.recipe.precision, self.device):
                    loss, logits = self.forward(x, y)
                scaled = loss * factor
                torch.autograd.backward(self.scaler.scale(scaled) if self.scaler else scaled)
            if weight:
                self.sums.add(loss, logits, y)
            bad = loss.detach() if bad is None else bad + loss.detach()
        assert bad is not None
        self._check(bad, images, labels)
        self._update(lr)

    def _update(self, lr: float) -> None:
        recipe, optimizer = self.recipe, self.optimizer
        if recipe.clip_norm:
            if self.scaler:
                self.scaler.unscale_(optimizer)  # type: ignore[arg-type]
            nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip_norm)
        if self.scaler:
            self.scaler.step(optimizer, lr)  # type: ignore[arg-type]
            self.scaler.update()
        else:
            optimizer.step(lr)
        optimizer.zero_grad()
        position = self.position
        position.step, position.batch = position.step + 1, position.batch + 1
        if self.average:
            self.average.update(self.net, position.step)

    def ask_to_stop(self, number: int) -> None:
        """Save and stop after the present step, as if that signal had come."""
        self.stop_signal = number

    # --- losses that are no numbers ------------------------------------------------------------

    def _check(self, loss: Tensor, images: Tensor, labels: Tensor) -> None:
        """Keeps an update that would spoil the weights from happening.

        The CPU can look at once. Elsewhere looking would mean waiting: a flag is raised on the
        device, every later update does nothing, and the next interval reads the flag.
        """
        if self.device.type == "cpu" and self.processes.world == 1:
            if not math.isfinite(loss.item()):
                self._report_bad(images, labels, self.position.step)
            return
        bad = (~torch.isfinite(loss)).to(torch.float32)
        self.processes.largest(bad)
        is_first = (bad > 0) & (self.bad_step < 0)
        self.bad_step.masked_fill_(is_first, self.position.step)
        if self.scaler is None:
            self.optimizer.found_inf = (self.bad_step >= 0).to(torch.float32)

    def _read_flag(self) -> None:
        """The weights are as they were before the bad step: its batch shows what happened."""
        step = int(self.bad_step.item())
        if step >= 0:
            at = Position(self.position.epoch, self.position.batch, step)
            at.batch -= self.position.step - step
            batch = next(
                training_batches(self.data.train, self.plan, at, self.processes, self.device)
            )
            self._report_bad(batch.images, batch.labels, step)

    def _report_bad(self, images: Tensor, labels: Tensor, step: int) -> None:
        def run() -> Tensor:
            with autocast(self.recipe.precision, self.device):
                return self.forward(images, labels)[0]

        where = first_bad(self.net, images, run)
        raise TrainingError(
            f"the loss is not finite at step {step + 1:,} (epoch {self.position.epoch + 1}), with "
            f"a learning rate of {self.lr:.3g}: {where}. {self._advice()}"
        )

    def _advice(self) -> str:
        return "The last checkpoint is intact. A smaller --lr, --warmup or --clip-norm may help"

    # --- between steps -------------------------------------------------------------------------

    def _between_steps(self) -> None:
        now = time.monotonic()
        if now >= self.next_log:
            self._log()
        stop, save = self.stop_signal != 0, now >= self.next_save
        if self.processes.world > 1:
            if self.position.step % AGREE_EVERY:
                return
            stop, save = self._agree(stop, save)
        if stop or save:
            self._save()
        if stop:
            raise Stopped(self.stop_signal or signal.SIGTERM, self.position.step)

    def _agree(self, stop: bool, save: bool) -> tuple[bool, bool]:
        wishes = torch.tensor([float(stop), float(save)], device=self.device)
        stop_all, save_all = self.processes.largest(wishes).tolist()
        return bool(stop_all), bool(save_all)

    def _start_interval(self) -> None:
        now = time.monotonic()
        self.interval = (now, self.position.step)
        self.next_log = now + self.recipe.log_every
        self.next_save = now + self.recipe.save_every

    def _log(self) -> None:
        """Reads the sums of the interval, the one moment at which the device is waited for."""
        position, now = self.position, time.monotonic()
        since, step = self.interval
        if position.step == step:
            return
        figures = figures_of(self.sums.total - self.logged)
        self.logged.copy_(self.sums.total)
        if self.device.type != "cpu" or self.processes.world > 1:
            self._read_flag()
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
        row = {key: _json(value) for key, value in row.items()}
        self.history.append(row)
        self.position.epoch, self.position.batch = self.position.epoch + 1, 0
        is_best = not validation.examples or self.best.is_beaten_by(validation)
        if is_best:
            self.best = Best(validation.accuracy, validation.loss, self.position.epoch)
        for listener in self.listeners:
            listener.on_epoch(self, row)
        self._save(best=is_best)
        if self.stop_signal and self.position.epoch < self.recipe.epochs:
            raise Stopped(self.stop_signal, self.position.step)

    def evaluate(self, split: str) -> Evaluation:
        """Loss, accuracy and confusion of the evaluated network on one part of the data."""
        return evaluate(
            self.evaluated,
            getattr(self.data, split),
            self.loss,
            classes=len(self.data.classes),
            batch_size=self.evaluation_batch,
            device=self.device,
            precision=self.recipe.precision,
            layout=self.layout,
            processes=self.processes,
        )

    @property
    def evaluation_batch(self) -> int:
        """Larger than a training batch for small images: no gradients need room."""
        pixels = self.data.channels * self.data.height * self.data.width
        return max(self.plan.batch_size // self.processes.world, min(256, 2**22 // pixels), 1)

    def _is_out_of_patience(self) -> bool:
        patience = self.recipe.patience
        return patience is not None and self.position.epoch - max(self.best.epoch, 0) >= patience

    def _save(self, best: bool = False) -> None:
        self._refuse_bad_weights()
        for listener in self.listeners:
            listener.on_save(self, best)
        self.next_save = time.monotonic() + self.recipe.save_every

    def _refuse_bad_weights(self) -> None:
        """A checkpoint is only worth its name when one can go on from it."""
        weights = {name: local(p.detach()) for name, p in self.net.named_parameters()}
        norms = torch._foreach_norm(list(weights.values()))
        if norms and not math.isfinite(torch.stack(norms).sum().item()):
            bad = [name for name, weight in weights.items() if not weight.isfinite().all()]
            large = max(weights, key=lambda name: float(weights[name].abs().max()))
            what = f"{', '.join(bad[:3])} are not finite"
            raise TrainingError(
                f"the weights {what if bad else f'{large} are too large for float32'} after step "
                f"{self.position.step:,}, at a learning rate of {self.lr:.3g}. {self._advice()}"
            )


def _named(split: str, figures: Figures) -> Mapping[str, Any]:
    if not figures.examples:
        return {}
    return {f"{split}_loss": figures.loss, f"{split}_accuracy": figures.accuracy}


def _json(value: Any) -> Any:
    """JSON knows no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
