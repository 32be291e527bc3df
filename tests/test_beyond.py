"""Specs beyond torchvision's classifiers against their references, those that take a moment."""

import pytest
import references
import torch
from torch import nn

import zoo

REFERENCES = references.load()
SMALL = {
    "text_networks": [
        *("albert", "bert", "clip_text", "clip_vision", "distilbert", "electra", "gpt2", "llama"),
        *("mistral", "phi", "qwen2", "roberta", "t5_encoder", "vit_base", "whisper_encoder"),
    ],
    "papers": ["lstm_classifier", "mixture_of_experts", "nerf", "tcn", "vae"],
    "vision_papers": ["dcgan_discriminator", "dcgan_generator", "espcn"],
    "two_tower": ["two_tower"],
    "detection": ["fasterrcnn_box_head", "ssdlite320_mobilenet_v3_large"],
    "flow": ["raft_small_encoders"],
    "video": ["mc3_18"],
    "timm_networks": ["dla34", "mixer_s32_224", "res2net50_26w_4s"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in SMALL for name in SMALL[kind]])
def test_spec_agrees_with_its_reference(kind: str, name: str) -> None:
    if kind in references.MISSING:
        pytest.skip(f"needs {references.MISSING[kind]}")
    assert zoo.compare(REFERENCES[name]).failures == {}


class Attention(nn.Module):
    """One head, and a buffer that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 4) for _ in range(3))
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("spare", torch.ones(2))

    def forward(self, x):
        x = self.norm(x)
        weights = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(2)
        return weights @ self.v(x)


@pytest.mark.parametrize(
    ("inert", "failures"),
    [
        (["k.bias", "spare"], []),
        (["spare"], ["k.bias changes nothing"]),
        (["k.bias"], ["spare changes nothing"]),
        (["*.bias", "spare"], [f"{each}.bias changes something" for each in ("q", "v", "norm")]),
    ],
)
def test_a_tensor_that_only_rounding_reads_is_noticed(inert, failures):
    torch.manual_seed(0)
    net, x = Attention(), torch.randn(2, 3, 4)
    given = references.Reference("", "", Attention, inert=dict.fromkeys(inert, "so"))
    found = zoo.Comparison("", "", 0, 0, 0, 0)
    zoo.compare_tensors(found, given, net, [x])
    said = [each.partition(",")[0] for each in found.failures.get("tensors", [])]
    assert said == failures
