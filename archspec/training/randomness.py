"""Every random state of a process, saved and restored, and what makes a run reproducible."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Which memory cuBLAS may use: read when it starts, which the first product of matrices does."""


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy (where it is loaded) and torch on every device."""
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def fresh_seed(seed: int, rank: int, step: int) -> int:
    """For a process that joins a run at that step."""
    # The seeds of torch's Mersenne twister are hashed from all 64 bits: neighbours will do.
    return ((seed * 1_000_003 + step) * 10_007 + rank) % 2**63


def random_state(device: torch.device) -> dict[str, Any]:
    """The states that `set_random_state` takes: tensors and plain values."""
    version, numbers, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "torch": torch.get_rng_state(),
    }
    if (numpy := sys.modules.get("numpy")) is not None:
        name, keys, position, has_gauss, cached = numpy.random.get_state()
        state["numpy"] = [name, keys.tolist(), position, has_gauss, cached]
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Goes on drawing where the saved state stopped. A device that it does not have starts anew."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(state["torch"])
    if "numpy" in state:
        import numpy

        name, keys, position, has_gauss, cached = state["numpy"]
        words = numpy.array(keys, dtype=numpy.uint32)
        numpy.random.set_state((name, words, position, has_gauss, cached))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def caller_untouched() -> Iterator[None]:
    """Keeps what is seeded, drawn and chosen inside from the caller.

    When the block ends, in whatever way, the random states of Python, numpy and torch, and torch's
    choices about determinism, are what they were before.
    """
    states, had_numpy = random_state(torch.device("cpu")), "numpy" in sys.modules
    # To read a GPU's state would start it; one that has not been started draws from the seed.
    seed, started = torch.initial_seed(), torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = torch.cuda.get_rng_state_all() if started else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    workspace = os.environ.get(WORKSPACE)
    try:
        yield
    finally:
        if gpus is not None:
            torch.cuda.set_rng_state_all(gpus)
        else:
            torch.cuda.manual_seed_all(seed)
        if mps is not None:
            torch.mps.set_rng_state(mps)
        if not had_numpy and (numpy := sys.modules.get("numpy")) is not None:
            numpy.random.seed(None)
        set_random_state(states, torch.device("cpu"))
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn
        os.environ.pop(WORKSPACE, None)
        if workspace is not None:
            os.environ[WORKSPACE] = workspace


def make_deterministic() -> None:
    """Lets torch choose algorithms that give the same bits every time, or say that it has none."""
    # cuBLAS reads this when it starts; without it, torch refuses its matrix products.
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
