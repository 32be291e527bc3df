"""timm's networks: residual, aggregated and normaliser-free ones, and transformers of images."""

from __future__ import annotations

import timm
import torch
from timm.models import beit, levit
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


# In a deeper one, filled at random, rounding in float64 grows to what a mistake might be.
@reference(sizes={"H": 64, "W": 64}, arguments={"depths": [1, 1, 1, 1]})
def nfnet_f0() -> nn.Module:
    return timm.create_model("nfnet_f0", depths=(1, 1, 1, 1))


@reference(arguments={"image_size": 64})
def beit_base_patch16_224() -> nn.Module:
    # Attention in steps: torch counts their products.
    timm.layers.set_fused_attn(False)
    try:
        net = timm.create_model("beit_base_patch16_224", img_size=64)
    finally:
        timm.layers.set_fused_attn(True)
    for module in net.modules():
        if isinstance(module, beit.Attention):
            index = beit.gen_relative_position_index(module.window_size)
            module.relative_position_index = index
            module.k_bias = torch.zeros(len(module.q_bias))
    return net


@reference(sizes={"H": 28, "W": 35})
def convmixer_768_32() -> nn.Module:
    return timm.create_model("convmixer_768_32")


@reference(inert={"*.mlp_tokens.fc2.bias": "all later norms subtract what all channels share"})
def mixer_s32_224() -> nn.Module:
    return timm.create_model("mixer_s32_224")


@reference(arguments={"image_size": 64})
def resmlp_12_224() -> nn.Module:
    return timm.create_model("resmlp_12_224", img_size=64)


@reference()
def levit_128s() -> nn.Module:
    net = timm.create_model("levit_128s")
    for module in net.modules():
        if isinstance(module, levit.Attention | levit.AttentionDownsample):
            module.attention_bias_idxs = module._compute_attention_bias_idxs()
    return net


@reference(
    sizes={"H": 64, "W": 96},
    inert={"*.norm1.bias": "the average around a place, less that place, loses what all share"},
)
def poolformer_s12() -> nn.Module:
    return timm.create_model("poolformer_s12")


@reference(sizes={"H": 64, "W": 96})
def repvgg_a0() -> nn.Module:
    return timm.create_model("repvgg_a0")
