"""torchvision's 80 classifiers, at the smallest image at which each runs."""

from __future__ import annotations

from functools import partial

import parity
from comparing import unfilled
from torch import nn

from importables import Model, by_hand, images


def unfilled_model(name: str, size: int) -> nn.Module:
    """A network that gets its values later: to draw those of the largest takes minutes."""
    with unfilled():
        return parity.torchvision_model(name, (3, size, size))


def models() -> list[Model]:
    found = []
    for name in parity.names():
        size = parity.LEAST.get(name, parity.SMALL)
        make = partial(unfilled_model, name, size)
        hand = by_hand(name, "specs/torchvision")
        found.append(Model(name, "classifiers", make, images(size), hand, initialised=False))
    return found
