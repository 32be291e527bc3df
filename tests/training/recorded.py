"""A CUDA graph without a GPU: the operations of a run, kept with their tensors and repeated.

As a graph does, it repeats kernels and no Python: numbers that Python computed stay what they were,
results lie where they lay, and whatever waits for a value cannot be recorded.
"""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {"aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::nonzero"}


class Recording(TorchDispatchMode):
    """Keeps every operation that runs inside, with its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name in WAITS:
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
