"""What a step, an interval and an epoch are, with a trainer made by hand."""

from __future__ import annotations

import json
import math
import signal

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import archspec
from archspec.data import open_dataset
from archspec.training import recipe_for, state, train
from archspec.training.distributed import Processes
from archspec.training.errors import Stopped
from archspec.training.loop import Listener, Trainer
from archspec.training.loss import Loss
from archspec.training.plan import Plan
from archspec.training.position import Best
from archspec.training.store import checkpoint
from archspec.training.trained_network import open_trained

CPU = torch.device("cpu")
PLAIN = """
name: plain
input: [1, 8, 8]
layers: [flatten, {linear: 10}]
train: {dataset: digits, batch_size: 16, epochs: 2, lr: 0.5, optimizer: sgd, validation: 0}
"""
WHOLE = {"memory_format": "contiguous", "limit_train": 96, "limit_test": 40}
"""96 images and none held back: six steps of 16."""


def made(*listeners, **recipe):
    """A trainer that has done nothing yet."""
    arch = archspec.loads(PLAIN)
    recipe = recipe_for(arch, None, {**WHOLE, "precision": "fp32", **recipe})
    data = open_dataset("digits", resize=8, validation=0, limit_train=96, limit_test=40)
    plan = Plan(96, 16, seed=0)
    net, loss = arch.build(seed=0), Loss(recipe, "output")
    return Trainer(net, data, recipe, CPU, loss, plan, listeners=listeners)


class Rows(Listener):
    """Keeps the rows of figures."""

    def __init__(self) -> None:
        self.intervals, self.epochs = [], []

    def on_interval(self, trainer, row):
        self.intervals.append(row)

    def on_epoch(self, trainer, row):
        self.epochs.append(row)


class StopsAfter(Trainer):
    """Asks itself to stop in the middle of its fourth step."""

    def forward(self, images, labels):
        if self.position.step == 3:
            self.ask_to_stop(signal.SIGTERM)
        return super().forward(images, labels)


# --- steps ----------------------------------------------------------------------------------------


def test_no_piece_of_a_batch_has_fewer_than_two_images():
    sizes = []

    class Watched(Trainer):
        def forward(self, images, labels):
            sizes.append(len(images))
            return super().forward(images, labels)

    trainer = made(accumulate=8)
    trainer.__class__ = Watched
    trainer.plan = Plan(96, 43, seed=0)  # batches of 43, 43 and 10
    trainer.recipe = trainer.recipe.with_values(epochs=1)
    trainer.fit()
    assert sizes == [6, 6, 6, 5, 5, 5, 5, 5] * 2 + [2] * 5


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_scaled_gradients_are_clipped_and_applied_at_their_true_size(optimizer, clip):
    recipe = {"optimizer": optimizer, "clip_norm": clip, "epochs": 1}
    plain, scaled = made(**recipe), made(**recipe)
    scaled.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)  # a power of two: no rounding
    plain.fit()
    scaled.fit()
    for a, b in zip(plain.net.parameters(), scaled.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_norm_of_a_clipped_step_is_the_recipe_s():
    trainer = made(clip_norm=0.1, epochs=1, lr=1.0)
    start = [p.detach().clone() for p in trainer.net.parameters()]
    norms = []

    class Watched(Listener):
        def on_interval(self, trainer, row):
            moved = [p.detach() - s for p, s in zip(trainer.net.parameters(), start, strict=True)]
            norms.append(float(torch.stack([m.square().sum() for m in moved]).sum().sqrt()))
            for s, p in zip(start, trainer.net.parameters(), strict=True):
                s.copy_(p.detach())

    trainer.listeners = (Watched(),)
    trainer.recipe = trainer.recipe.with_values(log_every=1e-9)
    trainer.fit()
    assert len(norms) == 6 and norms == pytest.approx([0.1] * 6, rel=1e-3)


def test_images_that_stand_in_for_no_share_count_nothing():
    trainer = made()
    images, labels = next(trainer.data.train.batches(4, device="cpu"))
    before = [p.detach().clone() for p in trainer.net.parameters()]
    trainer._step(images, labels, 0.0, 16)
    assert trainer.sums.total.tolist() == [0, 0, 0]
    for p, b in zip(trainer.net.parameters(), before, strict=True):
        assert torch.equal(p, b)
    trainer._step(images, labels, 1.0, 4)
    assert trainer.sums.total[2] == 4


# --- figures --------------------------------------------------------------------------------------


def test_an_interval_has_the_figures_since_the_one_before():
    rows = Rows()
    made(rows, log_every=3600).fit()  # once an epoch, at its end
    assert [row["step"] for row in rows.intervals] == [6, 12]
    assert [row["epoch"] for row in rows.intervals] == [1, 2]
    for interval, epoch in zip(rows.intervals, rows.epochs, strict=True):
        for key in ("train_loss", "train_accuracy"):
            assert interval[key] == pytest.approx(epoch[key], rel=1e-12)


def test_each_step_s_figures_are_those_of_its_own_batch():
    rows = Rows()
    trainer = made(rows, log_every=1e-9, epochs=1)
    reference = archspec.loads(PLAIN).build(seed=0)
    trainer.fit()
    expected = []
    for batch in Plan(96, 16, seed=0).order(0).split(16):
        images, labels = next(trainer.data.train.batches(16, order=batch, device="cpu"))
        loss = cross_entropy(reference(images), labels)
        hits = (reference(images).argmax(1) == labels).float().mean()
        reference.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in reference.parameters():
                p -= 0.5 * p.grad
        expected.append((loss.item(), hits.item()))
    assert [row["step"] for row in rows.intervals] == [1, 2, 3, 4, 5, 6]
    found = [(row["train_loss"], row["train_accuracy"]) for row in rows.intervals]
    assert torch.allclose(torch.tensor(found), torch.tensor(expected), atol=1e-6)
    assert [row["epoch"] for row in rows.intervals] == pytest.approx([i / 6 for i in range(1, 7)])


def test_a_row_tells_the_rate_of_the_step_that_it_ends_with():
    rows = Rows()
    made(rows, schedule="cosine", log_every=3600).fit()

    def rate(step):  # of 12, from 0
        return 0.5 * (1 + math.cos(math.pi * step / 12)) / 2

    for kind in (rows.intervals, rows.epochs):
        assert [row["lr"] for row in kind] == pytest.approx([rate(5), rate(11)])


def test_time_left_and_speed_follow_from_the_time_of_a_step(monkeypatch):
    from archspec.training import loop

    clock = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])

    class Slow(Trainer):
        def forward(self, images, labels):
            clock[0] += 0.5
            return super().forward(images, labels)

    rows = Rows()
    trainer = made(rows, log_every=1.0)
    trainer.__class__ = Slow
    trainer.fit()
    first = rows.intervals[0]
    assert first["step"] == 2  # after a second
    assert first["examples_per_second"] == pytest.approx(32)
    assert first["seconds_left"] == pytest.approx(10 * 0.5)
    assert [row["step"] for row in rows.intervals] == [2, 4, 6, 8, 10, 12]
    assert rows.intervals[-1]["seconds_left"] == 0
    for row in rows.epochs:
        assert (row["seconds"], row["examples_per_second"]) == (3.0, pytest.approx(32))


# --- best, patience, signals ----------------------------------------------------------------------


def test_patience_of_one_lets_the_first_epoch_happen(small, tmp_path):
    options = {"memory_format": "contiguous", "limit_train": 100, "limit_test": 40}
    _, history = train(small, run=tmp_path / "run", lr=1e-9, epochs=9, patience=1, **options)
    best = max(history, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert len(history) == best["epoch"] + 1 < 9


def test_accuracy_decides_what_is_best_and_then_the_loss():
    from archspec.training.metrics import Figures

    best = Best(0.5, 1.0, 3)
    beaten = [(0.6, 9.0), (0.5, 0.9)], [(0.5, 1.0), (0.5, 1.1), (0.4, 0.1)]
    for expected, cases in zip((True, False), beaten, strict=True):
        for accuracy, loss in cases:
            assert best.is_beaten_by(Figures(loss, accuracy, 10)) is expected
    assert Best().is_beaten_by(Figures(50.0, 0.0, 10))


@pytest.mark.parametrize(("epoch", "stops"), [(1, True), (2, False)])
def test_a_signal_while_evaluating_stops_what_is_not_finished(epoch, stops):
    class Asks(Listener):
        def on_epoch(self, trainer, row):
            if row["epoch"] == epoch:
                trainer.ask_to_stop(signal.SIGTERM)

    trainer = made(Asks())
    if stops:
        with pytest.raises(Stopped):
            trainer.fit()
    else:
        trainer.fit()
    assert trainer.position.epoch == epoch


# --- going on -------------------------------------------------------------------------------------


def test_figures_of_a_resumed_epoch_are_those_of_a_whole_one(tmp_path):
    arch = archspec.loads(PLAIN)
    options = {**WHOLE, "log_every": 1e-9}
    whole, cut = Rows(), Rows()
    train(arch, run=tmp_path / "whole", listeners=[whole], **options)
    with pytest.raises(Stopped):
        train(arch, run=tmp_path / "cut", listeners=[cut], trainer=StopsAfter, **options)
    train(arch, run=tmp_path / "cut", listeners=[cut], resume=True, **options)
    for mine, theirs in ((cut.intervals, whole.intervals), (cut.epochs, whole.epochs)):
        assert [row["step"] for row in mine] == [row["step"] for row in theirs]
        for key in ("train_loss", "train_accuracy", "lr", "epoch"):
            assert [row[key] for row in mine] == [row[key] for row in theirs], key


def test_the_speed_of_a_resumed_epoch_counts_what_was_left_of_it(tmp_path):
    arch, rows = archspec.loads(PLAIN), Rows()
    with pytest.raises(Stopped):
        train(arch, run=tmp_path / "run", trainer=StopsAfter, **WHOLE)
    train(arch, run=tmp_path / "run", listeners=[rows], resume=True, **WHOLE)
    left = [row["examples_per_second"] * row["seconds"] for row in rows.epochs]
    assert left == pytest.approx([32, 96])  # two of six steps, then all


def test_the_best_so_far_outlives_a_stop(small, tmp_path):
    class Asks(Listener):
        def on_epoch(self, trainer, row):
            trainer.ask_to_stop(signal.SIGTERM)

    class Spoilt(Trainer):
        def forward(self, images, labels):
            with torch.no_grad():
                for parameter in self.net.parameters():
                    parameter.zero_()
            return super().forward(images, labels)

    options = {"memory_format": "contiguous", "limit_train": 100, "limit_test": 40, "lr": 0.02}
    with pytest.raises(Stopped):
        train(small, run=tmp_path / "run", listeners=[Asks()], **options)
    first = checkpoint.load(tmp_path / "run" / "checkpoints" / checkpoint.BEST)
    history = train(small, run=tmp_path / "run", trainer=Spoilt, resume=True, **options).history
    assert history[0]["validation_accuracy"] > history[1]["validation_accuracy"]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["best"]["epoch"], result["last"]["epoch"]) == (1, 2)
    assert result["best"]["validation"]["accuracy"] == history[0]["validation_accuracy"]
    kept = checkpoint.load(tmp_path / "run" / "checkpoints" / checkpoint.BEST)
    assert kept["epoch"] == 1
    assert all(torch.equal(kept["model"][key], first["model"][key]) for key in first["model"])


def test_all_of_a_trainer_s_state_is_put_back():
    one, other = made(ema=0.9), made(ema=0.9)
    one.scaler, other.scaler = (
        torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2) for scale in (4.0, 1024.0)
    )
    one.recipe = one.recipe.with_values(epochs=1)
    one.fit()
    one.best = Best(0.75, 0.5, 1)
    tree = state.take(one)
    state.put_back(other, tree)
    assert other.scaler.get_scale() == 4.0 * 2**3  # six steps double it three times
    assert other.best == one.best and other.position == one.position
    assert other.history == one.history
    assert torch.equal(other.sums.total, one.sums.total)
    for mine, theirs in ((other.net, one.net), (other.average.net, one.average.net)):
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(one.net[1].weight, one.average.net[1].weight)
    one.best = Best()
    state.put_back(other, state.take(one))
    assert other.best == Best()


def test_weights_of_another_network_are_refused_by_their_keys():
    net = nn.Linear(2, 2)
    with pytest.raises(checkpoint.DamagedError, match=r"another network: bias is only in the net"):
        state.load_weights(net, {"weight": torch.zeros(2, 2), "offset": torch.zeros(2)})


# --- the network of a run -------------------------------------------------------------------------


def test_the_last_weights_of_an_averaged_run_are_its_average(tmp_path):
    train(archspec.loads(PLAIN), run=tmp_path / "run", ema=0.9, **WHOLE)
    tree = checkpoint.load(tmp_path / "run" / "checkpoints" / checkpoint.LAST)
    assert not torch.equal(tree["average"]["1.weight"], tree["model"]["1.weight"])
    network = open_trained(tmp_path / "run", last=True)
    assert torch.equal(network.net[1].weight, tree["average"]["1.weight"])
    assert network.epoch == 2 and not network.net.training


def test_limits_of_training_are_not_those_of_another_data_set(tmp_path, monkeypatch):
    from archspec.data import names, register, registry
    from archspec.data.digits import digits

    names()  # the bundled ones are registered for good
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    register("numerals")(digits)
    train(archspec.loads(PLAIN), run=tmp_path / "run", **WHOLE)
    network = open_trained(tmp_path / "run")
    assert network.evaluate().figures.examples == 40
    whole = len(open_dataset("digits", resize=8).test)
    assert whole > 300 and network.evaluate("numerals").figures.examples == whole


def test_a_run_is_evaluated_on_the_images_that_its_seed_left_for_that(tmp_path):
    train(archspec.loads(PLAIN), run=tmp_path / "run", seed=3, **WHOLE)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    network = open_trained(tmp_path / "run")
    figures = network.evaluate().figures
    assert figures.loss == pytest.approx(result["best"]["test"]["loss"], rel=1e-6)
    data = open_dataset("digits", resize=8, validation=0, limit_test=40, limit_train=96, seed=3)
    images, labels = next(data.test.batches(40, device="cpu"))
    assert figures.loss == pytest.approx(float(cross_entropy(network.net(images), labels).detach()))
    other = open_dataset("digits", resize=8, validation=0, limit_test=40, limit_train=96)
    assert not torch.equal(other.test.rows, data.test.rows)


def test_processes_of_one_change_nothing():
    alone, tensor = Processes(), torch.ones(2)
    assert alone.sum(tensor) is tensor and alone.largest(tensor) is tensor
    assert alone.gather(tensor) == [tensor] and alone.is_main
    assert not Processes(1, 2).is_main
