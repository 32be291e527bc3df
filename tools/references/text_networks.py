"""transformers' networks of text and speech, without pretrained weights and caches."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor, nn

from references import KEY_BIAS, reference

OPTIONS: dict[str, Any] = {"attn_implementation": "sdpa", "use_cache": False}
SHORT = {"T": 12}


def masked(net: nn.Module, tokens: Tensor, mask: Tensor, *types: Tensor) -> Any:
    """What an encoder gives for tokens, the mask of those to be read, and token types."""
    names = dict(zip(["token_type_ids"], types, strict=False))
    return net(input_ids=tokens, attention_mask=mask, **names).to_tuple()


def logits(net: nn.Module, *inputs: Tensor) -> Tensor:
    """What a language model or classifier gives."""
    result: Tensor = net(*inputs).logits
    return result


def hidden(net: nn.Module, *inputs: Tensor) -> Tensor:
    """What the last layer of an encoder gives."""
    result: Tensor = net(*inputs).last_hidden_state
    return result


SMALL_GPT2 = {"vocab": 1000, "width": 96, "depth": 2, "num_heads": 4}


@reference(sizes=SHORT, arguments=SMALL_GPT2, call=logits)
def gpt2() -> nn.Module:
    config = transformers.GPT2Config(
        vocab_size=1000, bos_token_id=0, eos_token_id=0, n_embd=96, n_layer=2, n_head=4, **OPTIONS
    )
    return transformers.GPT2LMHeadModel(config)


SMALL_BERT = {"vocab": 1000, "width": 96, "depth": 2, "num_heads": 4, "mlp_features": 200}
SMALL: dict[str, Any] = {
    "vocab_size": 1000,
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 200,
}


@reference(sizes=SHORT, arguments=SMALL_BERT, call=masked, inert={"*.key.bias": KEY_BIAS})
def bert() -> nn.Module:
    return transformers.BertModel(transformers.BertConfig(**SMALL, **OPTIONS))


@reference(sizes=SHORT, arguments=SMALL_BERT, call=masked, inert={"*.key.bias": KEY_BIAS})
def roberta() -> nn.Module:
    config = transformers.RobertaConfig(
        **SMALL, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, **OPTIONS
    )
    return transformers.RobertaModel(config, add_pooling_layer=False)


@reference(
    sizes=SHORT,
    arguments={**SMALL_BERT, "head_features": 32},
    call=masked,
)
def t5_encoder() -> nn.Module:
    config = transformers.T5Config(
        vocab_size=1000, d_model=96, d_kv=32, d_ff=200, num_layers=2, num_heads=4, **OPTIONS
    )
    return transformers.T5EncoderModel(config)


@reference(arguments={"context": 20, "width": 96, "depth": 2, "num_heads": 4}, call=hidden)
def whisper_encoder() -> nn.Module:
    config = transformers.WhisperConfig(
        max_source_positions=20,
        d_model=96,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=384,
        **OPTIONS,
    )
    return transformers.models.whisper.modeling_whisper.WhisperEncoder(config)


def with_exact_angles(module: nn.Module) -> nn.Module:
    """The module with rotary frequencies that are rounded to float32 once, as constants.

    transformers rounds each step of the formula; they are buffers, but never saved.
    """
    rotary: Any = module.get_submodule("model.rotary_emb")
    del rotary.inv_freq, rotary.original_inv_freq
    config = rotary.config
    features = config.hidden_size // config.num_attention_heads
    features = int(features * config.rope_parameters.get("partial_rotary_factor", 1))
    exponents = torch.arange(0, features, 2, dtype=torch.float64) / features
    rotary.inv_freq = (config.rope_parameters["rope_theta"] ** -exponents).float()
    return module


@reference(sizes=SHORT, arguments={**SMALL_BERT, "key_heads": 2}, call=logits)
def llama() -> nn.Module:
    config = transformers.LlamaConfig(**SMALL, num_key_value_heads=2, rms_norm_eps=1e-5, **OPTIONS)
    return with_exact_angles(transformers.LlamaForCausalLM(config))


SMALL_DECODER = {**SMALL_BERT, "key_heads": 2}


@reference(sizes=SHORT, arguments=SMALL_DECODER, call=logits)
def mistral() -> nn.Module:
    config = transformers.MistralConfig(
        **SMALL,
        num_key_value_heads=2,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        sliding_window=None,
        **OPTIONS,
    )
    return with_exact_angles(transformers.MistralForCausalLM(config))


@reference(sizes=SHORT, arguments=SMALL_DECODER, call=logits)
def qwen2() -> nn.Module:
    config = transformers.Qwen2Config(
        **SMALL,
        num_key_value_heads=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        **OPTIONS,
    )
    return with_exact_angles(transformers.Qwen2ForCausalLM(config))


@reference(sizes=SHORT, arguments=SMALL_BERT, call=logits)
def phi() -> nn.Module:
    config = transformers.PhiConfig(**SMALL, **OPTIONS)
    return with_exact_angles(transformers.PhiForCausalLM(config))


@reference(sizes=SHORT, arguments=SMALL_BERT, call=masked, inert={"*.k_lin.bias": KEY_BIAS})
def distilbert() -> nn.Module:
    config = transformers.DistilBertConfig(
        vocab_size=1000, dim=96, n_layers=2, n_heads=4, hidden_dim=200, **OPTIONS
    )
    return transformers.DistilBertModel(config)


@reference(
    sizes=SHORT,
    arguments={**SMALL_BERT, "embedding": 64},
    call=masked,
    inert={"*.key.bias": KEY_BIAS},
)
def albert() -> nn.Module:
    config = transformers.AlbertConfig(
        **SMALL, embedding_size=64, hidden_dropout_prob=0, attention_probs_dropout_prob=0, **OPTIONS
    )
    return transformers.AlbertModel(config)


@reference(
    sizes=SHORT,
    arguments={**SMALL_BERT, "embedding": 64},
    call=masked,
    inert={"*.key.bias": KEY_BIAS},
)
def electra() -> nn.Module:
    config = transformers.ElectraConfig(**SMALL, embedding_size=64, **OPTIONS)
    return transformers.ElectraModel(config)


def both(net: nn.Module, *inputs: Tensor) -> Any:
    """What the last layer and the pooler give."""
    return net(*inputs).to_tuple()


SMALL_TOWER = {"width": 96, "depth": 2, "num_heads": 4}
SMALL_TRANSFORMER: dict[str, Any] = {
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 384,
}


@reference(arguments={**SMALL_TOWER, "image": 96}, call=both, inert={"*.k_proj.bias": KEY_BIAS})
def clip_vision() -> nn.Module:
    config = transformers.CLIPVisionConfig(**SMALL_TRANSFORMER, image_size=96, **OPTIONS)
    return transformers.CLIPVisionModel(config)


@reference(
    sizes=SHORT,
    arguments={**SMALL_TOWER, "vocab": 1000},
    call=both,
    inert={"*.k_proj.bias": KEY_BIAS},
)
def clip_text() -> nn.Module:
    config = transformers.CLIPTextConfig(
        **SMALL_TRANSFORMER, vocab_size=1000, bos_token_id=0, eos_token_id=2, **OPTIONS
    )
    return transformers.CLIPTextModel(config)


@reference(
    arguments={**SMALL_TOWER, "image": 64, "num_classes": 10},
    call=logits,
    inert={"*.k_proj.bias": KEY_BIAS},
)
def vit_base() -> nn.Module:
    config = transformers.ViTConfig(**SMALL_TRANSFORMER, image_size=64, num_labels=10, **OPTIONS)
    return transformers.ViTForImageClassification(config)
