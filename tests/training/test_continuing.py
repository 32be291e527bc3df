"""What a run may be given anew when it goes on, and what it is bound to."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import signal

import pytest
import torch
from PIL import Image

import archspec
from archspec.cli import main
from archspec.recipe.layers import file_layer
from archspec.recipe.recipe import Recipe, resolve
from archspec.training.errors import Stopped, TrainingError
from archspec.training.loop import Listener, Trainer
from archspec.training.metrics import Figures
from archspec.training.position import Best
from archspec.training.resume import changed_course
from archspec.training.store import checkpoint
from archspec.training.store.files import write_whole
from archspec.training.store.runs import Run, config_text

QUICK = {"memory_format": "contiguous", "threads": 1}
OPTIONS = ["--memory-format", "contiguous", "--threads", "1"]


class Odd(Trainer):
    """Its validation loss is NaN, as where a network's running statistics overflowed."""

    def evaluate(self, split):
        found = super().evaluate(split)
        if split == "validation":
            return found._replace(figures=found.figures._replace(loss=math.nan))
        return found


def test_a_run_with_a_loss_of_nan_goes_on(small, tmp_path):
    run = tmp_path / "r"
    archspec.train(small, run=run, trainer=Odd, epochs=1, **QUICK)
    _, history = archspec.train(small, run=run, trainer=Odd, epochs=2, resume=True, **QUICK)
    assert [row["validation_loss"] for row in history] == [None, None]

    def strict(text):
        return json.loads(text, parse_constant=pytest.fail)

    rows = [strict(line) for line in (run / "metrics.jsonl").open()]
    assert [row["kind"] for row in rows].count("epoch") == 2
    result = strict((run / "result.json").read_text())
    assert result["best"]["validation"]["loss"] is None
    assert main(["runs", str(run)]) == 0


def test_a_loss_that_is_no_number_is_the_worst():
    nan, inf, one = (Figures(loss, 0.5, 10) for loss in (math.nan, math.inf, 1.0))
    assert Best(0.5, math.nan, 1).is_beaten_by(one)
    assert not Best(0.5, 1.0, 1).is_beaten_by(nan)
    assert not Best(0.5, math.nan, 1).is_beaten_by(inf)
    assert Best(0.4, 1.0, 1).is_beaten_by(nan)


def test_numbers_that_json_lacks_come_back(tmp_path):
    tree = {"a": [math.inf, -math.inf], "b": {"c": math.nan}}
    checkpoint.save(tmp_path / "a", tree)
    found = checkpoint.load(tmp_path / "a")
    assert found["a"] == tree["a"] and math.isnan(found["b"]["c"])


def test_patience_needs_validation_images(small_file, tmp_path, capsys):
    argv = ["train", str(small_file), "--run", str(tmp_path / "r"), *OPTIONS]
    assert main([*argv, "--patience", "2", "--validation", "0"]) == 1
    assert "of which there are none: --validation 0.1 holds some back" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


class StopAt(Listener):
    def __init__(self, step):
        self.step = step

    def on_interval(self, trainer, row):
        if trainer.position.step == self.step:
            trainer.ask_to_stop(signal.SIGTERM)


def test_epochs_below_what_is_done_are_refused(small, tmp_path):
    run = tmp_path / "r"
    with pytest.raises(Stopped):
        archspec.train(
            small, run=run, epochs=3, listeners=[StopAt(14)], log_every=1e-9, **QUICK
        )  # 6 steps an epoch
    for epochs, least in ((1, 3), (2, 3)):
        with pytest.raises(TrainingError, match=f"has 2 epochs done and epoch 3 .* for {least} or"):
            archspec.train(small, run=run, epochs=epochs, resume=True, **QUICK)
    _, history = archspec.train(small, run=run, epochs=3, resume=True, **QUICK)
    assert len(history) == 3
    with pytest.raises(TrainingError, match="3 epochs done, which is more than --epochs 2"):
        archspec.train(small, run=run, epochs=2, resume=True, **QUICK)
    before = checkpoint.load(run / "checkpoints" / checkpoint.LAST)
    _, history = archspec.train(small, run=run, epochs=3, resume=True, **QUICK)
    assert len(history) == 3
    after = checkpoint.load(run / "checkpoints" / checkpoint.LAST)
    assert all(torch.equal(after["model"][key], value) for key, value in before["model"].items())


def test_a_longer_cosine_says_where_the_learning_rate_goes(small_file, tmp_path, capsys):
    argv = ["train", str(small_file), "--run", str(tmp_path / "r"), *OPTIONS]
    argv += ["--schedule", "cosine", "--lr", "0.05"]
    assert main([*argv, "--epochs", "2"]) == 0
    capsys.readouterr()
    assert main([*argv, "--epochs", "4", "--resume"]) == 0
    # Of 12 steps the last had half a cosine's 11/12; it is step 12 of 24 that follows.
    last = 0.05 * (1 + math.cos(math.pi * 11 / 12)) / 2
    said = "learning rate: cosine now ends after 4 epochs instead of 2, which moves the next step "
    assert f"{said}from {last:.3g} to 0.025" in capsys.readouterr().out
    assert main([*argv, "--epochs", "4", "--resume"]) == 0
    assert "learning rate:" not in capsys.readouterr().out


def test_a_constant_learning_rate_goes_nowhere():
    short, long = Recipe(epochs=2), Recipe(epochs=4)
    assert changed_course(short, long, 12, 6) is None
    cycle = [Recipe(epochs=epochs, schedule="one_cycle") for epochs in (2, 4)]
    assert "one_cycle now ends after 4 epochs" in changed_course(*cycle, 6, 6)


# --- the data ------------------------------------------------------------------------------------


def test_changed_pictures_are_refused_with_what_differs(small_file, tmp_path, capsys):
    pets = tmp_path / "pets"
    for shade, name in enumerate(("cat", "dog", "fox")):
        (pets / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), 60 * shade + number).save(pets / name / f"{number}.png")
    argv = ["train", str(small_file), "--data", f"image_folder:{pets}", "--set", "num_classes=3"]
    argv += ["--run", str(tmp_path / "r"), "--batch-size", "4", *OPTIONS, "--epochs"]
    assert main([*argv, "1"]) == 0
    for path in pets.rglob("*.png"):
        os.utime(path, (0, 0))
    assert main([*argv, "2", "--resume"]) == 0
    before = (tmp_path / "r" / "metrics.jsonl").read_text()
    # As many images as before, and of the same names and sizes but for one each.
    (pets / "cat" / "7.png").rename(pets / "cat" / "07.png")
    Image.new("L", (8, 8), 255).save(pets / "dog" / "1.png")
    capsys.readouterr()
    assert main([*argv, "3", "--resume"]) == 1
    said = capsys.readouterr().err
    assert "1 file added, 1 file removed, 1 file changed (cat/07.png, cat/7.png, dog/1.png)" in said
    assert "were trained on might now be tested on" in said
    assert (tmp_path / "r" / "metrics.jsonl").read_text() == before
    (tmp_path / "r" / "pictures.json").unlink()
    assert main([*argv, "3", "--resume"]) == 1
    assert "some are other pictures" in capsys.readouterr().err


# --- states, files, texts ------------------------------------------------------------------------


def test_a_listener_can_take_the_state_and_it_is_the_checkpoint_s(small, tmp_path):
    positions = []

    class Keeper(Listener):
        def on_save(self, trainer, best):
            checkpoint.save(tmp_path / "mine", trainer.state())
            positions.append(dataclasses.asdict(trainer.position))

    archspec.train(small, run=tmp_path / "r", epochs=1, listeners=[Keeper()], **QUICK)
    mine = checkpoint.load(tmp_path / "mine")
    theirs = checkpoint.load(tmp_path / "r" / "checkpoints" / checkpoint.LAST)
    assert positions[-1] == mine["position"] == theirs["position"]
    assert mine.keys() == theirs.keys() - {"run", "spec_sha256", "recipe", "data", "classes"}
    assert torch.equal(mine["random"]["torch"], theirs["random"]["torch"])


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room: your quota is used up"),
        (errno.EROFS, "the file system is read-only: make it writable"),
        (errno.EACCES, "get the right to write in "),
        (errno.EIO, None),
    ],
)
def test_a_file_that_cannot_be_written_says_what_would_help(number, mend, tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TrainingError) as caught:
        write_whole(path, b"new content")
    said = str(caught.value)
    start = f"cannot write {path} (11 bytes): {os.strerror(number)}"
    assert said.startswith(f"{start}: {mend}" if mend else f"{start}. The files")
    assert ("make room" in said) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["/tmp/\U0001f600", "/tmp/é\u2028\x85\x07\x7f", "a\xa0\ufeff"])
def test_a_recipe_is_read_back_whatever_its_names(name, tmp_path):
    recipe = Recipe(dataset=f"image_folder:{name}", lr=1e-22, weight_decay=1e300)
    (tmp_path / "config.yaml").write_text(config_text(recipe))
    assert resolve([file_layer(tmp_path / "config.yaml")]) == recipe


@pytest.mark.parametrize(
    ("epochs", "said"), [(2, "epoch 1, 2:"), (3, "epoch 1, 2, 3:"), (4, "epoch 1, 2, 3, …:")]
)
def test_lines_that_metrics_lack_are_written_again(epochs, said, tmp_path):
    row = {"kind": "epoch", "lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5}
    row |= {"examples_per_second": 1.0, "seconds": 1.0}
    history = [{**row, "epoch": n, "step": 10 * n} for n in range(1, epochs + 1)]
    run = Run(tmp_path)
    interval = {**row, "kind": "interval", "epoch": 0.5, "seconds_left": 1.0}
    del interval["seconds"]
    lines = [{**interval, "step": step} for step in (5, 10 * epochs, 10 * epochs + 1)]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert said in run.rewind(10 * epochs, history)
    # In the order of steps, an epoch's line behind that of its last interval; none after the step.
    found = [(each["kind"], each["step"]) for each in run.rows()]
    done = [("epoch", 10 * n) for n in range(1, epochs)]
    assert found == [("interval", 5), *done, ("interval", 10 * epochs), ("epoch", 10 * epochs)]
    assert run.rewind(10 * epochs, history) is None
