"""Speed of the data path alone against the usual loader, as ratios within one run.

    python tools/bench_data.py                  28, 96 and 224 pixels (about two minutes)
    python tools/bench_data.py 96 --runs 15 --data-root ~/data

The other side is PIL `Resize` and `ToTensor` in torchvision's `FashionMNIST` behind a `DataLoader`
with 4 workers, which stay alive between epochs. Both give shuffled batches of 256 float images.
Every figure is the median of paired epochs: the two sides take turns. If there is no Fashion-MNIST
(below `--data-root` or $ARCHSPEC_DATA), random bytes of its size take its place. The exit status is
1 if a ratio misses its bar. The bars hold for two CPU cores that do nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import torch
from bench import once
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import Compose, Resize, ToTensor

from archspec.data.opening import data_root
from archspec.data.prepare import Preparation
from archspec.data.resident import ResidentSplit

BATCH, WORKERS = 256, 4
IMAGES = {28: 40_000, 96: 12_000, 224: 6_000}
BARS = {96: 5.0, 224: 2.0}


class Pairs(Dataset[Any]):
    """Images through PIL, one at a time, as torchvision's MNIST classes hand them out."""

    def __init__(self, images: Tensor, labels: Tensor, size: int) -> None:
        steps = [] if size == images.shape[-1] else [Resize((size, size))]
        self.images, self.labels = images, labels
        self.transform = Compose([*steps, ToTensor()])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        image = Image.fromarray(self.images[index].numpy())
        return self.transform(image), int(self.labels[index])


def pictures(root: str | None, count: int) -> tuple[Tensor, Tensor]:
    """`count` images (H, W) with labels, repeated if the data set has fewer."""
    try:
        data = FashionMNIST(data_root(root), train=True, download=False)
    except RuntimeError:
        print("no Fashion-MNIST at hand: random bytes instead")
        return torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8), torch.zeros(count).long()
    rows = torch.arange(count) % len(data)
    return data.data[rows], data.targets[rows]


def usual(images: Tensor, labels: Tensor, size: int) -> Callable[[], None]:
    """One epoch of the usual loader."""
    warnings.filterwarnings("ignore", "This DataLoader will create")
    loader = DataLoader(
        Pairs(images, labels, size),
        BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )

    def epoch() -> None:
        assert sum(len(x) for x, _ in loader) == len(images)

    return epoch


def ours(images: Tensor, labels: Tensor, size: int) -> Callable[[], None]:
    """One epoch of the resident path."""
    rows = torch.arange(len(images))
    prepare = Preparation((size, size))
    split = ResidentSplit(labels, rows, images[:, None].contiguous(), rows, prepare)

    def epoch() -> None:
        order = torch.randperm(len(images))
        batches = split.batches(BATCH, order=order, device="cpu", training=True)
        assert sum(len(x) for x, _ in batches) == len(images)

    return epoch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", nargs="*", type=int, help=f"of {', '.join(map(str, IMAGES))}")
    parser.add_argument("--runs", type=int, default=9, help="paired epochs (default 9)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--data-root", help="folder that holds FashionMNIST/")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load {load:.1f} at the start"
    )
    failed = False
    for size in options.size or IMAGES:
        images, labels = pictures(options.data_root, IMAGES.get(size, 6_000))
        sides = ours(images, labels, size), usual(images, labels, size)
        for side in sides:
            side()
        pairs = [tuple(once(side) for side in sides) for _ in range(options.runs)]
        medians = [statistics.median(pair[i] for pair in pairs) / len(images) for i in (0, 1)]
        best = [min(pair[i] for pair in pairs) / len(images) for i in (0, 1)]
        ratio = statistics.median(b / a for a, b in pairs)
        bar = BARS.get(size)
        failed |= bar is not None and ratio < bar
        verdict = "" if bar is None else f"  bar {bar:g}: {'ok' if ratio >= bar else 'MISSED'}"
        print(
            f"{size:4d} px  archspec {medians[0] * 1e6:7.1f} µs/image  "
            f"loader {medians[1] * 1e6:7.1f} µs/image  {ratio:5.2f} times{verdict}  "
            f"({best[0] * 1e6:.1f} and {best[1] * 1e6:.1f}, {best[1] / best[0]:.2f} times)"
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
