"""DETR, written after its paper, of images without padding, on torchvision's ResNet-50."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FrozenBatchNorm2d

from references import reference


class EncoderLayer(nn.Module):
    """Figure 10, left: positions are added to queries and keys."""

    def __init__(self, width: int, num_heads: int, mlp_features: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, num_heads, 0.1, batch_first=True)
        self.linear1 = nn.Linear(width, mlp_features)
        self.linear2 = nn.Linear(mlp_features, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout, self.dropout1, self.dropout2 = (nn.Dropout(0.1) for _ in range(3))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        q = k = x + positions
        x = self.norm1(x + self.dropout1(self.self_attn(q, k, x, need_weights=False)[0]))
        y = self.linear2(self.dropout(functional.relu(self.linear1(x))))
        return self.norm2(x + self.dropout2(y))


class DecoderLayer(nn.Module):
    """Figure 10, right: the queries are the positions of the objects."""

    def __init__(self, width: int, num_heads: int, mlp_features: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, num_heads, 0.1, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(width, num_heads, 0.1, batch_first=True)
        self.linear1 = nn.Linear(width, mlp_features)
        self.linear2 = nn.Linear(mlp_features, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout, self.dropout1 = nn.Dropout(0.1), nn.Dropout(0.1)
        self.dropout2, self.dropout3 = nn.Dropout(0.1), nn.Dropout(0.1)

    def forward(self, x: Tensor, memory: Tensor, positions: Tensor, queries: Tensor) -> Tensor:
        q = k = x + queries
        x = self.norm1(x + self.dropout1(self.self_attn(q, k, x, need_weights=False)[0]))
        q, k = x + queries, memory + positions
        y = self.multihead_attn(q, k, memory, need_weights=False)[0]
        x = self.norm2(x + self.dropout2(y))
        y = self.linear2(self.dropout(functional.relu(self.linear1(x))))
        return self.norm3(x + self.dropout3(y))


class Stack(nn.Module):
    """Layers, and a norm for those of the decoder."""

    def __init__(self, layers: list[nn.Module], norm: nn.Module | None = None) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), norm

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, *others)
        return x if self.norm is None else self.norm(x)


class Transformer(nn.Module):
    def __init__(self, width: int, num_heads: int, depth: int, mlp_features: int) -> None:
        super().__init__()
        sizes = (width, num_heads, mlp_features)
        self.encoder = Stack([EncoderLayer(*sizes) for _ in range(depth)])
        self.decoder = Stack([DecoderLayer(*sizes) for _ in range(depth)], nn.LayerNorm(width))

    def forward(self, x: Tensor, positions: Tensor, queries: Tensor) -> Tensor:
        memory = self.encoder(x, positions)
        queries = queries.expand(len(x), -1, -1)
        objects = torch.zeros(queries.shape, dtype=x.dtype)
        return self.decoder(objects, memory, positions, queries)


class Boxes(nn.Module):
    """The MLP of three layers that gives boxes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, size) for size in (width, width, 4))

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        return last(functional.relu(second(functional.relu(first(x)))))


class Body(nn.Module):
    """ResNet-50 without its head; as in DETR only the last three stages are trained."""

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet50(norm_layer=FrozenBatchNorm2d)
        for name, parameter in resnet.named_parameters():
            parameter.requires_grad_(name.startswith(("layer2", "layer3", "layer4")))
        self.body = IntermediateLayerGetter(resnet, {"layer4": "0"})

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)["0"]


class DETR(nn.Module):
    """Carion et al., End-to-End Object Detection with Transformers (arXiv 2005.12872), figure 2."""

    def __init__(self, width: int = 256, depth: int = 6, num_queries: int = 100) -> None:
        super().__init__()
        self.backbone = nn.ModuleList([Body()])
        self.input_proj = nn.Conv2d(2048, width, 1)
        self.transformer = Transformer(width, 8, depth, 2048)
        self.query_embed = nn.Embedding(num_queries, width)
        self.class_embed = nn.Linear(width, 92)
        self.bbox_embed = Boxes(width)

    @staticmethod
    def positions(x: Tensor) -> Tensor:
        """Sines and cosines of rows and columns, in turn: supplement A.4."""
        half, (height, width) = x.shape[1] // 2, x.shape[2:]
        ones = torch.ones(1, height, width, dtype=torch.float32)
        y, x = ones.cumsum(1), ones.cumsum(2)
        y = y / (y[:, -1:] + 1e-6) * 2 * math.pi
        x = x / (x[:, :, -1:] + 1e-6) * 2 * math.pi
        periods = torch.arange(half, dtype=torch.float32)
        periods = 10000 ** (2 * torch.div(periods, 2, rounding_mode="floor") / half)
        both = [each[..., None] / periods for each in (y, x)]
        waves = [
            torch.stack((each[..., 0::2].sin(), each[..., 1::2].cos()), dim=4).flatten(3)
            for each in both
        ]
        return torch.cat(waves, 3).flatten(1, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.input_proj(self.backbone[0](images))
        y = self.transformer(
            x.flatten(2).transpose(1, 2), self.positions(x), self.query_embed.weight
        )
        return self.class_embed(y), self.bbox_embed(y).sigmoid()


INERT = {
    "transformer.decoder.layers.0.self_attn.in_proj_weight": "the first layer of the decoder reads "
    "zeros, so that all its values are the bias",
}


@reference(sizes={"H": 64, "W": 96}, arguments={"depth": 2}, inert=INERT)
def detr_resnet50() -> nn.Module:
    return DETR(depth=2)
