"""Small modules, each of which does one thing that an import must get right or refuse."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        y += 1
        y.relu_()
        return y + x


class InPlaceOnPart(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        y[:, :2].relu_()
        return y


class WholeThenPart(nn.Module):
    """The part is read after the whole is written."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        part = y[:, :2]
        y.relu_()
        return part


class Assigned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, 1] = y[:, 0] * 2
        return y


class OverlappingStrides(nn.Module):
    """A view that no index describes is written, and the whole is read."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y.as_strided((x.shape[0], 2), (4, 2)).mul_(3)
        return y


class BatchInNumber(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.shape[0]


class BatchInReciprocal(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (1.0 / x.shape[0])


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x + 1
        return x


class BranchOnConstant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.tensor([True, False]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if bool(self.mask.any()) else x


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids))


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(self.table(ids))


class TiedAcross(nn.Module):
    """The tied parameters stand in different modules."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.trunk.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.trunk(ids))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(self.b(self.a(x))))


class Buffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.tensor([1.0, -2.0, 0.5, 0.25]))
        self.register_buffer("passing", torch.tensor([2.0, 3.0, 4.0, 6.0]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept + self.passing


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)

    def forward(self, image: Tensor, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        words = self.words(ids).masked_fill(mask.unsqueeze(-1), 0.0)
        return {"mixed": image + words.sum(1), "words": words}


class Auxiliary(nn.Module):
    """A head that training alone has."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.aux = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = nn.functional.dropout(self.body(x).relu(), 0.25, self.training)
        if self.training:
            return self.head(x), self.aux(x)
        return self.head(x)


class OtherInTraining(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if self.training else x * 3


class Interleaved(nn.Module):
    """Two lists whose modules take turns: neither can be a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(2) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x))
        return x


class Fused(nn.Module):
    """Norm and activation in one class, whose weights are its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = NormAct(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class NormAct(nn.LayerNorm):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class Folded(nn.Module):
    """Windows of a sequence, put beside the batch and back: (N * 2, 3, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        windows = x.reshape(-1, 3, 4)
        q, k, v = self.qkv(windows).reshape(windows.shape[0], 3, 3, 2, 2).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-1, -2) * 2**-0.5).softmax(-1)
        joined = (attention @ v).transpose(1, 2).reshape(-1, 3, 4)
        return joined.reshape(x.shape)


class TimeFirst(nn.Module):
    """The batch is the second axis inside."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(5, 1, 4))
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = x.transpose(0, 1)
        y = self.a(y) + self.position
        return y.permute(1, 0, 2)


class StochasticDepth(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        if self.training:
            kept = y.new_empty((y.shape[0], 1)).bernoulli_(1 - self.p)
            y = y * kept.div_(1 - self.p)
        return x + y


class RoundedDepth(nn.Module):
    """Stochastic depth as transformers draws it, by a rounded number, in one of three spellings."""

    def __init__(self, p: float, spelling: str) -> None:
        super().__init__()
        self.p, self.spelling = p, spelling
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        if self.training:
            kept = 1 - self.p
            drawn = torch.rand((y.shape[0], 1), dtype=y.dtype, device=y.device)
            if self.spelling == "function":
                y = y.div(kept) * torch.floor(drawn + kept)
            elif self.spelling == "in place":
                drawn += kept
                y = y.div(kept) * drawn.floor_()
            else:
                drawn = kept + drawn
                y = y / kept * drawn.floor()
        return x + y


class OwnNoise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x) if self.training else x


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.erfinv(x)


class ClassToken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.place = nn.Parameter(torch.randn(1, 6, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1)
        return (x + self.place)[:, 0]


class LeavesItself(nn.Module):
    """Changes itself as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.BatchNorm1d(4)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.a(x)


class Inverse(nn.Module):
    """A function that no op computes, in a class that its attributes make anew."""

    def __init__(self, features: int, factor: float = 0.5) -> None:
        super().__init__()
        self.features, self.factor = features, factor
        self.scale = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.erfinv(x.tanh() * self.factor) * self.scale


class AroundInverse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = Inverse(4, 0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x)).relu()


class ChannelNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Tokens(nn.Module):
    """Follows the size of its image: tokens, a class token in front, and back to the map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.token = nn.Parameter(torch.zeros(1, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        n, c, h, w = x.shape
        tokens = x.reshape(n, c, h * w).transpose(1, 2)
        tokens = (
            torch.cat((self.token.expand(n, -1, -1), tokens), 1)
            * torch.arange(h * w + 1.0)[:, None]
        )
        return tokens[:, 1:].transpose(1, 2).reshape(n, c, h, w)


class FrozenNorm(nn.Module):
    """Its norm stays in eval() when the rest trains."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ReadsAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y, weights = self.attention(x, x, x)
        return weights @ y


class Unread(nn.Module):
    """Has tensors that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.mask = nn.Parameter(torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


class Rotated(nn.Module):
    """Gives each place another angle, by a table that is computed as it runs."""

    def forward(self, x: Tensor) -> Tensor:
        speeds = 100.0 ** -(torch.arange(0, 16, 2, dtype=torch.float) / 16)
        angles = torch.arange(x.shape[1], dtype=torch.float)[:, None] * speeds
        return x * angles.cos()


class Shifting(nn.Module):
    """Reads its input behind its parameters, and rolls it first where it is to shift."""

    def __init__(self, shift: bool) -> None:
        super().__init__()
        self.offset, self.scale = nn.Parameter(torch.rand(4)), nn.Parameter(torch.rand(4))
        self.linear = nn.Linear(4, 4)
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        if self.shift:
            x = x.roll(1, 1)
        out: Tensor = self.linear(x) * self.scale + self.offset
        return out


class ShiftingInTurn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(Shifting(number % 2 == 1) for number in range(4)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
