"""The encoders of torchvision's networks of optical flow."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import optical_flow

from references import reference

SMALL = {"H": 64, "W": 96}
INERT = {"feature_encoder.*.0.bias": "the norm that follows takes the mean of each channel away"}


class Encoders(nn.Module):
    """Features of two images and the context of the first, under RAFT's own keys."""

    def __init__(self, raft: nn.Module) -> None:
        super().__init__()
        self.feature_encoder, self.context_encoder = raft.feature_encoder, raft.context_encoder

    def forward(self, image1: Tensor, image2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.feature_encoder(image1), self.feature_encoder(image2)
        return (*features, self.context_encoder(image1))


@reference(sizes=SMALL, inert=INERT)
def raft_large_encoders() -> nn.Module:
    return Encoders(optical_flow.raft_large(weights=None))


@reference(sizes=SMALL, inert=INERT)
def raft_small_encoders() -> nn.Module:
    return Encoders(optical_flow.raft_small(weights=None))
