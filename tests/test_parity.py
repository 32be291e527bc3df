"""The specs in specs/torchvision against torchvision's own models (see tools/parity.py)."""

from __future__ import annotations

from pathlib import Path

import parity
import pytest
import torchvision

MODELS = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11_bn",
    "vit_b_32",
)
"""A small member of each family, and of each kind within one."""


def test_every_family_is_compared() -> None:
    def family(name: str) -> str:
        return torchvision.models.get_model_builder(name).__module__

    assert {family(name) for name in MODELS} == {family(name) for name in parity.names()}


@pytest.mark.parametrize("model", MODELS)
def test_spec_equals_the_torchvision_model(model: str) -> None:
    assert parity.compare(model, size=parity.SMALL).failures == {}


@pytest.mark.parametrize(
    ("model", "right", "wrong", "noticed"),
    [
        ("resnet18", "{name: bn1, ", "{name: norm1, ", {"keys"}),
        ("resnet18", "{name: relu, relu}", "{name: relu, gelu}", {"logits", "train"}),
        ("googlenet", "dropout_aux: 0.7", "dropout_aux: 0.6", {"train"}),
        ("googlenet", "outputs: {logits: fc, ", "outputs: {scores: fc, ", {"train"}),
        ("resnet18", "kernel_size: 3, stride: 2", "kernel_size: 3, stride: 3", {"shapes", "MACs"}),
    ],
)
def test_a_wrong_spec_is_noticed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    right: str,
    wrong: str,
    noticed: set[str],
) -> None:
    text = (parity.SPECS / f"{model}.yaml").read_text(encoding="utf-8")
    assert text.count(right) == 1
    (tmp_path / f"{model}.yaml").write_text(text.replace(right, wrong), encoding="utf-8")
    monkeypatch.setattr(parity, "SPECS", tmp_path)
    assert noticed <= parity.compare(model, size=parity.SMALL).failures.keys()
