"""timm's networks: residual, aggregated and many-branched ones."""

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
