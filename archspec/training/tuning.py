"""What is fastest here, by trying: batch size, memory layout and threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from archspec.training import compatibility
from archspec.training.device import (
    WithReason,
    autocast,
    choose_precision,
    fits,
    is_out_of_memory,
    synchronise,
)
from archspec.training.errors import TrainingError
from archspec.training.layouts import FORMATS, laid_out
from archspec.training.loss import Loss

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.recipe.recipe import Recipe

LAYOUTS = tuple(FORMATS)
T = TypeVar("T")

SHARE = 0.03
"""Of the time that a run will take, what may be spent on making it faster."""

SECONDS = 4.0
"""About how long ways are compared at most, however long a step takes."""

ATTEMPT = 0.05
"""About how long a way is timed at once: steps that are shorter are repeated."""

ROUNDS = 5
HOPELESS = 1.3
"""A way that takes so many times as long as the best is not tried again."""

TIE = 0.97
"""Times that are closer than this are noise, which must not decide."""


class Way(NamedTuple):
    """How a step is computed: the layout of images in memory, and the threads of the CPU."""

    layout: str
    threads: int

    def __str__(self) -> str:
        return f"{self.layout}, {self.threads} thread{'s' * (self.threads > 1)}"


class Chosen(NamedTuple):
    """The way that was chosen, and the reason as people read it."""

    way: Way
    why: str


def choose_way(
    arch: Architecture, recipe: Recipe, device: torch.device, batch: int, steps: int
) -> Chosen:
    """The way in which a training step of this network is fastest here, by trying all.

    The plain layout comes before the other, and fewer threads before more, which then are free for
    other work.
    """
    ways = _ways(recipe, device)
    plain = Way(ways[0].layout, ways[-1].threads)
    if len(ways) == 1:
        return Chosen(plain, "as asked" if _is_asked(recipe) else "the only one here")
    if recipe.deterministic:
        return Chosen(plain, "a measurement would not be reproducible")
    size = min(batch, 32)
    try:
        with _rng_untouched(device):
            measured = _Steps(arch, recipe, device, size)
            run = steps * batch / size * measured.seconds(plain)
            times = compared_within(SHARE * run, measured.seconds, ways)
            if not times:  # one step each shows whether other programs hold the cores
                quick = [way for way in ways if way.layout == plain.layout]
                seconds = {way: measured.seconds(way) for way in quick}
                once = _fastest(seconds, quick)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return Chosen(plain, "no memory to measure")
    if not times:
        why = f"a run of about {run:,.0f} s is too short to measure "
        return Chosen(once, f"{why}more than a step each")
    best = _fastest(times, ways)
    return Chosen(best, f"a step of {size} images took {_took(times, best)}")


def _ways(recipe: Recipe, device: torch.device) -> list[Way]:
    """All that the recipe leaves open, in the order in which they are preferred."""
    layouts = LAYOUTS if recipe.memory_format == "auto" else (recipe.memory_format,)
    everything = torch.get_num_threads()
    counts = [everything] if recipe.threads == "auto" else [recipe.threads]
    if recipe.threads == "auto" and device.type == "cpu" and everything > 1:
        counts = [1, everything]
    return [Way(layout, count) for layout in layouts for count in counts]


def _is_asked(recipe: Recipe) -> bool:
    return "auto" not in (recipe.memory_format, recipe.threads)


class _Steps:
    """Times steps of `size` images; a layout's network is made when it is first needed."""

    def __init__(self, arch: Architecture, recipe: Recipe, device: torch.device, size: int) -> None:
        self.make = partial(Probe, arch, recipe, device)
        self.size = size
        self.probes: dict[str, Probe] = {}

    def seconds(self, way: Way, count: int = 1) -> float:
        """Of one step, the mean of `count`."""
        with threads(way.threads):
            if way.layout not in self.probes:
                self.probes[way.layout] = self.make(channels_last=way.layout == "channels_last")
                self.probes[way.layout].step(self.size)  # the first one prepares the kernels
            return sum(self.probes[way.layout].seconds(self.size) for _ in range(count)) / count


def compared_within(
    allowed: float, seconds: Callable[[T, int], float], ways: Sequence[T]
) -> dict[T, float]:
    """How long each of the ways takes; empty where finding out takes more than `allowed` seconds.

    `seconds` gives the mean of so many times.
    """
    one = seconds(ways[-1], 1)
    count = max(1, min(10, round(ATTEMPT / max(one, 1e-6))))
    if len(ways) * (count + 1) * one > allowed:
        return {}
    tries = {way: partial(seconds, way, count) for way in ways}
    return compared(tries, min(allowed, SECONDS) / count)


def compared(tries: Mapping[T, Callable[[], float]], allowed: float) -> dict[T, float]:
    """The median of some times each, taken in turns, so that a busy machine slows all alike.

    Not the shortest: where other programs want the cores too, many threads wait for each other
    in most of their steps, and not in all. No round begins after `allowed` seconds of measuring.
    """
    times: dict[T, list[float]] = {way: [attempt()] for way, attempt in tries.items()}
    for _ in range(ROUNDS - 1):
        limit = HOPELESS * min(map(median, times.values()))
        if sum(map(sum, times.values())) > allowed:
            break
        for way, found in times.items():
            if median(found) <= limit:
                found.append(tries[way]())
    return {way: median(found) for way, found in times.items()}


def _fastest(times: Mapping[T, float], preferred: Sequence[T]) -> T:
    """The first of the preferred ways that no other clearly beats."""
    return next(way for way in preferred if min(times.values()) >= TIE * times[way])


def _took(times: Mapping[T, float], best: T) -> str:
    """How long the best way took, then each of the others."""
    others = (f"{way} {seconds * 1e3:.3g} ms" for way, seconds in times.items() if way != best)
    return f"{times[best] * 1e3:.3g} ms; {'; '.join(others)}"


class ForwardPasses(NamedTuple):
    """What evaluation computes: so many images in all, in batches of a shape (N, C, H, W)."""

    net: nn.Module
    shape: tuple[int, ...]
    images: int
    precision: str
    device: torch.device

    def seconds(self, layout: str, count: int = 1) -> float:
        """Of one batch in that layout, the mean of `count` after one that prepares the kernels."""
        images = torch.rand(self.shape).contiguous(memory_format=FORMATS[layout])
        with laid_out(self.net, FORMATS[layout]), autocast(self.precision, self.device):
            self.net(images)
            started = time.perf_counter()
            for _ in range(count):
                self.net(images)
            return (time.perf_counter() - started) / count


@torch.no_grad()
def choose_evaluation_layout(passes: ForwardPasses, own: str) -> WithReason | None:
    """The layout in which forward passes on the CPU are fastest, by trying both.

    None where trying would take too much of their time, or the memory for it is missing; `own` is
    the layout of training. No weight, buffer or random state is changed.
    """
    allowed = SHARE * passes.images / passes.shape[0]
    if allowed < 2 * len(LAYOUTS):  # batches: one to prepare and one to measure in each layout
        return None
    net, was_training = passes.net, passes.net.training
    net.eval()
    try:
        with _rng_untouched(passes.device):
            allowed *= passes.seconds(own)
            times = compared_within(allowed, passes.seconds, LAYOUTS)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    finally:
        net.train(was_training)
    if not times:
        return None
    best = _fastest(times, sorted(LAYOUTS, key=lambda layout: layout != own))
    return WithReason(best, f"{passes.shape[0]} images took {_took(times, best)}")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch computes with so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_batch_size(
    arch: Architecture, recipe: Recipe, device: torch.device, images: int
) -> WithReason:
    """A power of two whose step fits in memory; the smallest that is as fast as any (to 5 %)."""
    speeds: dict[int, float] = {}
    started = time.monotonic()
    size = 16
    with _rng_untouched(device):
        probe = Probe(arch, recipe, device, channels_last=False)
        while size <= max(16, images // 8) and fits(arch, size, device, recipe.recompute):
            try:
                probe.step(size)
                speeds[size] = size / min(probe.seconds(size) for _ in range(3))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                break
            late = time.monotonic() - started > 20
            if late or (size > 64 and speeds[size] < 1.02 * speeds[size // 2]):
                break
            size *= 2
    if not speeds:
        raise TrainingError("not even 16 images fit in memory: say --batch-size yourself")
    top = max(speeds.values())
    best = min(size for size, speed in speeds.items() if speed >= 0.95 * top)
    return WithReason(
        str(best), f"{speeds[best]:,.0f} images a second, of at most {top:,.0f} tried"
    )


def largest_that_fits(arch: Architecture, recipe: Recipe, device: torch.device, batch: int) -> int:
    """A smaller batch whose step runs here; 0 where none does."""
    while (batch := batch // 2) >= 1:
        if not fits(arch, batch, device, recipe.recompute):
            continue
        try:
            Probe(arch, recipe, device, channels_last=False).step(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            continue
        return batch
    return 0


class Probe:
    """Training steps of a throw-away copy of the network on made-up images."""

    def __init__(
        self, arch: Architecture, recipe: Recipe, device: torch.device, *, channels_last: bool
    ) -> None:
        self.net: nn.Module = arch.build(device=device, seed=0, recompute=recipe.recompute)
        self.layout = FORMATS["channels_last" if channels_last else "contiguous"]
        self.net = self.net.to(memory_format=self.layout)
        main, names = compatibility.outputs_of(arch)
        self.loss = Loss(recipe, main, names)
        self.shape = compatibility.image_shape(arch)
        self.device = device
        self.precision = choose_precision(recipe.precision, device).value

    def step(self, batch: int) -> None:
        """Forward and backward; the gradients are dropped."""
        images: Tensor = torch.rand(batch, *self.shape, device=self.device)
        labels = torch.zeros(batch, dtype=torch.long, device=self.device)
        with autocast(self.precision, self.device):
            output = self.net(images.contiguous(memory_format=self.layout))
            loss = self.loss(output, labels) / batch
        torch.autograd.backward(loss)
        for parameter in self.net.parameters():
            parameter.grad = None

    def seconds(self, batch: int) -> float:
        """How long a step takes."""
        synchronise(self.device)
        started = time.perf_counter()
        self.step(batch)
        synchronise(self.device)
        return time.perf_counter() - started


@contextmanager
def _rng_untouched(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
