"""The specs in specs/torchvision against torchvision's own models (see tools/parity.py)."""

from __future__ import annotations

import parity
import pytest

MODELS = (
    "alexnet",
    "densenet121",
    "googlenet",
    "resnet18",
    "resnet50",
    "vgg11",
    "vgg11_bn",
    "vgg16",
)


def test_every_spec_is_compared() -> None:
    assert set(MODELS) <= set(parity.names())


@pytest.mark.parametrize("model", MODELS)
def test_spec_equals_the_torchvision_model(model: str) -> None:
    assert parity.compare(model, size=parity.SMALL).failures == {}
