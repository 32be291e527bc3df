"""One module of a bundled spec serves other legal sizes: the same bits as one compiled there."""

from __future__ import annotations

import pytest

import archspec
from archspec.testing.following import following_mismatches

SMALL_SWIN = {"features": 8, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 2, 2], "num_classes": 3}
SMALL_MAXVIT = {
    "stem_channels": 8,
    "channels": [8, 16],
    "depths": [2, 1],
    "partition": 3,
    "head_features": 4,
    "num_classes": 3,
}
CASES = {
    "torchvision/swin_t": (SMALL_SWIN, (64, 64), [(60, 115), (93, 71)]),
    "torchvision/swin_v2_t": (SMALL_SWIN, (70, 70), [(69, 131)]),
    "torchvision/maxvit_t": (SMALL_MAXVIT, (24, 24), [(48, 24), (22, 47)]),
    "torchvision/shufflenet_v2_x0_5": ({"num_classes": 3}, (32, 32), [(33, 47)]),
    "resnet18_group_norm": ({}, (32, 32), [(33, 21)]),
}
"""Parameters, the stated height and width, and other legal ones."""


@pytest.mark.parametrize("name", CASES)
def test_one_module_serves_other_sizes(name: str) -> None:
    params, stated, others = CASES[name]
    channels = archspec.load(name, warn=False).graph.inputs[0][1]
    arch = archspec.load(name, params, input_shape=(channels, *stated), warn=False)
    contract = arch.contract()
    assert all(contract.accepts(H=height, W=width) for height, width in others)
    shapes = [{"input": (channels, *size)} for size in (stated, *others)]
    assert list(following_mismatches(arch, shapes)) == []


def test_code_of_a_shifted_window_follows_its_map() -> None:
    arch = archspec.load("torchvision/swin_t", warn=False)
    attention = arch.build("meta").features[1][1].attn
    lines = attention.code.splitlines()
    assert lines[:6] == [
        "def forward(self, x):",
        "    size = (x.shape[1] + 6) // 7",
        "    size1 = (x.shape[2] + 6) // 7",
        "    size2 = x.shape[1]",
        "    size3 = x.shape[2]",
        "    x = torch.nn.functional.pad(x, [0, 0, 0, 7 * ((x.shape[2] + 6) // 7) - x.shape[2], 0, "
        "7 * ((x.shape[1] + 6) // 7) - x.shape[1]], value=0.0)",
    ]
    assert lines[-2:] == ["    x = x[:, 0:size2:1]", "    return x[:, :, 0:size3:1]"]


FOLLOWING = ("maxvit_t", "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t")


@pytest.mark.parametrize("name", archspec.bundled()[::6])
def test_code_of_other_specs_needs_no_sizes(name: str) -> None:
    arch = archspec.load(name, warn=False)
    assert (arch.emitted is arch.graph) is (name.removeprefix("torchvision/") not in FOLLOWING)
