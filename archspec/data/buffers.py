"""Memory for batches on the CPU, which is used again when a batch is no longer in use.

A batch of 256 images of 224×224 takes 51 MB. From the C library that is fresh memory each time,
and having the system map and clear its pages costs more than computing the images.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = 1 << 20
"""Bytes below which the C library keeps freed memory by itself."""

KEPT = 4
"""Buffers kept: the batch in use, the next, and one or two that a caller holds on to."""


def _references(kept: Sequence[object], place: int) -> int:
    return sys.getrefcount(kept[place])


IDLE = _references([object()], 0)
"""References to what is in a list alone (the list's, and those of the call that counts)."""


class Buffers:
    """Float32 tensors whose memory comes back when the last of their views is gone.

    A tensor made from a buffer owns a reference to it until its storage is freed, be it held by
    the caller, by a view or by autograd; so the count of references says who may write.
    """

    def __init__(self) -> None:
        self._kept: list[mmap.mmap] = []

    def empty(self, shape: tuple[int, ...]) -> Tensor:
        """A tensor of that shape, with whatever values."""
        size = math.prod(shape) * torch.float32.itemsize
        if size < LEAST:
            return torch.empty(shape)
        buffer = self._free(size)
        if buffer is None:
            buffer = mmap.mmap(-1, size)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                buffer.madvise(mmap.MADV_HUGEPAGE)
            self._kept = [*self._kept[1 - KEPT :], buffer]
        count = math.prod(shape)
        return torch.frombuffer(buffer, dtype=torch.float32, count=count).view(shape)

    def _free(self, size: int) -> mmap.mmap | None:
        """A kept buffer of at least `size` bytes that no tensor uses."""
        for place in range(len(self._kept)):
            if _references(self._kept, place) == IDLE and size <= len(self._kept[place]):
                return self._kept[place]
        return None
