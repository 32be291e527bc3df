"""Memory of batches comes back, and never while somebody still reads it."""

from __future__ import annotations

import pytest
import torch

from archspec.data import open_dataset
from archspec.data.buffers import KEPT, Buffers

SHAPE = (64, 1, 96, 96)


def test_memory_is_used_again_when_nobody_holds_it() -> None:
    buffers = Buffers()
    places = set()
    for _ in range(5):
        batch = buffers.empty(SHAPE)
        assert batch.shape == SHAPE and batch.is_contiguous() and batch.dtype == torch.float32
        places.add(batch.data_ptr())
    assert len(places) <= 2
    del batch
    assert buffers.empty((30, 1, 96, 96)).data_ptr() in places


HOLD = {
    "batch": lambda batch, weight: batch,
    "view": lambda batch, weight: batch[3:, 0],
    "detached": lambda batch, weight: batch.detach().view(-1),
    "autograd": lambda batch, weight: (batch * weight).sum(),
}


@pytest.mark.parametrize("hold", HOLD)
def test_memory_that_is_held_is_left_alone(hold: str) -> None:
    buffers = Buffers()
    batch = buffers.empty(SHAPE).fill_(7)
    weight = torch.ones(SHAPE, requires_grad=True)
    held = HOLD[hold](batch, weight)
    del batch
    for _ in range(KEPT + 3):
        buffers.empty(SHAPE).fill_(1)
    if hold == "autograd":
        held.backward()
        assert weight.grad is not None
        held = weight.grad
    assert float(held.min()) == float(held.max()) == 7


def test_batches_that_are_collected_stay_as_they_were() -> None:
    data = open_dataset("digits", resize=64)
    kept = list(data.train.batches(100, device="cpu"))
    for start, (images, _) in enumerate(kept):
        again, _ = next(data.train.batches(100, start=100 * start, device="cpu"))
        assert torch.equal(images, again)
