"""torchvision's detectors, up to what their heads say of all anchors.

As it fine-tunes them: batch normalisation is frozen where it is on ResNet, with the `eps` of 0 of
the published weights, and so are the first stages.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torchvision.models import detection, resnet50
from torchvision.models.detection import _utils, backbone_utils
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from references import reference


class Heads(nn.Module):
    """The backbone of a detector and its head, under the detector's own keys."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, images: Tensor) -> Any:
        return self.head(list(self.backbone(images).values()))


class Proposals(nn.Module):
    """The backbone of Faster R-CNN and the head of its region proposals."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.rpn = nn.ModuleDict({"head": detector.rpn.head})

    def forward(self, images: Tensor) -> Any:
        return self.rpn["head"](list(self.backbone(images).values()))


class Boxes(nn.Module):
    """The second stage of Faster R-CNN, on regions that are pooled."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        names = ("box_head", "box_predictor")
        self.roi_heads = nn.Sequential(
            OrderedDict((name, getattr(detector.roi_heads, name)) for name in names)
        )

    def forward(self, regions: Tensor) -> Any:
        return self.roi_heads(regions)


def resnet50_fpn(**how: Any) -> nn.Module:
    """The backbone, with the last three of its five parts trained."""
    body = resnet50(norm_layer=FrozenBatchNorm2d)
    made = backbone_utils._resnet_fpn_extractor(body, 3, **how)
    _utils.overwrite_eps(made, 0.0)
    return made


def pyramid() -> nn.Module:
    return resnet50_fpn(returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))


SMALL = {"H": 128, "W": 96}


@reference(sizes=SMALL)
def retinanet_resnet50_fpn() -> nn.Module:
    return Heads(detection.RetinaNet(pyramid(), 91))


@reference(sizes=SMALL)
def fcos_resnet50_fpn() -> nn.Module:
    return Heads(detection.FCOS(pyramid(), 91))


@reference(sizes=SMALL)
def fasterrcnn_resnet50_fpn_rpn() -> nn.Module:
    return Proposals(detection.FasterRCNN(resnet50_fpn(), 91))


@reference()
def fasterrcnn_box_head() -> nn.Module:
    return Boxes(detection.FasterRCNN(resnet50_fpn(), 91))


@reference()
def ssd300_vgg16() -> nn.Module:
    made = Heads(detection.ssd300_vgg16(weights=None, weights_backbone=None))
    for layer in made.backbone.features[:4]:
        layer.requires_grad_(False)
    return made


@reference(sizes={"H": 32, "W": 64})
def ssdlite320_mobilenet_v3_large() -> nn.Module:
    return Heads(detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None))
