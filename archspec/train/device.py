"""Where and how precisely to compute, and how much memory there is for it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch

from archspec.train.distributed import Processes
from archspec.train.errors import TrainingError

if TYPE_CHECKING:
    from archspec.architecture import Architecture

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
    if wanted == "fp16" and device.type == "cpu":
        raise TrainingError("fp16 needs a GPU: on the CPU use --precision fp32 or bf16")
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


def synchronise(device: torch.device) -> None:
    """Waits for what the device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
