"""YOLOv8n, written after its published configuration and with the names of its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from references import reference


class Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001, momentum=0.03)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels, 3)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    def __init__(self, inputs: int, outputs: int, count: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.cv1 = Conv(inputs, outputs)
        self.cv2 = Conv((2 + count) * half, outputs)
        self.m = nn.ModuleList(Bottleneck(half, shortcut) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        for each in self.m:
            parts.append(each(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class SPPF(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(2 * channels, channels)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(self.m(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class Concat(nn.Module):
    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, 1)


class DFL(nn.Module):
    """The expected distance, of a distribution over 0 to `reg_max` - 1."""

    def __init__(self, reg_max: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(reg_max, 1, 1, bias=False)
        self.conv.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (4, -1)).transpose(2, 1).softmax(1)
        return self.conv(x).flatten(1, 2)


class Detect(nn.Module):
    def __init__(self, widths: tuple[int, ...], nc: int, reg_max: int = 16) -> None:
        super().__init__()
        c2 = max(16, widths[0] // 4, 4 * reg_max)
        c3 = max(widths[0], min(nc, 100))
        self.cv2 = nn.ModuleList(self.tower(width, c2, 4 * reg_max) for width in widths)
        self.cv3 = nn.ModuleList(self.tower(width, c3, nc) for width in widths)
        self.dfl = DFL(reg_max)

    @staticmethod
    def tower(inputs: int, width: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            Conv(inputs, width, 3), Conv(width, width, 3), nn.Conv2d(width, outputs, 1)
        )

    def forward(self, *xs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        boxes = torch.cat([cv(x).flatten(2) for cv, x in zip(self.cv2, xs, strict=True)], 2)
        scores = torch.cat([cv(x).flatten(2) for cv, x in zip(self.cv3, xs, strict=True)], 2)
        return boxes, scores, self.dfl(boxes)


class YOLOv8(nn.Module):
    def __init__(self, nc: int = 80) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *(Conv(3, 16, 3, 2), Conv(16, 32, 3, 2), C2f(32, 32)),
            *(Conv(32, 64, 3, 2), C2f(64, 64, 2), Conv(64, 128, 3, 2), C2f(128, 128, 2)),
            *(Conv(128, 256, 3, 2), C2f(256, 256), SPPF(256)),
            *(nn.Upsample(scale_factor=2), Concat(), C2f(384, 128, shortcut=False)),
            *(nn.Upsample(scale_factor=2), Concat(), C2f(192, 64, shortcut=False)),
            *(Conv(64, 64, 3, 2), Concat(), C2f(192, 128, shortcut=False)),
            *(Conv(128, 128, 3, 2), Concat(), C2f(384, 256, shortcut=False)),
            Detect((64, 128, 256), nc),
        )
        self.reads = {11: (10, 6), 14: (13, 4), 17: (16, 12), 20: (19, 9), 22: (15, 18, 21)}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values: list[Tensor] = []
        for index, layer in enumerate(self.model):
            given = [values[each] for each in self.reads[index]] if index in self.reads else [x]
            x = layer(*given)
            values.append(x)
        return x


@reference(sizes={"H": 64, "W": 96})
def yolov8n() -> nn.Module:
    return YOLOv8()
