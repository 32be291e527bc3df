"""torchvision's networks that classify videos: clips (N, 3, T, H, W)."""

from __future__ import annotations

from unittest.mock import patch

from torch import nn
from torchvision.models import video
from torchvision.models.video import mvit

from references import KEY_BIAS, reference

CLIP = {"T": 3, "H": 20, "W": 24}


@reference(sizes=CLIP)
def r3d_18() -> nn.Module:
    return video.r3d_18(weights=None)


@reference(sizes=CLIP)
def mc3_18() -> nn.Module:
    return video.mc3_18(weights=None)


@reference(sizes=CLIP)
def r2plus1d_18() -> nn.Module:
    return video.r2plus1d_18(weights=None)


@reference(sizes={"T": 14, "H": 209, "W": 209})  # the smallest that its last pool takes
def s3d() -> nn.Module:
    return video.s3d(weights=None)


# Frames that do not fill the windows, and windows smaller than the largest.
@reference(sizes={"T": 5, "H": 117, "W": 130})
def swin3d_t() -> nn.Module:
    return video.swin3d_t(weights=None)


@reference(
    arguments={"frames": 4, "image_size": 64},
    inert={"*.attn.pool_k.norm_act.0.bias": KEY_BIAS},
)
def mvit_v1_b() -> nn.Module:
    make = mvit.MViT  # the function of that name takes no other sizes than those of its weights

    def small(**how: object) -> nn.Module:
        return make(**how | {"temporal_size": 4, "spatial_size": (64, 64)})

    with patch.object(mvit, "MViT", small):
        return video.mvit_v1_b(weights=None)
