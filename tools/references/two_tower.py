"""Two small transformers that map images and texts into one space, after CLIP."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vision_transformer import EncoderBlock

from references import reference


class Encoder(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, embedding: int) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-5)
        self.ln_pre = norm(width)
        self.layers = nn.Sequential(
            *(EncoderBlock(heads, width, 4 * width, 0.0, 0.0, norm) for _ in range(depth))
        )
        self.ln_post = norm(width)
        self.projection = nn.Linear(width, embedding, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ln_post(self.layers(self.ln_pre(x))).mean(1)
        return functional.normalize(self.projection(x))


class TwoTower(nn.Module):
    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.image_patches = nn.Conv2d(3, width, 8, 8)
        self.image_positions = nn.Parameter(torch.zeros(64, width))
        self.image_tower = Encoder(width, 4, 4, 64)
        self.words = nn.Embedding(8192, width)
        self.text_positions = nn.Embedding(64, width)
        self.text_tower = Encoder(width, 4, 4, 64)
        self.log_scale = nn.Parameter(torch.tensor([2.6592]))

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        patches = self.image_patches(image).flatten(2).transpose(1, 2)
        images = self.image_tower(patches + self.image_positions)
        positions = self.text_positions(torch.arange(text.shape[1]))
        texts = self.text_tower(self.words(text) + positions)
        return images * self.log_scale.exp(), texts


@reference(sizes={"T": 7})
def two_tower() -> nn.Module:
    return TwoTower()
