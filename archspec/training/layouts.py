"""Layouts of images in memory, and a network that computes in one of them for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
"""By the names that a recipe has for them; the plain one comes first."""


@contextmanager
def laid_out(net: nn.Module, layout: torch.memory_format) -> Iterator[None]:
    """Inside, the kernels of `net` lie in memory as its images do, which convolutions go by.

    They are copies there. Afterwards each weight has the very memory back that it had before, so
    that training goes on with the same bits and the same strides.
    """
    kernels = [each for each in net.parameters() if each.dim() == 4]
    kept = [each.data for each in kernels]
    try:
        for kernel in kernels:
            kernel.data = kernel.data.to(memory_format=layout)
        yield
    finally:
        for kernel, data in zip(kernels, kept, strict=True):
            kernel.data = data
