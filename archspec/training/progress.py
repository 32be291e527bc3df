"""What a person sees while a network trains: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

from archspec.training.loop import Listener, Row

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from archspec.training.loop import Trainer


def progress_to(stream: TextIO) -> Listener:
    """The display that suits a stream."""
    return LiveProgress() if _can_be_live(stream) else PlainProgress(stream)


def _can_be_live(stream: TextIO) -> bool:
    """Whether a bar can be shown: on a terminal, by rich, which is an extra."""
    return stream.isatty() and find_spec("rich") is not None


class PlainProgress(Listener):
    """A line each epoch, and one each ten seconds in between."""

    def __init__(self, stream: TextIO | None = None, every: float = 10.0) -> None:
        self.stream = stream or sys.stdout
        self.every, self.silent = every, 0.0

    def on_interval(self, trainer: Trainer, row: Row) -> None:
        self.silent += trainer.recipe.log_every
        done = trainer.position.batch
        if self.silent >= self.every and done < trainer.plan.steps:
            self.silent = 0.0
            self._write(f"epoch {trainer.position.epoch + 1}, {interval_text(trainer, row)}")

    def on_epoch(self, trainer: Trainer, row: Row) -> None:
        self.silent = 0.0
        self._write(epoch_text(trainer, row))

    def _write(self, text: str) -> None:
        self.stream.write(f"{text}\n")
        self.stream.flush()


class LiveProgress(Listener):
    """A bar with the epoch's figures; finished epochs stay above it."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.task: TaskID | None = None

    def on_start(self, trainer: Trainer) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.progress = Progress(
            TextColumn("[bold]epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            transient=True,
        )
        self.task = self.progress.add_task(
            "starting",
            total=trainer.recipe.epochs * trainer.plan.steps,
            completed=trainer.position.step,
            epoch=f"{trainer.position.epoch + 1}/{trainer.recipe.epochs}",
        )
        self.progress.start()

    def on_interval(self, trainer: Trainer, row: Row) -> None:
        if self.progress is not None and self.task is not None:
            epoch = min(trainer.position.epoch + 1, trainer.recipe.epochs)
            self.progress.update(
                self.task,
                completed=trainer.position.step,
                description=interval_text(trainer, row),
                epoch=f"{epoch}/{trainer.recipe.epochs}",
            )

    def on_epoch(self, trainer: Trainer, row: Row) -> None:
        if self.progress is not None:
            self.progress.console.print(epoch_text(trainer, row), highlight=True)

    def on_end(self) -> None:
        if self.progress is not None:
            self.progress.stop()


def reading_to(stream: TextIO) -> PlainReading | LiveReading:
    """The display of pictures that are read, before training, that suits a stream."""
    return LiveReading(stream) if _can_be_live(stream) else PlainReading(stream)


class PlainReading:
    """A line each ten seconds while pictures are read."""

    def __init__(self, stream: TextIO | None = None, every: float = 10.0) -> None:
        self.stream, self.every = stream or sys.stderr, every
        self.what, self.last = "", 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = monotonic()
        if what != self.what:
            self.what, self.last = what, now
        elif done < total and now - self.last >= self.every:
            self.last = now
            self.stream.write(f"{what}: {done:,} of {total:,}\n")
            self.stream.flush()

    def close(self) -> None:
        """Nothing is left on the screen."""


class LiveReading:
    """A bar while pictures are read. It disappears when they have been."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.progress: Progress | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if done >= total:
            self.close()
            return
        if self.progress is None:
            self.progress = self._started(what, total)
        self.progress.update(self.progress.task_ids[0], completed=done)

    def _started(self, what: str, total: int) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn()
        progress = Progress(*columns, console=Console(file=self.stream), transient=True)
        progress.add_task(what, total=total)
        progress.start()
        return progress

    def close(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


def interval_text(trainer: Trainer, row: Row) -> str:
    """`step 12/90, loss 0.532, accuracy 81.2 %, 3,210 images/s, 0:42 left`."""
    return (
        f"step {trainer.position.batch}/{trainer.plan.steps}, loss {row['train_loss']:.4g}, "
        f"accuracy {row['train_accuracy']:.1%}, {row['examples_per_second']:,.0f} images/s, "
        f"{clock(row['seconds_left'])} left"
    )


def epoch_text(trainer: Trainer, row: Row) -> str:
    """`epoch  3/20  loss 0.1234  train 97.1 %  validation 96.0 %  test 96.4 %  …`."""
    total = trainer.recipe.epochs
    parts = [
        f"epoch {row['epoch']:>{len(str(total))}}/{total}",
        f"loss {_number(row['train_loss'])}",
    ]
    accuracies = {split: row.get(f"{split}_accuracy") for split in ("train", "validation", "test")}
    parts += [f"{split} {share:.1%}" for split, share in accuracies.items() if share is not None]
    parts.append(f"{row['examples_per_second']:,.0f} images/s")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def closing_table(result: dict[str, Any]) -> str:
    """The figures at the end, as aligned lines."""
    rows = [("", "epoch", "loss", "accuracy")]
    for weights in ("best", "last"):
        for split in ("validation", "test"):
            figures = result[weights].get(split)
            if figures:
                rows.append(
                    (
                        f"{weights} weights, {split}",
                        str(result[weights]["epoch"]),
                        _number(figures["loss"]),
                        f"{figures['accuracy']:.2%}",
                    )
                )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
