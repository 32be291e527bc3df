"""torchvision's networks for segmentation and video, and its detectors up to what heads say.

The rest of a detector chooses boxes by their values, which is no network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torchvision
from references.detection import Heads, Proposals
from torch import nn
from torchvision.models import detection, segmentation, video

from importables import Given, Model, by_hand

TWO_STAGES = "fasterrcnn"
CLIPS = {
    "s3d": (14, 209, 209),
    "mvit": (16, 224, 224),
    "swin3d": (4, 64, 64),
}
"""Clips at which these run; all others do at 4 frames of 32 by 32."""


SAME = ("maskrcnn", "keypointrcnn_resnet50_fpn")
"""Detectors that are Faster R-CNN up to its proposals."""


def segmenter(name: str) -> nn.Module:
    made: nn.Module = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    return made


def detector(name: str) -> nn.Module:
    kind = Proposals if name.startswith(TWO_STAGES) else Heads
    return kind(segmenter(name))


def video_network(name: str) -> nn.Module:
    made: nn.Module = torchvision.models.get_model(name, weights=None)
    return made


def models() -> list[Model]:
    listed = torchvision.models.list_models
    return [
        *(part(name, segmenter, (64, 64)) for name in listed(module=segmentation)),
        *(part(name, video_network, clip(name)) for name in listed(module=video)),
        *(
            part(name, detector, (300, 300) if name.startswith("ssd3") else (128, 128), ".heads")
            for name in listed(module=detection)
            if not name.startswith(SAME)
        ),
    ]


def part(name: str, make: Callable[[str], nn.Module], at: tuple[int, ...], of: str = "") -> Model:
    hand = None if of else by_hand(name, "zoo")
    return Model(name + of, "parts", partial(make, name), [(Given((3, *at)),)], hand)


def clip(name: str) -> tuple[int, ...]:
    """Frames, height and width."""
    return next((CLIPS[each] for each in CLIPS if name.startswith(each)), (4, 32, 32))
