"""torchvision's segmentation networks, with the auxiliary head that they are trained with."""

from __future__ import annotations

from torch import nn
from torchvision.models import segmentation

from references import reference

SMALL = {"H": 65, "W": 48}


@reference(sizes=SMALL)
def fcn_resnet50() -> nn.Module:
    return segmentation.fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)


@reference(sizes=SMALL)
def fcn_resnet101() -> nn.Module:
    return segmentation.fcn_resnet101(weights=None, weights_backbone=None, aux_loss=True)


@reference(sizes=SMALL)
def deeplabv3_resnet50() -> nn.Module:
    return segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True)


@reference(sizes=SMALL)
def deeplabv3_resnet101() -> nn.Module:
    return segmentation.deeplabv3_resnet101(weights=None, weights_backbone=None, aux_loss=True)


@reference(sizes=SMALL)
def deeplabv3_mobilenet_v3_large() -> nn.Module:
    return segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, aux_loss=True
    )


@reference(sizes=SMALL)
def lraspp_mobilenet_v3_large() -> nn.Module:
    return segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
