"""torchvision's 80 classifiers, at the smallest image at which each runs."""

from __future__ import annotations

from functools import partial

import parity

from importables import Model, by_hand, images


def models() -> list[Model]:
    found = []
    for name in parity.names():
        size = parity.LEAST.get(name, parity.SMALL)
        make = partial(parity.torchvision_model, name, (3, size, size))
        found.append(Model(name, "classifiers", make, images(size), by_hand(name)))
    return found
