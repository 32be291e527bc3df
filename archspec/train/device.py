"""Where and how to compute: device, precision, memory layout, batch size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from archspec.train import fitting
from archspec.train.distributed import Processes
from archspec.train.errors import TrainingError
from archspec.train.loss import Loss

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.train.recipe import Recipe

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


class Choice(NamedTuple):
    """What was chosen, and the reason as people read it."""

    value: str
    why: str


def choose_device(name: str, processes: Processes) -> torch.device:
    """The device of that name; `auto` is the best there is. Raises `TrainingError`."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", processes.local_rank % torch.cuda.device_count())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the device {name!r} cannot be used: {reason}") from None
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", processes.local_rank % torch.cuda.device_count())
    return device


def choose_precision(wanted: str, device: torch.device) -> Choice:
    """`auto` is bfloat16 on a GPU that computes in it, float32 elsewhere."""
    if wanted != "auto":
        return Choice(wanted, "as asked")
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return Choice("bf16", "the GPU computes in it")
    return Choice("fp32", f"the default on {device.type}")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def choose_memory_format(
    arch: Architecture, recipe: Recipe, device: torch.device, batch: int, steps: int
) -> Choice:
    """The layout in which a training step of this network is faster here, by trying both."""
    if recipe.memory_format != "auto":
        return Choice(recipe.memory_format, "as asked")
    if recipe.deterministic:
        return Choice("contiguous", "a measurement would not be reproducible")
    if steps < 50:
        return Choice("contiguous", "too short a run to measure")
    times: dict[str, float] = {}
    probes = {
        name: Probe(arch, recipe, device, channels_last=name == "channels_last")
        for name in ("contiguous", "channels_last")
    }
    size = min(batch, 32)
    try:
        with _rng_untouched(device):
            for probe in probes.values():
                probe.step(size)
            for name, probe in list(probes.items()) * 5:
                times[name] = min(times.get(name, float("inf")), probe.seconds(size))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return Choice("contiguous", "no memory to measure")
    plain, last = times["contiguous"], times["channels_last"]
    # A tie goes to the plain layout: noise must not decide.
    best = "channels_last" if last < 0.97 * plain else "contiguous"
    return Choice(
        best, f"a step of {size} took {plain * 1e3:.3g} ms contiguous, {last * 1e3:.3g} ms last"
    )


def choose_batch_size(
    arch: Architecture, recipe: Recipe, device: torch.device, images: int
) -> Choice:
    """A power of two whose step fits in memory; the smallest that is as fast as any (to 5 %)."""
    speeds: dict[int, float] = {}
    started = time.monotonic()
    size = 16
    with _rng_untouched(device):
        probe = Probe(arch, recipe, device, channels_last=False)
        while size <= max(16, images // 8) and fits(arch, size, device):
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
    return Choice(str(best), f"{speeds[best]:,.0f} images a second, of at most {top:,.0f} tried")


def largest_that_fits(arch: Architecture, recipe: Recipe, device: torch.device, batch: int) -> int:
    """A smaller batch whose step runs here; 0 where none does."""
    while (batch := batch // 2) >= 1:
        if not fits(arch, batch, device):
            continue
        try:
            Probe(arch, recipe, device, channels_last=False).step(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            continue
        return batch
    return 0


def fits(arch: Architecture, batch: int, device: torch.device) -> bool:
    """Whether memory for a step is there, by the static figures; the CPU does not refuse in time.

    Autograd's memory, and about as much again for gradients of it and work space.
    """
    if device.type != "cpu" or (free := available_memory()) is None:
        return True
    summary = arch.summary(depth=0, batch_size=batch)
    return 2 * summary.saved_bytes + 4 * summary.state_dict_bytes < free


def available_memory() -> int | None:
    """Bytes that the machine can still give (Linux); None where that is unknown."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (or Python) ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error) for w in OUT_OF_MEMORY)


class Probe:
    """Training steps of a throw-away copy of the network on made-up images."""

    def __init__(
        self, arch: Architecture, recipe: Recipe, device: torch.device, *, channels_last: bool
    ) -> None:
        self.net: nn.Module = arch.build(device=device, seed=0)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net = self.net.to(memory_format=self.layout)
        main, names = fitting.outputs_of(arch)
        self.loss = Loss(recipe, main, names)
        self.shape = fitting.image_shape(arch)
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


def synchronise(device: torch.device) -> None:
    """Waits for what the device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def _rng_untouched(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
