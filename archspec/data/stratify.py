"""Seeded subsets in which every class has its share."""

from __future__ import annotations

import torch
from torch import Tensor


def stratified(labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` of the positions of `labels` drawn at random, and the others; both ascending.

    Every class gives its share, rounded so that the total is exact (largest remainders first).
    """
    shuffled = torch.randperm(len(labels), generator=generator)
    counts = torch.bincount(labels)
    exact = counts.double() * count / max(1, len(labels))
    quota = exact.floor().long()
    missing = count - int(quota.sum())
    quota[(exact - quota).argsort(descending=True, stable=True)[:missing]] += 1
    mixed = labels[shuffled]
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for value, share in enumerate(quota.tolist()):
        chosen[shuffled[mixed == value][:share]] = True
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()
