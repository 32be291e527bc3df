"""Updates: forward, backward, optimiser, average; and losses that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from archspec.recipe.recipe import Recipe
from archspec.training.batches import Batch, training_batches
from archspec.training.captured import (
    FEWEST,
    CudaGraphs,
    Graphs,
    RepeatedSteps,
    foreign_module,
)
from archspec.training.device import autocast, kernels_tried
from archspec.training.diagnose import BAD_IMAGES, first_bad
from archspec.training.distributed import Processes, backward, exchange_held_back, flag_of
from archspec.training.errors import TrainingError
from archspec.training.layouts import FORMATS
from archspec.training.loss import Loss
from archspec.training.metrics import Sums
from archspec.training.optimise import Average, Optimizer
from archspec.training.plan import Plan
from archspec.training.position import Position
from archspec.training.randomness import caller_untouched
from archspec.training.schedule import learning_rate
from archspec.training.timetable import Moment, Timetable

if TYPE_CHECKING:
    from archspec.data import Data

INTACT = "The last checkpoint is intact"
ADVICE = f"{INTACT}. A smaller --lr, --warmup or --clip-norm may help"


@dataclass
class Updates:
    """The updates of `net`, of which `position` says how many were done.

    A `forward` of your own is captured in no CUDA graph, unless the class is `capturable`: then it
    must not wait for the device, and its Python runs once for many steps.
    """

    capturable: ClassVar[bool] = False

    net: nn.Module
    data: Data
    recipe: Recipe
    device: torch.device
    loss: Loss
    plan: Plan
    processes: Processes = field(default_factory=Processes)
    say: Callable[[str], None] = lambda line: None
    position: Position = field(default_factory=Position)

    def __post_init__(self) -> None:
        recipe, device = self.recipe, self.device
        self.layout = FORMATS.get(recipe.memory_format, torch.contiguous_format)
        self.net.to(memory_format=self.layout)
        self.average = Average(self.net) if recipe.ema else None
        idle = self._idle() if self.processes.world > 1 else []
        self.model = self.processes.wrap(self.net, device, fsdp=recipe.fsdp, idle=idle)
        if self.average and recipe.fsdp:
            self.processes.shard(self.average.net, device)
        # Batches of other sizes, and evaluations, would be compiled anew.
        self.compiled = torch.compile(self.model, dynamic=False) if recipe.compile else self.model
        self.optimizer = Optimizer(self.net.named_parameters(), recipe)
        self.scaler = torch.amp.GradScaler(device.type) if recipe.precision == "fp16" else None
        self.sums = Sums(device)
        # The first step whose loss was not finite; -1 as long as there is none.
        self.bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        on_device = device.type == "cuda" and self.optimizer.reads_flags
        self.timetable = Timetable(recipe, self.plan, device, on_device=on_device)
        self.repeated: RepeatedSteps | None = None

    def _idle(self) -> list[str]:
        """Parameters without a gradient, because no output that is part of the loss needs them."""
        if not self.loss.has_idle_outputs:
            return []
        data, net = self.data, deepcopy(self.net).train()
        images = torch.zeros(2, data.channels, data.height, data.width, device=self.device)
        labels = torch.zeros(2, dtype=torch.int64, device=self.device)
        with caller_untouched():
            loss = self.loss(net(images), labels)
        named = {name: each for name, each in net.named_parameters() if each.requires_grad}
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        return [name for name, found in zip(named, gradients, strict=True) if found is None]

    # --- what one may override -----------------------------------------------------------------

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, summed over the images, and the logits."""
        whole = self.plan.batch_size // (self.recipe.accumulate * self.processes.world)
        output = (self.compiled if len(images) == whole else self.model)(images)
        return self.loss(output, labels), self.loss.logits(output)

    # --- steps -----------------------------------------------------------------------------

    def steps(self) -> Iterator[int]:
        """The rest of the epoch: each `next` is one update, and gives its number of images."""
        if self.repeated is not None:
            yield from self.repeated.steps(self.position, self._count)
        for batch in training_batches(
            self.data.train, self.plan, self.position, self.processes, self.device
        ):
            with kernels_tried(
                torch.backends.cudnn.benchmark and batch.total == self.plan.batch_size
            ):
                self._step(*batch)
            yield batch.total

    def _step(self, images: Tensor, labels: Tensor, weight: float, total: int) -> None:
        """One update. The gradient is the mean over the `total` images of all processes."""
        moment = self.timetable.moment(self.position)
        self._update(Batch(images, labels, weight, total), moment)
        self._count()

    def _count(self) -> None:
        self.position.step, self.position.batch = self.position.step + 1, self.position.batch + 1

    def _update(self, batch: Batch, moment: Moment) -> None:
        pieces = self._pieces(batch)
        # DDP and FSDP average over processes; the sum is wanted.
        factor = batch.weight * self.processes.world / batch.total
        bad: Tensor | None = None
        for index, (x, y) in enumerate(pieces, 1):
            with exchange_held_back(self.model, index < len(pieces)):
                with autocast(self.recipe.precision, self.device):
                    loss, logits = self.forward(x, y)
                scaled = loss * factor
                backward(self.model, self.scaler.scale(scaled) if self.scaler else scaled, loss)
            if batch.weight:
                self.sums.add(loss, logits, y)
            bad = loss.detach() if bad is None else bad + loss.detach()
        assert bad is not None
        self._check(bad, batch, moment)
        self._change_weights(moment)

    def _pieces(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """The parts that a batch is computed in, each of two images at least.

        All processes have equally many, because FSDP gathers weights for each.
        """
        images, labels = batch.images.contiguous(memory_format=self.layout), batch.labels
        smallest_share = batch.total // self.processes.world
        count = max(1, min(self.recipe.accumulate, smallest_share // 2))
        if count == 1:
            return [(images, labels)]
        return list(zip(images.tensor_split(count), labels.tensor_split(count), strict=True))

    def _change_weights(self, moment: Moment) -> None:
        recipe, optimizer = self.recipe, self.optimizer
        if self.scaler:
            # Not left to the optimiser: kernels of MPS would take the scale and not use it.
            self.scaler.unscale_(optimizer)  # type: ignore[arg-type]
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip_norm)
        if self.scaler:
            self.scaler.step(optimizer, moment.lr)  # type: ignore[arg-type]
            self.scaler.update()
        else:
            optimizer.step(moment.lr)
        optimizer.zero_grad()
        if self.average:
            self.average.update(self.net, moment.renewed)

    # --- steps as CUDA graphs ------------------------------------------------------------------

    def prepare_steps(self) -> None:
        """Lets the steps to come be repeated as one CUDA graph, where that is possible and pays.

        Raises `TrainingError` where the recipe wants it and it is not possible.
        """
        recipe, plan, obstacle = self.recipe, self.plan, self._obstacle()
        left = recipe.epochs * plan.steps - self.position.step
        if recipe.cuda_graph is False or not (recipe.cuda_graph or left >= FEWEST):
            return
        if obstacle is None:
            self.timetable = Timetable(recipe, plan, self.device, on_device=True)
            self.repeated = RepeatedSteps(
                self.data.train,
                plan,
                self.timetable,
                self.device,
                update=self._update,
                forget=self._forget,
                graphs=self._graphs(),
                measured=recipe.cuda_graph is None and not recipe.deterministic,
                wanted=recipe.cuda_graph is True,
                say=self.say,
            )
        elif recipe.cuda_graph:
            raise TrainingError(f"--cuda-graph true: steps cannot be captured: {obstacle}")
        elif self.device.type == "cuda":
            self.say(f"steps: launched kernel by kernel ({obstacle})")

    def _obstacle(self) -> str | None:
        """Why steps cannot be captured; None where they may be."""
        where = self.data.train.device
        if self.device.type != "cuda":
            return f"there are no CUDA graphs on {self.device.type}"
        if self.processes.world > 1:
            return "several processes exchange gradients"
        if where is None or where.type != "cuda":
            return "the images are streamed"
        if not self.optimizer.reads_flags:
            return f"{self.recipe.optimizer} reads numbers on the CPU"
        if type(self).forward is not Updates.forward and not self.capturable:
            return f"{type(self).__name__} has a `forward` of its own, and is not `capturable`"
        if (kind := foreign_module(self.net)) is not None:
            return f"{kind} is another package's, and may wait for the GPU"
        return None

    def _graphs(self) -> Graphs:
        return CudaGraphs()

    def _forget(self) -> None:
        """Clears what is left of a step that was broken off in its capture."""
        self.optimizer.zero_grad()
        if self.scaler:
            state = self.scaler.state_dict()
            self.scaler = torch.amp.GradScaler(self.device.type)
            self.scaler.load_state_dict(state)

    # --- losses that are no numbers ------------------------------------------------------------

    def _check(self, loss: Tensor, batch: Batch, moment: Moment) -> None:
        """Prevents an update that would spoil the weights.

        The CPU can look at once. Elsewhere looking would mean waiting: a flag is raised on the
        device, every later update does nothing, and the next look at the flag reports it, before
        anything is saved. Gradients that overflow under a finite loss are the scaler's: it leaves
        out that step alone.
        """
        if self.device.type == "cpu" and self.processes.world == 1 and self.repeated is None:
            if not math.isfinite(loss.item()):
                self._report_bad(batch, self.position.step)
            return
        flag = flag_of(self.model)
        if flag is None:
            bad = (~torch.isfinite(loss)).to(torch.float32)
            self.processes.largest(bad)
        else:  # it came from all processes, with the gradients
            assert flag.grad is not None
            bad = (~torch.isfinite(flag.grad)).to(torch.float32)
            flag.grad = None
        is_first = (bad > 0) & (self.bad_step < 0)
        # Not `masked_fill_`: where the step is a tensor, that would wait for its value.
        self.bad_step += (moment.step - self.bad_step) * is_first
        self.optimizer.frozen = (self.bad_step >= 0).to(torch.float32)

    def _read_flag(self) -> None:
        """Reports a bad step. Of several processes, all must call this after the same step.

        The weights are as they were before that step, so its batch shows what happened.
        """
        step = int(self.bad_step.item())
        if step >= 0:
            at = Position(self.position.epoch, self.position.batch, step)
            at.batch -= self.position.step - step
            again = training_batches(self.data.train, self.plan, at, self.processes, self.device)
            self._report_bad(next(again), step)

    def _report_bad(self, batch: Batch, step: int) -> None:
        def run() -> Tensor:
            with autocast(self.recipe.precision, self.device):
                losses = [self.forward(x, y)[0] for x, y in self._pieces(batch)]
            return torch.stack(losses).sum()

        findings = self.processes.gather_findings(first_bad(self.net, batch.images, run))
        rank = next((rank for rank, found in enumerate(findings) if found), 0)
        cause = findings[rank] or "computed again, the same batch has a finite one"
        where = f"in process {rank}, {cause}" if self.processes.world > 1 else cause
        lr = learning_rate(self.recipe, step, self.plan.steps)
        raise TrainingError(
            f"the loss is not finite at step {step + 1:,} (epoch {self.position.epoch + 1}), with "
            f"a learning rate of {lr:.3g}: {where}. {INTACT if cause == BAD_IMAGES else ADVICE}"
        )
