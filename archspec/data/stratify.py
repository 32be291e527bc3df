"""Seeded subsets in which every class has its share."""

from __future__ import annotations

import torch
from torch import Tensor


def stratified(
    labels: Tensor, count: int, generator: torch.Generator, *, share_out: bool = True
) -> tuple[Tensor, Tensor]:
    """`count` of the positions of `labels` drawn at random, and the others; both ascending.

    Every class gives its share, rounded so that the total is exact (largest remainders first).
    Then, as far as `count` allows, each class that is left out is given a place at the cost of one
    that has more than its share. With `share_out`, one of each class is left among the others as
    well, so a class needs two to be among the chosen.
    """
    shuffled = torch.randperm(len(labels), generator=generator)
    counts = torch.bincount(labels)
    exact = counts.double() * count / max(1, len(labels))
    quota = exact.floor().long()
    missing = count - int(quota.sum())
    quota[(exact - quota).argsort(descending=True, stable=True)[:missing]] += 1
    most = (counts - 1).clamp(min=0) if share_out else counts
    _give(quota, exact, most.clamp(max=1), most)
    mixed = labels[shuffled]
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for value, share in enumerate(quota.tolist()):
        chosen[shuffled[mixed == value][:share]] = True
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()


def _give(quota: Tensor, exact: Tensor, least: Tensor, most: Tensor) -> None:
    """Bring `quota` within `least` and `most` (each by class), in place, its sum kept.

    One place moves at a time, from the class that has most above its exact share to the one that
    has least; it stops where no class can give or take.
    """
    while True:
        over, under = quota > most, quota < least
        givers = over if bool(over.any()) else quota > least
        takers = under if bool(under.any()) else quota < most
        if not (bool(over.any()) or bool(under.any())) or not (givers.any() and takers.any()):
            return
        surplus = quota - exact
        giver = surplus.masked_fill(~givers, -torch.inf).argmax()
        receiver = surplus.masked_fill(~takers, torch.inf).argmin()
        quota[giver] -= 1
        quota[receiver] += 1
