"""Specs beyond torchvision's classifiers against their references, those that take a moment."""

import pytest
import references

import zoo

REFERENCES = references.load()
SMALL = [
    *("albert", "bert", "clip_text", "clip_vision", "distilbert", "electra", "gpt2", "llama"),
    *("mistral", "phi", "qwen2", "t5_encoder", "vit_base", "whisper_encoder"),
    *("dcgan_discriminator", "dcgan_generator", "espcn", "nerf", "tcn", "vae"),
    *("fasterrcnn_box_head", "raft_small_encoders", "ssdlite320_mobilenet_v3_large"),
]


@pytest.mark.parametrize("name", SMALL)
def test_spec_agrees_with_its_reference(name: str) -> None:
    if name not in REFERENCES:
        pytest.skip(f"needs {', '.join(sorted(set(references.MISSING.values())))}")
    assert zoo.compare(REFERENCES[name]).failures == {}
