"""What is measured of one network: images a second of four loops, memory, waits, launches."""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch
from contestants import Pictures28, Steps, bare, course, offer, own, samples, speed, trainer_for
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import archspec
from archspec.training import compatibility
from archspec.training.device import synchronise
from archspec.training.loop import Trainer
from gpu.supervise import Cell, Result

SGD = {"optimizer": "sgd", "momentum": 0.0}
RECIPES: dict[str, dict[str, Any]] = {
    "lenet_bn": {},
    "lenet_bn_scratch": {},
    "alexnet": {},
    "vgg11_small": {},
    "nin": {},
    "googlenet": {},
    "resnet18": {},
    "densenet": {},
    "vgg11": {**SGD, "lr": 0.05, "batch_size": 128, "resize": 224},  # its small form's
}
"""The nine reference networks; a spec's own `train:` says the rest."""

TUNED = frozenset({"lenet_bn"})
"""Compiled with `max-autotune`: for resnet18 that had not ended after three minutes on an H200."""


@dataclass(frozen=True)
class Scale:
    """How much is measured: seconds of each loop, images in all and ready on the device, the
    largest batch, the steps that are looked at, seconds that a cell may take, and the steps before
    it: the trainer chooses between launches and a graph in them."""

    seconds: float = 1.2
    images: int = 60_000
    ready: int = 4_096
    batch: int | None = None
    steps: int = 20
    limit: float = 40.0
    warm: int = 20


SMOKE = Scale(seconds=0.0, images=64, ready=16, batch=4, steps=3, limit=60.0, warm=2)


@dataclass(frozen=True)
class Job:
    """One network on one device."""

    name: str
    device: str
    scale: Scale

    @property
    def recipe(self) -> dict[str, Any]:
        """The published recipe, in batches that the scale allows."""
        own = {**archspec.load(self.name).recipe, **RECIPES[self.name]}
        if self.name == "lenet_bn_scratch":
            own = {**archspec.load("lenet_bn").recipe, **RECIPES[self.name]}
        own = {key: value for key, value in own.items() if key != "dataset"}
        if self.scale.batch:
            own["batch_size"] = min(own["batch_size"], self.scale.batch)
        return {**own, "epochs": 1000}

    @property
    def place(self) -> torch.device:
        return torch.device(self.device)

    def net(self) -> tuple[nn.Module, int]:
        """The network with the weights of seed 0, at the size of the recipe's images."""
        arch = archspec.load(self.name)
        height, width = compatibility.image_size(arch, self.recipe.get("resize"))
        arch = compatibility.check_sizes(arch, (height, width))
        return arch.build(seed=0, device=self.place), height

    def optimizer(self, net: nn.Module, **options: Any) -> torch.optim.Optimizer:
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[self.recipe["optimizer"]]
        return kind(net.parameters(), lr=self.recipe["lr"], **options)

    def pictures(self) -> tuple[Tensor, Tensor]:
        return samples(None, self.scale.images)

    def trainer(self, kind: type[Trainer] = Trainer, **recipe: Any) -> Trainer:
        offer_once(self.scale.images)
        return trainer_for(self.name, self.place, kind, **{**self.recipe, **recipe})


_offered: set[int] = set()


def offer_once(count: int) -> None:
    """The data set `bench` with `count` images, in a process that may ask for it again."""
    if count not in _offered:
        offer(*samples(None, count))
        _offered.add(count)


def cells(name: str, device: str, scale: Scale) -> list[Cell]:
    """All measurements of one network, in the order in which they are made."""
    job = Job(name, device, scale)
    wanted: dict[str, Callable[[], Result]] = {
        "course": partial(timed, job, "course", course_loop),
        "bare": partial(timed, job, "bare", bare_loop),
        "trainer fp32": partial(timed, job, "fp32", partial(trainer_loop, precision="fp32")),
        "trainer tf32": partial(timed, job, "tf32", partial(trainer_loop, precision="fp32")),
        "trainer bf16": partial(timed, job, "bf16", partial(trainer_loop, precision="bf16")),
        "steps": partial(steps, job),
        "compiled": partial(timed, job, "bf16", compiled_loop),
        "trainer compiled": partial(timed, job, "bf16", own_compiled),
    }
    if device == "cpu":  # there is no such mode for it
        del wanted["trainer tf32"]
        if name != "lenet_bn":
            del wanted["compiled"], wanted["trainer compiled"]
    limits = {"compiled": 2 * scale.limit, "trainer compiled": 2 * scale.limit}
    return [Cell(name, each, limits.get(each, scale.limit), run) for each, run in wanted.items()]


def warm_up(name: str, device: str, scale: Scale) -> Result:
    """Compiles a network once, so that torch finds its kernels in its cache when it is timed."""
    job = Job(name, device, scale)
    with arithmetic("bf16"):
        for loop in (compiled_loop, own_compiled):
            for _ in islice(loop(job), 2):
                pass
    return {}


def timed(job: Job, mode: str, make: Callable[[Job], Steps]) -> Result:
    """Images a second, and the peak of memory in that time."""
    with arithmetic(mode), on_card(job.place):
        loop = make(job)
        wait = partial(synchronise, job.place)
        rate = speed(loop, job.scale.seconds, wait, warm=job.scale.warm)
        return {"images_per_second": rate, **peak(job.place)}


def course_loop(job: Job) -> Steps:
    net, size = job.net()
    pictures = Pictures28(*job.pictures(), size)
    batch = job.recipe["batch_size"]
    return course(net, job.optimizer(net), pictures, batch, workers=4, device=job.place)


def ready_images(job: Job, size: int) -> tuple[Tensor, Tensor]:
    """Float images in their final size on the device: fewer, where all would not fit."""
    images, labels = samples(None, job.scale.ready)
    x = images[:, None].to(job.place).float().div_(255)
    if size != x.shape[-1]:
        x = nn.functional.interpolate(x, (size, size), mode="bilinear", antialias=True)
    return x, labels.to(job.place)


def bare_loop(job: Job) -> Steps:
    net, size = job.net()
    x, y = ready_images(job, size)
    return bare(net, job.optimizer(net, fused=True), x, y, job.recipe["batch_size"])


def compiled_loop(job: Job) -> Steps:
    from torch._inductor import select_algorithm

    select_algorithm.PRINT_AUTOTUNE = False  # pages of it
    net, size = job.net()
    net.to(memory_format=torch.channels_last)
    x, y = ready_images(job, size)
    x = x.contiguous(memory_format=torch.channels_last)
    mode = "max-autotune" if job.name in TUNED else "reduce-overhead"
    model = torch.compile(net, mode=mode)
    optimizer = job.optimizer(net, fused=True)
    context = partial(torch.autocast, job.place.type, dtype=torch.bfloat16)
    batch = job.recipe["batch_size"]
    return bare(model, optimizer, x[: len(x) // batch * batch], y, batch, context=context)


def trainer_loop(job: Job, precision: str, **recipe: Any) -> Steps:
    # A run would measure the formats. That takes up to half a minute here, and these have won.
    layout = "channels_last" if precision == "bf16" and job.device == "cuda" else "contiguous"
    given = {"precision": precision, "memory_format": layout, "log_every": 1.0}
    return own(job.trainer(**given, **recipe))


def own_compiled(job: Job) -> Steps:
    return trainer_loop(job, "bf16", compile=True)


# --- waits, launches, agreement, memory ----------------------------------------------------------


def steps(job: Job) -> Result:
    """Synchronisations and launches a step, losses against a plain loop, memory against theory."""
    count = job.scale.steps
    with arithmetic("fp32"), on_card(job.place):
        said: list[str] = []
        trainer = job.trainer()
        trainer.say = said.append
        torch.manual_seed(1)
        stepping, start = own(trainer), torch.zeros((), device=job.place)
        first = islice(stepping, job.scale.warm)
        sums = [start, *(trainer.sums.total[0].clone() for _ in first)]
        with counted_waits(job.place) as waits:
            for _ in islice(stepping, count):
                pass
        # The sums of all steps so far, in float64: a step's own is the difference.
        losses = (torch.stack(sums).diff() / trainer.plan.batch_size).tolist()
        memory = {**peak(job.place), **stated_memory(job, trainer)}
        launches = counted_launches(stepping, job.place)
        del trainer, stepping
        plain = plain_losses(job, job.scale.warm)
    apart = [abs(a - b) / max(abs(b), 1e-12) for a, b in zip(losses, plain, strict=True)]
    return {
        "said": said,
        "waits_per_step": sum(waits.values()) / count,
        "waits": dict(waits),
        **launches,
        "losses_apart": apart[:5],
        "losses_apart_first_5": max(apart[:5]),
        f"losses_apart_first_{job.scale.warm}": max(apart),
        "last_losses": [losses[-1], plain[-1]],
        **memory,
    }


def plain_losses(job: Job, count: int) -> list[float]:
    """The losses of a plain loop from the same weights, over the same batches."""
    trainer = job.trainer()  # for its data and plan alone
    net, _ = job.net()
    optimizer = job.optimizer(net)
    torch.manual_seed(1)
    order = trainer.plan.order(0)
    batches = trainer.data.train.batches(
        trainer.plan.batch_size, order=order, device=job.place, training=True
    )
    net.train()
    found = []
    for x, y in islice(batches, count):
        loss = cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.detach())
    return torch.stack(found).tolist()


@contextmanager
def counted_waits(device: torch.device) -> Iterator[Counter[str]]:
    """The places at which the CPU waits for the GPU inside, each with how often."""
    places: Counter[str] = Counter()
    if device.type != "cuda":
        yield places
        return
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for each in caught:
        if str(each.message).startswith("called a synchronizing"):
            places[f"{each.filename.rpartition('/')[2]}:{each.lineno}"] += 1


def counted_launches(stepping: Steps, device: torch.device, count: int = 5) -> Result:
    """Kernels, copies and graphs that a step hands to the GPU."""
    if device.type != "cuda":
        return {}
    from torch.profiler import ProfilerActivity, profile

    synchronise(device)
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        for _ in islice(stepping, count):
            pass
        synchronise(device)
    calls = {event.key: event.count / count for event in profiler.key_averages()}
    kinds = {"launches_per_step": "LaunchKernel", "copies_per_step": "Memcpy"}
    kinds |= {"fills_per_step": "Memset", "graphs_per_step": "GraphLaunch"}
    return {
        name: sum(n for key, n in calls.items() if part in key and key.startswith("cu"))
        for name, part in kinds.items()
    }


def stated_memory(job: Job, trainer: Trainer) -> Result:
    """What the static figures say of a training step, in bytes."""
    arch = archspec.load(job.name).variant(
        input_shape=(trainer.data.channels, trainer.data.height, trainer.data.width)
    )
    summary = arch.summary(depth=0, batch_size=trainer.plan.batch_size)
    return {"stated_saved": summary.saved_bytes, "stated_state_dict": summary.state_dict_bytes}


def peak(device: torch.device) -> Result:
    if device.type != "cuda":
        return {}
    return {"peak_memory": torch.cuda.max_memory_allocated(device)}


@contextmanager
def on_card(device: torch.device) -> Iterator[None]:
    """An empty card before, and the measuring of convolutions that training turns on."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    torch.backends.cudnn.benchmark = True
    yield


@contextmanager
def arithmetic(mode: str) -> Iterator[None]:
    """Float32 products as they are, but for `tf32`, where they may be rounded to it."""
    rounded = mode == "tf32"
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
    yield
