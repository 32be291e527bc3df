"""Loss, accuracy and confusion of a network on one part of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from archspec.training.device import autocast
from archspec.training.distributed import Processes
from archspec.training.layouts import laid_out
from archspec.training.loss import Loss
from archspec.training.metrics import Figures, Sums, figures_of

if TYPE_CHECKING:
    from archspec.data import Split


class Evaluation(NamedTuple):
    """What was found; `confusion[i][j]` counts images of class i that were taken for class j."""

    figures: Figures
    confusion: Tensor


@torch.no_grad()
def evaluate(
    net: nn.Module,
    split: Split,
    loss: Loss,
    *,
    classes: int,
    batch_size: int,
    device: torch.device,
    precision: str = "fp32",
    layout: torch.memory_format = torch.contiguous_format,
    processes: Processes | None = None,
) -> Evaluation:
    """Runs `net` in `eval()` over all images; each of several processes takes its share.

    `net` is left in the mode and the layout it was in. Its buffers must be the same in all
    processes.
    """
    processes = processes or Processes()
    sums = Sums(device)
    # 32 bits, which every GPU adds up without a lock; nothing here waits for the device.
    confusion = torch.zeros(classes * classes, dtype=torch.int32, device=device)
    mine = torch.arange(len(split))[processes.rank :: processes.world]
    was_training = net.training
    net.eval()
    with laid_out(net, layout):
        for images, labels in split.batches(
            batch_size, order=mine, device=device, training=False, generator=None
        ):
            with autocast(precision, device):
                output = net(images.contiguous(memory_format=layout))
                total = loss(output, labels)
            logits = loss.logits(output)
            sums.add(total, logits, labels)
            pairs = labels * classes + logits.argmax(1)
            confusion.index_add_(0, pairs, torch.ones_like(pairs, dtype=torch.int32))
        # FSDP gathers weights in each forward pass, so all processes must run equally many.
        largest_share = -(-len(split) // processes.world)
        if _rounds(largest_share, batch_size) > _rounds(len(mine), batch_size):
            _run_for_others(net, split, precision, device, layout)
    net.train(was_training)
    processes.sum(sums.total)
    processes.sum(confusion)
    counts = confusion.reshape(classes, classes).cpu().to(torch.int64)
    return Evaluation(figures_of(sums.total), counts)


def _rounds(images: int, batch_size: int) -> int:
    return -(-images // batch_size)


def _run_for_others(
    net: nn.Module,
    split: Split,
    precision: str,
    device: torch.device,
    layout: torch.memory_format,
) -> None:
    """A forward pass whose result is dropped, because other processes run one more batch."""
    first = split.batches(1, order=torch.zeros(1, dtype=torch.int64), device=device)
    for images, _ in first:
        with autocast(precision, device):
            net(images.contiguous(memory_format=layout))
