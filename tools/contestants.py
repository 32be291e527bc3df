"""The loops that the trainer is measured against, and the images that they all see.

Each loop is an endless iterator. One item is one training step, and gives its number of images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import Compose, Resize, ToTensor

import archspec
from archspec.data import open_dataset, register
from archspec.data.pictures import Pictures, PictureSets
from archspec.training import compatibility, recipe_for, tuning
from archspec.training.distributed import Processes
from archspec.training.loop import Trainer
from archspec.training.loss import Loss
from archspec.training.plan import Plan

Steps: TypeAlias = Iterator[int]


class Pictures28(Dataset[Any]):
    """Images as torchvision's FashionMNIST gives them: PIL, then the transform."""

    def __init__(self, images: Tensor, labels: Tensor, size: int = 28) -> None:
        self.images, self.labels = images, labels
        self.transform = ToTensor() if size == 28 else Compose([Resize(size), ToTensor()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index].numpy(), mode=None)
        return self.transform(image), int(self.labels[index])


def samples(root: Path | None, count: int) -> tuple[Tensor, Tensor]:
    """`count` images as uint8 (N, 28, 28) with labels; repeated where there are fewer."""
    if root is not None and (root / "FashionMNIST" / "raw").is_dir():
        data = FashionMNIST(str(root), download=False)
        images, labels = data.data, data.targets
    else:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (2000, 28, 28), generator=generator, dtype=torch.uint8)
        labels = torch.randint(10, (2000,), generator=generator)
    times = -(-count // len(labels))
    return images.repeat(times, 1, 1)[:count], labels.repeat(times)[:count]


def offer(images: Tensor, labels: Tensor) -> None:
    """Register grey images, uint8 (N, H, W), as the data set `bench`."""
    pictures = Pictures(labels.long(), images[:, None])

    @register("bench")
    def bench(root: Path) -> PictureSets:
        return PictureSets(tuple(map(str, range(10))), pictures, pictures)


def trainer_for(
    name: str, device: torch.device | str = "cpu", kind: type[Trainer] = Trainer, **recipe: Any
) -> Trainer:
    """A trainer of a bundled spec over the data set `bench`, without a run folder.

    With the `memory_format` `auto` it measures which is faster, as a run does.
    """
    given = {"memory_format": "contiguous", "precision": "fp32", "log_every": 1e9, **recipe}
    arch, place = archspec.load(name), torch.device(device)
    chosen = recipe_for(arch, None, {**given, "dataset": "bench", "validation": 0})
    size = compatibility.image_size(arch, chosen.resize)
    arch = compatibility.check_sizes(arch, size)
    data = open_dataset("bench", resize=size, validation=0, device=place)
    batch = int(chosen.batch_size)
    if chosen.memory_format == "auto":
        way = tuning.choose_way(arch, chosen, place, batch, 10**6).way
        chosen = chosen.with_values(memory_format=way.layout)
    main, names = compatibility.outputs_of(arch)
    return kind(
        net=arch.build(seed=0, device=place),
        data=data,
        recipe=chosen,
        device=place,
        loss=Loss(chosen, main, names),
        plan=Plan(len(data.train), batch, 0, 2),
        processes=Processes(),
    )


def course(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    pictures: Pictures28,
    batch: int,
    *,
    workers: int,
    device: torch.device | str = "cpu",
) -> Steps:
    """The course text's loop: PIL, transforms, DataLoader; loss and accuracy read every step."""
    loader = DataLoader(pictures, batch, shuffle=True, num_workers=workers)
    while True:
        loss_sum = hits = count = 0.0
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            output = net(x)
            loss = cross_entropy(output, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            hits += (output.argmax(dim=1) == y).sum().item()
            count += len(y)
            yield len(y)


def bare(
    net: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    batch: int,
    *,
    context: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Steps:
    """A loop over float images that are on the device already. No trainer can beat it by much.

    `context` surrounds the forward pass.
    """
    while True:
        total = torch.zeros(2, device=x.device)
        for rows in torch.randperm(len(y), device=x.device).split(batch):
            images, target = x[rows], y[rows]
            with context():
                output = net(images)
                loss = cross_entropy(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total[0] += loss.detach()
            total[1] += (output.argmax(dim=1) == target).sum()
            yield len(target)


def own(trainer: Trainer) -> Steps:
    """The trainer's own steps, epoch after epoch, without evaluation or checkpoints."""
    trainer._start_interval()
    trainer.model.train()
    trainer.prepare_steps()
    while True:
        trainer.position.batch = 0
        for images in trainer.steps():
            trainer._between_steps()
            yield images
        trainer.position.epoch += 1


def epoch(steps: Steps, count: int) -> Callable[[], None]:
    """A function that takes `count` steps."""

    def run() -> None:
        for _ in islice(steps, count):
            pass

    return run


def speed(steps: Steps, seconds: float, wait: Callable[[], None], warm: int = 5) -> float:
    """Images a second over `seconds`, after `warm` steps that take at least a quarter of that.

    `wait` waits for the device: otherwise only the queueing of its work would be measured.
    """

    def count(least: int, lasting: float) -> tuple[int, float]:
        images = done = 0
        started = time.perf_counter()
        while done < least or time.perf_counter() - started < lasting:
            images += next(steps)
            done += 1
            if done % 20 == 0:
                wait()  # the queue stays short, so that it all ends after `seconds`
        wait()
        return images, time.perf_counter() - started

    count(warm, seconds / 4)
    images, took = count(1, seconds)
    return images / took
