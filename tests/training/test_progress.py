"""What is shown while pictures are read."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

from archspec.recipe.recipe import Recipe
from archspec.training import progress
from archspec.training.progress import (
    LiveProgress,
    PlainProgress,
    PlainReading,
    progress_to,
    reading_to,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_a_line_each_ten_seconds(monkeypatch):
    times = iter([0.0, 4.0, 9.9, 10.0, 15.0, 21.0, 22.0, 40.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(times))
    stream = io.StringIO()
    told = reading_to(stream)
    for done in (256, 512, 768, 1024, 1280, 1536):
        told("reading pictures", done, 20_001)
    told("checking pictures", 1, 9)
    told("checking pictures", 9, 9)
    assert stream.getvalue() == (
        "reading pictures: 1,024 of 20,001\nreading pictures: 1,536 of 20,001\n"
    )


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    told = reading_to(stream)
    told("reading pictures", 256, 256)
    assert stream.getvalue() == ""  # done before anybody looks
    told("reading pictures", 256, 1024)
    told("reading pictures", 512, 1024)
    assert told.progress is not None
    told("reading pictures", 1024, 1024)
    assert told.progress is None
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "reading pictures" in shown and "/1024" in shown
    told("checking pictures", 1, 9)
    told.close()
    told.close()
    assert told.progress is None


def test_a_terminal_gets_lines_where_rich_is_not_installed(monkeypatch):
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    assert isinstance(reading_to(Terminal()), PlainReading)
    assert isinstance(progress_to(Terminal()), PlainProgress)


def test_short_readings_are_silent(capsys):
    told = PlainReading()
    told("reading pictures", 1, 2)
    told("reading pictures", 2, 2)
    assert capsys.readouterr().err == ""


def trainer(epoch, batch):
    return SimpleNamespace(
        recipe=Recipe(epochs=3, log_every=4.0),
        plan=SimpleNamespace(steps=100),
        position=SimpleNamespace(epoch=epoch, batch=batch, step=100 * epoch + batch),
    )


INTERVAL = {
    "train_loss": 0.5,
    "train_accuracy": 0.8,
    "examples_per_second": 2000.0,
    "seconds_left": 62.0,
}
EPOCH = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.8, "examples_per_second": 2000.0}


def test_plain_lines_come_each_ten_seconds_and_each_epoch():
    stream = io.StringIO()
    shown = PlainProgress(stream)
    for batch in (10, 20, 30, 40, 50):  # four seconds each: the third is late enough
        shown.on_interval(trainer(0, batch), INTERVAL)
    shown.on_epoch(trainer(0, 100), EPOCH)
    for batch in (10, 20, 100):  # the last is the epoch's end, which has a line of its own
        shown.on_interval(trainer(1, batch), INTERVAL)
    assert stream.getvalue().splitlines() == [
        "epoch 1, step 30/100, loss 0.5, accuracy 80.0%, 2,000 images/s, 1:02 left",
        "epoch 1/3  loss 0.5000  train 80.0%  2,000 images/s",
    ]


def test_the_bar_counts_epochs_up_to_the_last(monkeypatch):
    shown = LiveProgress()
    shown.on_interval(trainer(0, 1), INTERVAL)  # before it has begun, nothing happens
    shown.on_start(trainer(1, 50))
    (task,) = shown.progress.tasks
    assert (task.total, task.completed, task.fields["epoch"]) == (300, 150, "2/3")
    for epoch, batch, said in ((1, 60, "2/3"), (2, 100, "3/3"), (3, 0, "3/3")):
        shown.on_interval(trainer(epoch, batch), INTERVAL)
        assert (task.completed, task.fields["epoch"]) == (100 * epoch + batch, said)
    shown.on_end()
    assert not shown.progress.live.is_started
