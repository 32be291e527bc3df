"""Where and how precisely to compute, and how much memory there is for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch

from archspec.training.distributed import Processes
from archspec.training.errors import TrainingError

if TYPE_CHECKING:
    from archspec.architecture import Architecture

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


class WithReason(NamedTuple):
    """What was chosen, and the reason as people read it."""

    value: str
    why: str


def choose_device(name: str, processes: Processes) -> torch.device:
    """The device of that name; `auto` is the best there is. Raises `TrainingError`."""
    if name == "auto":
        if torch.cuda.is_available():
            return _own_gpu(processes)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "cuda" and torch.cuda.is_available():
            if device.index is None:
                return _own_gpu(processes)
            if processes.world > 1:
                raise TrainingError(
                    f"{processes.world} processes cannot share {name!r}: say --device cuda, and "
                    "each takes a GPU of its own"
                )
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the device {name!r} cannot be used: {reason}") from None
    return device


def _own_gpu(processes: Processes) -> torch.device:
    """A GPU for each process of a machine. Raises `TrainingError` where there are too few.

    One that was given a single GPU to see, as Slurm can do, takes that.
    """
    count = torch.cuda.device_count()
    if processes.local_rank >= count > 1:
        raise TrainingError(
            f"there are {count} GPUs here for {processes.local_rank + 1} processes or more: start "
            f"{count} on this machine"
        )
    return torch.device("cuda", processes.local_rank % count)


def choose_precision(wanted: str, device: torch.device) -> WithReason:
    """`auto` is bfloat16 on a GPU that computes in it, float32 elsewhere."""
    if wanted == "fp16" and device.type == "cpu":
        raise TrainingError("fp16 needs a GPU: on the CPU use --precision fp32 or bf16")
    if wanted != "auto":
        return WithReason(wanted, "as asked")
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return WithReason("bf16", "the GPU computes in it")
    why = f"the default on {device.type}"
    if device.type == "cpu" and cpu_computes_in_bf16():
        # Never chosen unasked: losses and weights would be other ones.
        why += ", which has instructions for bf16: --precision bf16 is likely to be faster"
    return WithReason("fp32", why)


def cpu_computes_in_bf16() -> bool:
    """Whether the CPU multiplies in bfloat16, as far as torch can say; no emulation counts."""
    # torch has no public question for it, and these may go.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    asked = (getattr(torch.cpu, name, None) for name in names)
    return any(ask is not None and ask() for ask in asked)


def usable_precision(wanted: str, device: torch.device) -> WithReason:
    """The precision of a run as far as this device computes in it; float32 elsewhere."""
    if wanted == "fp16" and device.type == "cpu":
        return WithReason("fp32", "fp16 needs a GPU")
    if wanted == "bf16" and device.type == "cuda" and choose_precision("auto", device)[0] != wanted:
        return WithReason("fp32", "this GPU does not compute in bf16")
    return choose_precision(wanted, device)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


@contextmanager
def kernels_tried(wanted: bool) -> Iterator[None]:
    """Whether cuDNN tries its kernels inside, where it meets a size of images for the first time.

    That can take seconds, which a size that comes once an epoch does not bring back.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = wanted
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def fits(
    arch: Architecture, batch: int, device: torch.device, recompute: str | None = None
) -> bool:
    """Whether there is memory for a step, by the static figures.

    This is for the CPU, whose allocator refuses too late. A step needs autograd's memory, and about
    as much again for gradients and work space.
    """
    if device.type != "cpu":
        return True
    from archspec.data.memory import free_memory

    summary = arch.summary(depth=0, batch_size=batch, recompute=recompute)
    return 2 * summary.saved_bytes + 4 * summary.state_dict_bytes < free_memory(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (or Python) ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error) for w in OUT_OF_MEMORY)


def synchronise(device: torch.device) -> None:
    """Waits until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
