"""Networks of transformers, with few layers each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers as hf
from torch import Tensor, nn

from importables import Given, Model, by_hand

WIDE: dict[str, Any] = {
    "hidden_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 200,
}
TEXT = {**WIDE, "vocab_size": 1000}
PATCHES = {**WIDE, "image_size": 64, "patch_size": 16}
TOKENS = [(Given((12,), below=1000),)]
IMAGES = [(Given((3, 64, 64)),)]
PLAIN: dict[str, Any] = {"attn_implementation": "sdpa"}
CACHED: dict[str, Any] = {**PLAIN, "use_cache": False}


def bert() -> nn.Module:
    return hf.BertModel(hf.BertConfig(**TEXT, **PLAIN))


def gpt2() -> nn.Module:
    sizes = {"n_embd": 96, "n_layer": 3, "n_head": 4}
    config = hf.GPT2Config(vocab_size=1000, bos_token_id=0, eos_token_id=0, **sizes, **CACHED)
    return hf.GPT2LMHeadModel(config)


def t5_encoder() -> nn.Module:
    sizes = {"d_model": 96, "d_kv": 32, "d_ff": 200, "num_layers": 3, "num_heads": 4}
    return hf.T5EncoderModel(hf.T5Config(vocab_size=1000, **sizes, **CACHED))


def vit() -> nn.Module:
    return hf.ViTModel(hf.ViTConfig(**PATCHES, **PLAIN))


def deit() -> nn.Module:
    return hf.DeiTModel(hf.DeiTConfig(**PATCHES, **PLAIN))


def swin() -> nn.Module:
    sizes = {"embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4]}
    return hf.SwinModel(hf.SwinConfig(image_size=64, patch_size=4, window_size=4, **sizes, **PLAIN))


def convnext() -> nn.Module:
    return hf.ConvNextModel(hf.ConvNextConfig(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 3, 1]))


def wav2vec2() -> nn.Module:
    sizes = {"conv_dim": (32,) * 7, "num_conv_pos_embeddings": 16}
    config = hf.Wav2Vec2Config(**WIDE, **sizes, apply_spec_augment=False, **PLAIN)
    return hf.Wav2Vec2Model(config)


def whisper_encoder() -> nn.Module:
    sizes = {"d_model": 96, "encoder_layers": 3, "encoder_attention_heads": 4}
    config = hf.WhisperConfig(max_source_positions=20, encoder_ffn_dim=200, **sizes, **CACHED)
    return hf.models.whisper.modeling_whisper.WhisperEncoder(config)


def llama() -> nn.Module:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**TEXT, num_key_value_heads=2, **CACHED))


def mistral() -> nn.Module:
    return hf.MistralForCausalLM(hf.MistralConfig(**TEXT, num_key_value_heads=2, **CACHED))


def clip_text() -> nn.Module:
    config = hf.CLIPTextConfig(
        **TEXT, max_position_embeddings=16, bos_token_id=998, eos_token_id=999, **PLAIN
    )
    return hf.CLIPTextModel(config)


def clip_vision() -> nn.Module:
    return hf.CLIPVisionModel(hf.CLIPVisionConfig(**PATCHES, **PLAIN))


def segformer() -> nn.Module:
    sizes = {"hidden_sizes": [16, 32, 40, 64], "depths": [1, 1, 2, 1], "decoder_hidden_size": 32}
    return hf.SegformerForSemanticSegmentation(hf.SegformerConfig(**sizes, **PLAIN))


def dinov2() -> nn.Module:
    sizes = {key: PATCHES[key] for key in PATCHES if key != "intermediate_size"}
    return hf.Dinov2Model(hf.Dinov2Config(**sizes, **PLAIN))


class MaskedEncoder(hf.ViTMAEModel):
    """The encoder of MAE, which takes the noise that says which patches are masked."""

    def forward(self, pixel_values: Tensor, noise: Tensor) -> Tensor:
        hidden: Tensor = super().forward(pixel_values, noise=noise).last_hidden_state
        return hidden


def mae() -> nn.Module:
    return MaskedEncoder(hf.ViTMAEConfig(**PATCHES, **PLAIN))


NETWORKS: dict[Callable[[], nn.Module], list[tuple[Given, ...]]] = {
    bert: TOKENS,
    gpt2: TOKENS,
    t5_encoder: TOKENS,
    vit: IMAGES,
    deit: IMAGES,
    swin: IMAGES,
    convnext: IMAGES,
    wav2vec2: [(Given((2000,)),)],
    whisper_encoder: [(Given((80, 40)),)],
    llama: TOKENS,
    mistral: TOKENS,
    clip_text: TOKENS,
    clip_vision: IMAGES,
    segformer: IMAGES,
    dinov2: [(*IMAGES[0], Given((16,), below=2))],
    mae: [(*IMAGES[0], Given((16,)))],
}


def models() -> list[Model]:
    return [
        Model(
            f"hf.{make.__name__}",
            "transformers",
            make,
            given,
            by_hand(make.__name__, "zoo", "specs"),
        )
        for make, given in NETWORKS.items()
    ]
