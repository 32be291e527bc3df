"""A CUDA graph without a GPU: the operations of a run, kept with their tensors and repeated.

As a graph does, it repeats kernels and no Python: numbers that Python computed stay what they were,
results lie where they lay, and whatever waits for a value cannot be recorded.
"""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {
    "aten::_local_scalar_dense",
    "aten::bincount",
    "aten::equal",
    "aten::item",
    "aten::masked_fill",
    "aten::masked_fill_",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave",
}
"""Operations that read values of a tensor on the CPU; `masked_fill` reads a value that is one."""


class Watching(TorchDispatchMode):
    """Finds the first operation inside that waits."""

    found: str | None = None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if reads_values(func):
            self.found = self.found or f"it waits at {func}"
        return func(*args, **(kwargs or {}))


def reads_values(func):
    name, overload = func._schema.name, func._schema.overload_name
    return name in WAITS and (not name.startswith("aten::masked_fill") or overload == "Tensor")


class Recording(TorchDispatchMode):
    """Keeps every operation that runs inside, with its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if reads_values(func):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, result in self.calls:
                again = tree_leaves(func(*args, **kwargs))
                for old, new in zip(tree_leaves(result), again, strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class RecordedGraphs:
    """Recordings instead of CUDA graphs. `tensors()` gives all that a run changes in place."""

    def __init__(self, tensors):
        self.tensors, self.captures = tensors, 0

    def waits(self, run):
        with Watching() as watching:
            run()
        return watching.found

    def capture(self, run):
        self.captures += 1
        return recorded(run, self.tensors())


def recorded(run, tensors):
    """What repeats the operations of `run`. The `tensors`, and the random state, are put back."""
    kept, state = [each.detach().clone() for each in tensors], torch.get_rng_state()
    recording = Recording()
    try:
        with recording:
            run()
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, kept, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(state)
    return recording.replay
