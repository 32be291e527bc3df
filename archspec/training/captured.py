"""Steps that a GPU repeats by itself: one CUDA graph holds all that a step does.

A small network is bound by launches: the GPU computes a kernel in less time than the CPU takes to
send it. A graph sends them all at once. Its kernels read what changes from step to step (the order
of the images, the seed, the rates, the step's own number) from tensors that stay where they are, so
the kernels of one step are those of the next. Both ways compute the same bits.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import nn

from archspec.training.batches import Batch
from archspec.training.device import synchronise
from archspec.training.errors import TrainingError
from archspec.training.plan import Plan
from archspec.training.position import Position
from archspec.training.timetable import Moment, Timetable

if TYPE_CHECKING:
    from archspec.data import Split

LAUNCHED = 3
"""Steps that are launched first: kernels are chosen and loaded in them, and memory is found."""
TIMED = 5
"""Steps of each way that are timed, one by one."""
FEWEST = 50
"""Steps below which finding the faster way would not pay."""

Run = Callable[[], None]


class Graphs(Protocol):
    """How the work of a step is kept and repeated."""

    def waits(self, run: Run) -> str | None:
        """Runs, and says where it waited for the device; None where it did not."""

    def capture(self, run: Run) -> Run:
        """What repeats the work that `run` gives to the device. Nothing is computed yet.

        Raises `RuntimeError` where `run` does what cannot be kept.
        """


class CudaGraphs:
    """CUDA graphs, as torch has them."""

    _broken: ClassVar[list[torch.cuda.CUDAGraph]] = []

    def waits(self, run: Run) -> str | None:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                run()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        for each in caught:
            if str(each.message).startswith("called a synchronizing"):
                return f"it waits for the GPU at {Path(each.filename).name}:{each.lineno}"
        return None

    def capture(self, run: Run) -> Run:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph):
                run()
        except RuntimeError:
            torch.cuda.set_stream(stream)  # torch leaves its own
            # The allocator still asks it which memory is its own.
            self._broken.append(graph)
            # The generator of random numbers believes that a capture goes on until one has ended.
            with torch.cuda.graph(torch.cuda.CUDAGraph()):
                torch.zeros(1, device="cuda")
            raise
        return graph.replay


def foreign_module(net: nn.Module) -> str | None:
    """The class of the first module that is neither torch's nor ours, by its path."""
    for module in net.modules():
        kind = type(module)
        if kind.__module__.partition(".")[0] not in ("torch", "archspec"):
            return f"{kind.__module__}.{kind.__qualname__}"
    return None


class RepeatedSteps:
    """The steps of whole batches, each over images that lie on the device.

    `update` computes a step from its images and its moment. `forget` clears what it left behind
    where a capture was broken off. Where they are not `measured`, steps are repeated as a graph
    without comparing; where that is `wanted`, it must be possible. `say` gets the line about what
    was chosen.
    """

    def __init__(
        self,
        split: Split,
        plan: Plan,
        timetable: Timetable,
        device: torch.device,
        *,
        update: Callable[[Batch, Moment], None],
        forget: Run,
        graphs: Graphs,
        measured: bool = True,
        wanted: bool = False,
        say: Callable[[str], None],
    ) -> None:
        self.split, self.plan, self.timetable, self.device = split, plan, timetable, device
        self.update, self.forget, self.graphs = update, forget, graphs
        self.measured, self.wanted, self.say = measured, wanted, say
        self.size = plan.batch_size
        self.whole = sum(stop - start == self.size for start, stop in plan.bounds)
        integers = partial(torch.zeros, dtype=torch.int64, device=device)
        self._order, self._seed = integers(plan.count), integers(())
        self._first, self._batch = integers(1), integers(1)
        self._within = torch.arange(self.size, device=device)
        self.refusal: str | None = None
        self._ways = self._choose()

    def steps(self, position: Position, count: Run) -> Iterator[int]:
        """The whole batches that are left of the epoch; each `next` is one step, and its images.

        `count` advances the position.
        """
        if position.batch < self.whole:
            self._begin(position)
        while position.batch < self.whole:
            next(self._ways)()
            count()
            yield self.size

    def _begin(self, position: Position) -> None:
        self._order.copy_(self.plan.order(position.epoch))
        self._seed.fill_(self.plan.generator(position.epoch, 1).initial_seed())
        self._first.fill_(position.step - position.batch)
        self._batch.fill_(position.batch)
        self.timetable.prepare(position)

    def _step(self) -> None:
        """One step. All that is not fixed is read from the device."""
        positions = self._order.index_select(0, self._batch * self.size + self._within)
        images, labels = self.split.gather(positions, self._seed)
        moment = self.timetable.at(self._first, self._batch)
        self.update(Batch(images, labels, 1.0, self.size), moment)
        self._batch.add_(1)

    # --- the faster way ------------------------------------------------------------------------

    def _choose(self) -> Iterator[Run]:
        """How to run each step: some in either way, then all others in the faster one."""
        yield from repeat(self._step, LAUNCHED - 1)
        yield self._watched
        launched = 0.0
        if self.measured and not self.refusal:
            launched = yield from self._timed(self._step)
        replay = self._captured()
        if replay is not None and not self.measured:
            self.say("steps: one CUDA graph each, without measuring")
        elif replay is not None:
            replayed = yield from self._timed(replay)
            times = f"{replayed * 1e3:.3g} ms as one CUDA graph, {launched * 1e3:.3g} ms launched"
            self.say(f"steps: {times} kernel by kernel")
            if replayed >= launched:
                replay = None
        yield from repeat(replay or self._step)

    def _watched(self) -> None:
        # A capture that fails leaves much behind: what waits is better known before.
        self.refusal = self.graphs.waits(self._step)

    def _timed(self, run: Run) -> Generator[Run, None, float]:
        """Some steps; the result is the seconds of one, the median."""
        seconds: list[float] = []

        def step() -> None:
            synchronise(self.device)
            started = time.perf_counter()
            run()
            synchronise(self.device)
            seconds.append(time.perf_counter() - started)

        yield from repeat(step, TIMED)
        return median(seconds)

    def _captured(self) -> Run | None:
        """What repeats a step, or nothing where it cannot be captured, which is said."""
        if not self.refusal:
            try:
                return self.graphs.capture(self._step)
            # The same step has run before: what fails now is the capture. Without one it runs
            # again, and anything else that is wrong shows itself there.
            except RuntimeError as error:
                self.refusal = next(iter(str(error).strip().splitlines()), "no reason given")
            self.forget()
        if self.wanted:
            raise TrainingError(f"--cuda-graph true: a step cannot be captured ({self.refusal})")
        self.say(f"steps: launched kernel by kernel; they cannot be captured ({self.refusal})")
        return None
