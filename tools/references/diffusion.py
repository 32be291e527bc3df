"""DDPM's network, written after Ho et al. (arXiv 2006.11239), appendix B, with its code's names."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from references import KEY_BIAS, reference


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.temb_proj = nn.Linear(time, outputs)
        self.norm2 = norm(outputs)
        self.dropout = nn.Dropout(0.1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.temb_proj(functional.silu(temb))[:, :, None, None]
        h = self.conv2(self.dropout(functional.silu(self.norm2(h))))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class AttnBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (each(h).flatten(2) for each in (self.q, self.k, self.v))
        weights = torch.softmax(q.transpose(1, 2) @ k * q.shape[1] ** -0.5, dim=2)
        h = (v @ weights.transpose(1, 2)).reshape(h.shape)
        return x + self.proj_out(h)


class Resolution(nn.Module):
    """The blocks of one resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.ModuleList()
        self.attn = nn.ModuleList()

    def add(self, inputs: int, outputs: int, time: int, attention: bool) -> None:
        self.block.append(ResnetBlock(inputs, outputs, time))
        if attention:
            self.attn.append(AttnBlock(outputs))

    def apply_one(self, index: int, x: Tensor, temb: Tensor) -> Tensor:
        x = self.block[index](x, temb)
        return self.attn[index](x) if len(self.attn) else x


class Resample(nn.Module):
    def __init__(self, channels: int, *, down: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2 if down else 1, padding=0 if down else 1)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        if self.down:
            return self.conv(functional.pad(x, (0, 1, 0, 1)))
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class DDPM(nn.Module):
    """The network for CIFAR-10."""

    def __init__(self, ch: int = 128) -> None:
        super().__init__()
        mults, blocks, attention_at = (1, 2, 2, 2), 2, (1,)
        self.ch, self.blocks, time = ch, blocks, 4 * ch
        self.temb = nn.Module()
        self.temb.dense = nn.ModuleList([nn.Linear(ch, time), nn.Linear(time, time)])
        self.conv_in = nn.Conv2d(3, ch, 3, padding=1)
        widths, now = [ch], ch
        self.down = nn.ModuleList()
        for level, mult in enumerate(mults):
            stage = Resolution()
            for _ in range(blocks):
                stage.add(now, ch * mult, time, level in attention_at)
                now = ch * mult
                widths.append(now)
            if level + 1 < len(mults):
                stage.downsample = Resample(now, down=True)
                widths.append(now)
            self.down.append(stage)
        self.mid = nn.Module()
        self.mid.block_1 = ResnetBlock(now, now, time)
        self.mid.attn_1 = AttnBlock(now)
        self.mid.block_2 = ResnetBlock(now, now, time)
        stages = []
        for level in reversed(range(len(mults))):
            stage = Resolution()
            for _ in range(blocks + 1):
                stage.add(now + widths.pop(), ch * mults[level], time, level in attention_at)
                now = ch * mults[level]
            if level:
                stage.upsample = Resample(now, down=False)
            stages.insert(0, stage)
        self.up = nn.ModuleList(stages)
        self.norm_out = norm(now)
        self.conv_out = nn.Conv2d(now, 3, 3, padding=1)

    def embed(self, t: Tensor) -> Tensor:
        half = self.ch // 2
        steps = [math.exp(-math.log(10000) * i / (half - 1)) for i in range(half)]
        angles = t[:, None] * torch.tensor(steps, dtype=self.conv_in.weight.dtype)
        first, second = self.temb.dense
        return second(functional.silu(first(torch.cat([angles.sin(), angles.cos()], 1))))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        temb = self.embed(t)
        hs = [self.conv_in(x)]
        for stage in self.down:
            for index in range(self.blocks):
                hs.append(stage.apply_one(index, hs[-1], temb))
            if hasattr(stage, "downsample"):
                hs.append(stage.downsample(hs[-1]))
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(hs[-1], temb)), temb)
        for stage in reversed(self.up):
            for index in range(self.blocks + 1):
                h = stage.apply_one(index, torch.cat([h, hs.pop()], 1), temb)
            if hasattr(stage, "upsample"):
                h = stage.upsample(h)
        return self.conv_out(functional.silu(self.norm_out(h)))


@reference(sizes={"H": 16, "W": 8}, inert={"*.attn*.k.bias": KEY_BIAS})
def ddpm_unet() -> nn.Module:
    return DDPM()
