"""How fast the trainer is: medians of paired runs in one process.

    python tools/bench_train.py                  # all CPU parts that can run here
    python tools/bench_train.py loop layout start --data-root data

Parts: `loop` (lenet_bn against the course text's loop, a bare loop, and Lightning where it is
installed), `layout` (resnet18 at 96 pixels against a plain eager step), `start` (process start to
first step), `accuracy` (the same recipe and seed, by hand and by the trainer), `evaluation`
(forward passes of the reference networks in both layouts), `recompute` (steps that keep less).
Runs are paired: the contestants take turns, so that a busy machine slows all of them alike. If
there is no Fashion-MNIST below --data-root, random images of the same form take its place where
speed is measured.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from contestants import Pictures28, bare, course, epoch, offer, own, samples, trainer_for
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import archspec
from archspec.cli.train import keep_freed_memory
from archspec.data import open_dataset
from archspec.ir.tape import RECOMPUTED
from archspec.training import compatibility, train
from archspec.training.plan import Plan
from archspec.training.tuning import LAYOUTS, ForwardPasses

BATCH = 256
ROUNDS = 5
REFERENCES = (
    *("lenet_bn", "lenet_bn_scratch", "alexnet", "vgg11", "vgg11_small", "nin", "googlenet"),
    *("resnet18", "densenet"),
)


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
    """How many times as long `slow` takes as `fast`: the median over the rounds."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def bench_loop(root: Path | None, count: int) -> Iterator[str]:
    images, labels = samples(root, count)
    recipe = {"batch_size": BATCH, "optimizer": "adam", "lr": 0.001, "epochs": 1000}
    steps = -(-count // BATCH)

    def course_loop(workers: int) -> Callable[[], None]:
        net, pictures = archspec.load("lenet_bn").build(seed=0), Pictures28(images, labels)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
        return epoch(course(net, optimizer, pictures, BATCH, workers=workers), steps)

    def bare_loop() -> Callable[[], None]:
        net, x = archspec.load("lenet_bn").build(seed=0), images[:, None].float() / 255
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=True)
        return epoch(bare(net, optimizer, x, labels.long(), BATCH), steps)

    contestants = {
        "archspec": epoch(own(trainer_for("lenet_bn", **recipe)), steps),
        "bare loop": bare_loop(),
        "course, 2 workers": course_loop(2),
        "course, 4 workers": course_loop(4),
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
    """One step of resnet18 at 96 pixels. In the second half glibc keeps freed memory, for both."""
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
    for name in ("contiguous", "channels_last"):
        trainer = trainer_for("resnet18", **recipe, memory_format=name)
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
        "import sys; from archspec.cli import main; from archspec.training.loop import Trainer\n"
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
        for number in range(5):
            order = Plan(len(data.train), BATCH, seed, 2).order(number)
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


def bench_evaluation(size: int) -> Iterator[str]:
    """Forward passes on `size` images in channels-last, as a share of the time of plain ones."""
    for name in REFERENCES:
        arch = archspec.load(name, warn=False)
        net = arch.build(seed=0).eval()
        shape = (size, *compatibility.image_shape(arch))
        passes = ForwardPasses(net, shape, 0, "fp32", torch.device("cpu"))
        times: dict[str, list] = {layout: [] for layout in LAYOUTS}
        with torch.no_grad():
            for _ in range(ROUNDS):
                for layout, found in times.items():
                    found.append(passes.seconds(layout))
        share = ratio(times, "channels_last", "contiguous")
        plain = statistics.median(times["contiguous"])
        yield f"{name}, {size} images: {plain:.3f} s, channels-last {share:.2f} of it"


def bench_recompute(size: int) -> Iterator[str]:
    """Steps on `size` images with and without `recompute`, and what they keep."""
    for name, pixels in (("densenet", (1, 96, 96)), ("torchvision/densenet121", (3, 64, 64))):
        arch, images = archspec.load(name, input_shape=pixels), torch.rand(size, *pixels)
        labels = torch.zeros(size, dtype=torch.long)
        nets = {str(what): arch.build(seed=0, recompute=what) for what in (None, *RECOMPUTED)}

        def step(net: nn.Module, images=images, labels=labels) -> None:
            cross_entropy(net(images), labels).backward()
            net.zero_grad()

        times = paired({what: partial(step, net) for what, net in nets.items()})
        plain = arch.summary(batch_size=size).saved_bytes
        for what in RECOMPUTED:
            kept = arch.summary(batch_size=size, recompute=what).saved_bytes
            yield (
                f"{name}, {size} images, {what}: {plain / kept:.2f} times less is kept, "
                f"{ratio(times, what, 'None'):.2f} times as long"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["loop", "layout", "start", "accuracy"])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--images", type=int, default=6_000)
    parser.add_argument("--batch", type=int, default=64, help="of the layout part")
    args = parser.parse_args()
    offer(*samples(args.data_root, args.images))
    parts = {
        "loop": lambda: bench_loop(args.data_root, args.images),
        "layout": lambda: bench_layout(args.data_root, args.batch),
        "start": bench_start,
        "accuracy": lambda: bench_accuracy(args.data_root),
        "evaluation": lambda: bench_evaluation(min(args.batch, 32)),
        "recompute": lambda: bench_recompute(min(args.batch, 32)),
    }
    for part in args.parts:
        for line in parts[part]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
