"""timm's networks: residual, aggregated and normaliser-free ones, and transformers of images."""

from __future__ import annotations

import timm
from torch import nn

from references import reference


@reference(sizes={"H": 64, "W": 96})
def res2net50_26w_4s() -> nn.Module:
    return timm.create_model("res2net50_26w_4s")


@reference(sizes={"H": 64, "W": 96})
def dla34() -> nn.Module:
    return timm.create_model("dla34")


@reference(sizes={"H": 32, "W": 64})
def hrnet_w18() -> nn.Module:
    return timm.create_model("hrnet_w18")


@reference(sizes={"H": 64, "W": 64})
def nfnet_f0() -> nn.Module:
    return timm.create_model("nfnet_f0")


@reference()
def levit_128s() -> nn.Module:
    return timm.create_model("levit_128s")


@reference(arguments={"image_size": 64})
def beit_base_patch16_224() -> nn.Module:
    # Attention in steps, whose products torch counts.
    timm.layers.set_fused_attn(False)
    try:
        return timm.create_model("beit_base_patch16_224", img_size=64)
    finally:
        timm.layers.set_fused_attn(True)
