"""Loss, accuracy and confusion of a network on one part of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from archspec.train.device import autocast
from archspec.train.distributed import Processes
from archspec.train.loss import Loss
from archspec.train.metrics import Figures, Sums, figures_of

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

    `net` is left in the mode it was in.
    """
    processes = processes or Processes()
    sums = Sums(device)
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
    mine = torch.arange(processes.rank, len(split), processes.world)
    was_training = net.training
    net.eval()
    for images, labels in split.batches(
        batch_size, order=mine, device=device, training=False, generator=None
    ):
        with autocast(precision, device):
            output = net(images.contiguous(memory_format=layout))
            total = loss(output, labels)
        logits = loss.logits(output)
        sums.add(total, logits, labels)
        pairs = labels * classes + logits.argmax(1)
        confusion += torch.bincount(pairs, minlength=classes * classes)
    net.train(was_training)
    processes.sum(sums.total)
    processes.sum(confusion)
    return Evaluation(figures_of(sums.total), confusion.reshape(classes, classes).cpu())
