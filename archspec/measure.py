"""What a real run costs: the bytes that autograd saves and the multiply-accumulates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

Result = TypeVar("Result")


def measure_saved_bytes(run: Callable[[], Result], owned: Iterable[Tensor]) -> tuple[Result, int]:
    """The result of `run` and the bytes that autograd keeps for its backward pass.

    Counts distinct storages, each in full, however many saved tensors look at it. Storages of
    `owned` (a module's parameters and buffers) are left out: they live on anyway.
    """
    mine = {tensor.untyped_storage().data_ptr() for tensor in owned}
    # The storages are held until they are counted: a freed address could be given out twice.
    saved: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in mine:
            saved[storage.data_ptr()] = storage
        # Detached, since an output that its own graph node holds would never be freed.
        return tensor.detach()

    with torch.enable_grad(), saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    return result, sum(storage.nbytes() for storage in saved.values())


@contextmanager
def counting_macs() -> Iterator[Callable[[], int]]:
    """Counts multiply-accumulates in its body; yields a function that reads the count so far.

    They are half of what `torch.utils.flop_counter` counts: convolutions and matrix products.
    Attention runs as plain products and grad is on, since the counter reports 0 for attention
    kernels that it does not know and for what runs without grad on the CPU.
    """
    counter = FlopCounterMode(display=False)
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        yield lambda: int(counter.get_total_flops()) // 2


def measure_macs(run: Callable[[], object]) -> int:
    """Multiply-accumulates of `run`, for the whole batch that it computes."""
    with counting_macs() as count:
        run()
        return count()
