"""Bilinear resizing with antialiasing of uint8 images: the pixels of PIL's `Resize`, on tensors.

Shape legend: N images, C channels, H height, W width.

On the CPU, torch's own uint8 interpolation gives PIL's bytes (28 to 96 and 28 to 224 exactly,
elsewhere within two grey levels, because its weights have 16 bits and PIL's 32). On other devices,
where torch has no such kernel, the same two passes with the same 16-bit weights are computed in
float32. Down to a quarter of a side, all sums stay below 2^24 there, so they are exact and the
bytes are the CPU's; where images shrink more, about one pixel in 200,000 differs by one grey level.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)

Resize: TypeAlias = tuple[int, int] | None
"""Height and width, whatever the proportions were before; or None for the size that images have."""

LANES = 4


def fitted(height: int, width: int, resize: Resize) -> tuple[int, int]:
    """Height and width of an image in the end."""
    return resize or (height, width)


def resize_images(images: Tensor, resize: Resize, dtype: torch.dtype = torch.uint8) -> Tensor:
    """uint8 (N, C, H, W) resized.

    The values stay whole numbers of 0 to 255; `dtype` is what they are stored as.
    """
    if resize is not None and resize != tuple(images.shape[2:]):
        interpolate = _packed if images.device.type == "cpu" else exact
        images = interpolate(images, resize, dtype)
    return images.to(dtype)


def _packed(images: Tensor, size: tuple[int, int], dtype: torch.dtype = torch.uint8) -> Tensor:
    """Four grey planes at a time as the channels of one image: torch's vectorised kernel is for
    interleaved channels, and some ten times faster than its path for one plane."""
    n, channels, height, width = images.shape
    planes = images.reshape(-1, height, width)
    spare = -len(planes) % LANES
    if spare:
        planes = torch.cat([planes, planes.new_zeros(spare, height, width)])
    packed = planes.view(-1, LANES, height, width).contiguous(memory_format=torch.channels_last)
    packed = F.interpolate(packed, size, mode="bilinear", antialias=True)
    # Taken apart and converted in one pass.
    planes = torch.empty(packed.shape, dtype=dtype).copy_(packed).view(-1, *size)
    return planes[: n * channels].view(n, channels, *size)


class AxisWeights(NamedTuple):
    """One axis: output i is the sum over k of `weights[k][i]` times input `indices[k][i]`."""

    indices: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]


def exact(images: Tensor, size: tuple[int, int], dtype: torch.dtype = torch.uint8) -> Tensor:
    """What torch's uint8 interpolation gives on the CPU, on any device."""
    values = images.to(torch.float32)
    # Width first, as PIL does: the result of each pass is rounded to whole grey levels.
    for axis, length in ((3, size[1]), (2, size[0])):
        if values.shape[axis] != length:
            values = _pass(values, axis, _axis_weights(values.shape[axis], length, images.device))
    return values.to(dtype)


def _pass(values: Tensor, axis: int, axis_weights: AxisWeights) -> Tensor:
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    total: Tensor | None = None
    for index, weight in zip(*axis_weights, strict=True):
        term = values.index_select(axis, index).mul_(weight.view(shape))
        total = term if total is None else total.add_(term)
    assert total is not None
    return total.add_(0.5).floor_().clamp_(0, 255)


@cache
def _axis_weights(length: int, wanted: int, device: torch.device) -> AxisWeights:
    """Triangle weights of each output, rounded to the 15-bit fixed point of torch's kernel."""
    scale = length / wanted
    support = max(scale, 1.0)
    center = (torch.arange(wanted, dtype=torch.float64) + 0.5) * scale
    first = (center - support + 0.5).to(torch.int64).clamp(min=0)
    stop = (center + support + 0.5).to(torch.int64).clamp(max=length)
    offsets = torch.arange(int((stop - first).max()))[:, None]
    source = first + offsets
    weights = 1 - ((source - center + 0.5) * (1 / support)).abs()
    weights = torch.where(source < stop, weights.clamp(min=0), 0.0)
    weights /= weights.sum(0)
    unit = 2.0 ** _precision(float(weights.max()))
    weights = (weights * unit + 0.5).floor() / unit
    source = source.clamp(max=length - 1)
    return AxisWeights(
        tuple(row.to(device) for row in source), tuple(row.float().to(device) for row in weights)
    )


def _precision(largest: float) -> int:
    """Bits after the point that keep the largest weight within 15 bits."""
    bits = 0
    while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    return bits
