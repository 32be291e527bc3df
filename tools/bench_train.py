"""How fast the trainer is: medians of paired runs in one process.

    python tools/bench_train.py                  # all CPU parts that can run here
    python tools/bench_train.py loop layout start --data-root data

Parts: `loop` (lenet_bn against the course text's loop, a bare loop, and Lightning where it is
installed), `layout` (resnet18 at 96 pixels against a plain eager step), `start` (process start to
first step), `accuracy` (the same recipe and seed, by hand and by the trainer). Paired: the
contestants take turns, so that a busy machine slows all of them alike. Where there is no
Fashion-MNIST below --data-root, made-up images of the same form stand in for speed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

import archspec
from archspec.cli.train import keep_freed_memory
from archspec.data import open_dataset, register
from archspec.data.pictures import Pictures, PictureSets
from archspec.train import recipe_for, train
from archspec.train.distributed import Processes
from archspec.train.fitting import outputs_of
from archspec.train.loop import Trainer
from archspec.train.loss import Loss
from archspec.train.plan import Plan

BATCH = 256
ROUNDS = 5


class Pictures28(Dataset):
    """Images as torchvision's FashionMNIST gives them: PIL, then the transform."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels, self.transform = images, labels, ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.images[index].numpy(), mode=None)
        return self.transform(image), int(self.labels[index])


def samples(root: Path | None, count: int) -> tuple[torch.Tensor, torch.Tensor]:
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


def trainer_for(name: str, recipe: dict, channels_last: bool = False) -> Trainer:
    """A trainer over the registered sample, without a run folder."""
    layout = "channels_last" if channels_last else "contiguous"
    given = {**recipe, "dataset": "bench", "validation": 0, "memory_format": layout}
    arch = archspec.load(name)
    chosen = recipe_for(arch, None, {**given, "precision": "fp32", "log_every": 1e9})
    size = chosen.resize or 28
    arch = arch.variant(input_shape=(1, size, size))
    data = open_dataset("bench", resize=size, validation=0)
    main, names = outputs_of(arch)
    trainer = Trainer(
        net=arch.build(seed=0),
        data=data,
        recipe=chosen,
        device=torch.device("cpu"),
        loss=Loss(chosen, main, names),
        plan=Plan(len(data.train), int(chosen.batch_size), 0, 2),
        processes=Processes(),
    )
    trainer._start_interval()
    return trainer


def trainer_epoch(trainer: Trainer) -> Callable[[], None]:
    """One epoch of the trainer's own steps; nothing is evaluated or saved."""
    from archspec.train.batches import training_batches

    def run() -> None:
        trainer.position.batch = 0
        for batch in training_batches(
            trainer.data.train, trainer.plan, trainer.position, Processes(), trainer.device
        ):
            trainer._step(*batch)
            trainer._between_steps()
        trainer.sums.read()

    return run


def course_epoch(images: torch.Tensor, labels: torch.Tensor, workers: int) -> Callable[[], None]:
    """The course text's loop: PIL, ToTensor, DataLoader; loss and accuracy read every step."""
    loader = DataLoader(Pictures28(images, labels), BATCH, shuffle=True, num_workers=workers)
    net = archspec.load("lenet_bn").build(seed=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)

    def run() -> None:
        loss_sum = hits = count = 0
        for x, y in loader:
            output = net(x)
            loss = cross_entropy(output, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            hits += (output.argmax(dim=1) == y).sum().item()
            count += len(y)

    return run


def bare_epoch(images: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """A bare loop over float images that lie ready: what no trainer can beat by much."""
    x, y = (images[:, None].float() / 255), labels.long()
    net = archspec.load("lenet_bn").build(seed=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=True)

    def run() -> None:
        total = torch.zeros(2)
        for rows in torch.randperm(len(y)).split(BATCH):
            batch, target = x[rows], y[rows]
            output = net(batch)
            loss = cross_entropy(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total[0] += loss.detach()
            total[1] += (output.argmax(dim=1) == target).sum()

    return run


def lightning_epoch(images: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Lightning's Trainer over the course text's loader, with everything optional off."""
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = archspec.load("lenet_bn").build(seed=0)

        def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
            return cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.001)

    loader = DataLoader(
        Pictures28(images, labels), BATCH, shuffle=True, num_workers=4, persistent_workers=True
    )
    trainer = lightning.Trainer(
        max_epochs=10_000,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    module, epochs = Module(), 0

    def run() -> None:
        nonlocal epochs
        epochs += 1
        trainer.fit_loop.max_epochs = epochs
        trainer.fit(module, loader)

    return run


def paired(contestants: dict[str, Callable[[], None]], rounds: int = ROUNDS) -> dict[str, list]:
    """Seconds of each contestant in each round, taken in turns after one warm-up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - started)
    return times


def ratio(times: dict[str, list], slow: str, fast: str) -> float:
    """Median over the rounds of how many times as long `slow` takes as `fast`."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def bench_loop(root: Path | None, count: int) -> Iterator[str]:
    images, labels = samples(root, count)
    recipe = {"batch_size": BATCH, "optimizer": "adam", "lr": 0.001, "epochs": 1000}
    contestants = {
        "archspec": trainer_epoch(trainer_for("lenet_bn", recipe)),
        "bare loop": bare_epoch(images, labels),
        "course, 2 workers": course_epoch(images, labels, 2),
        "course, 4 workers": course_epoch(images, labels, 4),
    }
    if find_spec("lightning") is not None:
        contestants["lightning"] = lightning_epoch(images, labels)
    times = paired(contestants)
    for name in contestants:
        speed = count / statistics.median(times[name])
        against = (
            "" if name == "archspec" else f", {ratio(times, name, 'archspec'):.2f} times as long"
        )
        yield f"lenet_bn, {name}: {speed:,.0f} images/s{against}"
    if "lightning" not in contestants:
        yield "lightning is not installed: not compared"


def bench_layout(root: Path | None, batch: int) -> Iterator[str]:
    """One step of resnet18 at 96 pixels. glibc keeps freed memory for both, in the second half."""
    images = torch.rand(batch, 1, 96, 96)
    labels = torch.randint(10, (batch,))
    net = archspec.load("resnet18", input_shape=(1, 96, 96)).build(seed=0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)

    def plain() -> None:
        loss = cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    recipe = {"batch_size": batch, "epochs": 1000, "resize": 96}
    before = paired({"plain": plain}, 3)["plain"]
    keep_freed_memory()
    steppers = {}
    for last in (False, True):
        trainer = trainer_for("resnet18", recipe, channels_last=last)
        name = "channels_last" if last else "contiguous"
        steppers[name] = lambda t=trainer: t._step(images, labels, 1.0, batch)
    times = paired(steppers, 3)
    fastest = min(steppers, key=lambda name: statistics.median(times[name]))
    yield f"resnet18 at 96, batch {batch}, plain eager step: {statistics.median(before):.3f} s"
    for name in steppers:
        yield f"  trainer, {name}: {statistics.median(times[name]):.3f} s"
    yield f"  {statistics.median(times[fastest]) / statistics.median(before):.2f} of the plain step"


def bench_start() -> Iterator[str]:
    """Process start to the end of the first step, against importing torch and one optimiser."""
    plain = (
        "import torch; n = torch.nn.Linear(2, 2); o = torch.optim.SGD(n.parameters(), lr=0.1);"
        "n(torch.ones(1, 2)).sum().backward(); o.step()"
    )
    ours = (
        "import sys; from archspec.cli import main; from archspec.train.loop import Trainer\n"
        "class First(Exception): pass\n"
        "def between(self): raise First\n"
        "Trainer._between_steps = between\n"
        "try: main(['train', 'lenet_bn', '--data', 'digits', '--run', sys.argv[1]])\n"
        "except First: pass"
    )

    def run(program: str) -> Callable[[], None]:
        def start() -> None:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-c", program, f"{folder}/run"]
                subprocess.run(command, check=True, capture_output=True)

        return start

    times = paired({"plain": run(plain), "archspec": run(ours)}, 5)
    share = statistics.median(a / b for a, b in zip(times["archspec"], times["plain"], strict=True))
    for name, found in times.items():
        yield f"start to first step, {name}: {statistics.median(found):.2f} s"
    yield f"  {share:.2f} of importing torch and constructing torch.optim.SGD"


def bench_accuracy(root: Path | None) -> Iterator[str]:
    """lenet_bn with its published recipe on the sample: the course loop and the trainer."""
    if root is None or not (root / "FashionMNIST" / "raw").is_dir():
        yield "no Fashion-MNIST below --data-root: accuracies are not compared"
        return
    arch = archspec.load("lenet_bn")
    for seed in range(3):
        found = []
        data = open_dataset("fashion_mnist", root, resize=28, validation=0, seed=seed)
        net: nn.Module = arch.build(seed=seed)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
        for epoch in range(5):
            order = Plan(len(data.train), BATCH, seed, 2).order(epoch)
            for x, y in data.train.batches(BATCH, order=order, device="cpu", training=True):
                optimizer.zero_grad()
                cross_entropy(net(x), y).backward()
                optimizer.step()
        net.eval()
        with torch.no_grad():
            hits = [(net(x).argmax(1) == y).sum() for x, y in data.test.batches(256, device="cpu")]
        found.append(float(sum(hits)) / len(data.test))
        with tempfile.TemporaryDirectory() as folder:
            _, history = train(
                arch,
                run=folder,
                data_root=root,
                seed=seed,
                validation=0,
                memory_format="contiguous",
            )
        found.append(history[-1]["test_accuracy"])
        yield f"lenet_bn, seed {seed}: by hand {found[0]:.2%}, trainer {found[1]:.2%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["loop", "layout", "start", "accuracy"])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--images", type=int, default=6_000)
    parser.add_argument("--batch", type=int, default=64, help="of the layout part")
    args = parser.parse_args()
    images, labels = samples(args.data_root, args.images)
    pictures = Pictures(labels.long(), images[:, None])

    @register("bench")
    def bench(root: Path) -> PictureSets:
        return PictureSets(tuple(map(str, range(10))), pictures, pictures)

    parts = {
        "loop": lambda: bench_loop(args.data_root, args.images),
        "layout": lambda: bench_layout(args.data_root, args.batch),
        "start": bench_start,
        "accuracy": lambda: bench_accuracy(args.data_root),
    }
    for part in args.parts:
        for line in parts[part]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
