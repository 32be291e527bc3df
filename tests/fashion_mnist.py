"""Real Fashion-MNIST images for tests, where a copy of the data set is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
# torchvision's layout: ROOT/FashionMNIST/raw/*-ubyte
ROOTS = [
    *([Path(os.environ["ARCHSPEC_DATA"])] if "ARCHSPEC_DATA" in os.environ else []),
    CHECKOUT / "data",
    CHECKOUT.parent / "shared" / "data",
]


def find_root() -> Path:
    """The folder that holds `FashionMNIST/`; skips the test, saying why, where there is none."""
    for root in ROOTS:
        if (root / "FashionMNIST" / "raw").is_dir():
            return root
    pytest.skip(
        "no Fashion-MNIST at hand: set ARCHSPEC_DATA to a folder that torchvision downloaded it to"
    )
