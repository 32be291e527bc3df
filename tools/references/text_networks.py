"""transformers' networks of text and speech, without pretrained weights and caches."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor, nn

from references import reference

EAGER: dict[str, Any] = {"attn_implementation": "eager", "use_cache": False}
SHORT = {"T": 12}


def masked(net: nn.Module, tokens: Tensor, mask: Tensor, *types: Tensor) -> Any:
    """What an encoder gives for tokens, the mask of those to be read, and token types."""
    names = dict(zip(["token_type_ids"], types, strict=False))
    return net(input_ids=tokens, attention_mask=mask, **names).to_tuple()


def logits(net: nn.Module, tokens: Tensor) -> Tensor:
    """What a language model gives for tokens."""
    result: Tensor = net(input_ids=tokens).logits
    return result


def hidden(net: nn.Module, *inputs: Tensor) -> Tensor:
    """What the last layer of an encoder gives."""
    result: Tensor = net(*inputs).last_hidden_state
    return result


SMALL_GPT2 = {"vocab": 1000, "width": 96, "depth": 2, "num_heads": 4}


@reference(sizes=SHORT, arguments=SMALL_GPT2, call=logits)
def gpt2() -> nn.Module:
    config = transformers.GPT2Config(
        vocab_size=1000, bos_token_id=0, eos_token_id=0, n_embd=96, n_layer=2, n_head=4, **EAGER
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


@reference(sizes=SHORT, arguments=SMALL_BERT, call=masked)
def bert() -> nn.Module:
    return transformers.BertModel(transformers.BertConfig(**SMALL, **EAGER))


@reference(
    sizes=SHORT,
    arguments={**SMALL_BERT, "head_features": 32},
    call=masked,
)
def t5_encoder() -> nn.Module:
    config = transformers.T5Config(
        vocab_size=1000, d_model=96, d_kv=32, d_ff=200, num_layers=2, num_heads=4, **EAGER
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
        **EAGER,
    )
    return transformers.models.whisper.modeling_whisper.WhisperEncoder(config)


def with_exact_angles(module: nn.Module) -> nn.Module:
    """The module with rotary frequencies in double precision, as constants.

    transformers rounds them to float32 three times; they are buffers, but never saved.
    """
    rotary: Any = module.get_submodule("model.rotary_emb")
    del rotary.inv_freq, rotary.original_inv_freq
    config = rotary.config
    features = config.hidden_size // config.num_attention_heads
    exponents = torch.arange(0, features, 2, dtype=torch.float64) / features
    rotary.inv_freq = config.rope_parameters["rope_theta"] ** -exponents
    return module


@reference(sizes=SHORT, arguments={**SMALL_BERT, "key_heads": 2}, call=logits)
def llama() -> nn.Module:
    config = transformers.LlamaConfig(**SMALL, num_key_value_heads=2, rms_norm_eps=1e-5, **EAGER)
    return with_exact_angles(transformers.LlamaForCausalLM(config))
