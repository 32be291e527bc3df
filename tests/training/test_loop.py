"""The loop against one written by hand, and what it does when something goes wrong."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

import archspec
from archspec.data import open_dataset
from archspec.training import Trained, device, recipe_for, train
from archspec.training.errors import TrainingError
from archspec.training.loop import Listener, Trainer
from archspec.training.plan import Plan
from archspec.training.session import Session
from archspec.training.session import train as run_session
from archspec.training.store import checkpoint

FAST = {"memory_format": "contiguous", "limit_train": 100, "limit_test": 40}


def last(folder):
    return checkpoint.load(folder / "checkpoints" / checkpoint.LAST)


def by_hand(arch, epochs, *, batch=16, smoothing=0.0, clip=None, count=90):
    """The course text's loop: mean loss, torch's Adam."""
    net = arch.build(seed=0)
    torch.manual_seed(0)
    data = open_dataset("digits", resize=8, limit_train=100, limit_test=40)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for rows in Plan(count, batch, seed=0).order(epoch).split(batch):
            images, labels = next(data.train.batches(len(rows), order=rows, device="cpu"))
            loss = cross_entropy(net(images), labels, reduction="sum", label_smoothing=smoothing)
            optimizer.zero_grad()
            (loss / len(rows)).backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            total += loss.item()
        losses.append(total / count)
    return net, losses


@pytest.mark.parametrize(
    ("recipe", "hand"),
    [
        ({}, {}),
        ({"label_smoothing": 0.1, "clip_norm": 0.5}, {"smoothing": 0.1, "clip": 0.5}),
    ],
)
def test_it_trains_as_a_loop_by_hand_bit_for_bit(recipe, hand, small, tmp_path):
    _, history = train(small, run=tmp_path / "run", **FAST, **recipe)
    net, losses = by_hand(small, 2, **hand)
    state = last(tmp_path / "run")["model"]
    for key, tensor in net.state_dict().items():
        assert torch.equal(state[key], tensor), key
    assert [row["train_loss"] for row in history] == pytest.approx(losses, rel=1e-12)


def test_a_batch_in_pieces_gives_the_same_weights(tmp_path):
    text = "input: [1, 8, 8]\nlayers: [flatten, {linear: 20}, relu, {linear: 10}]\n"
    states = []
    for pieces in (1, 3):
        recipe = {"batch_size": 12, "accumulate": pieces, "epochs": 1, "optimizer": "sgd"}
        train(archspec.loads(text), run=tmp_path / str(pieces), lr=0.5, **recipe, **FAST)
        states.append(last(tmp_path / str(pieces))["model"])
    for key in states[0]:
        assert torch.allclose(states[0][key], states[1][key], atol=1e-6), key
        assert not torch.equal(states[0][key], archspec.loads(text).build(seed=0).state_dict()[key])


def test_figures_are_those_of_the_returned_network(small, tmp_path):
    trained = train(small, run=tmp_path / "run", **FAST)
    assert isinstance(trained, Trained) and len(trained.history) == 2
    net = trained.net.eval()
    data = open_dataset("digits", resize=8, limit_train=100, limit_test=40)
    images, labels = next(data.test.batches(40, device="cpu"))
    hits = (net(images).argmax(1) == labels).float().mean().item()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["best"]["test"]["accuracy"] == pytest.approx(hits)
    best = max(trained.history, key=lambda r: (r["validation_accuracy"], -r["validation_loss"]))
    assert result["best"]["epoch"] == best["epoch"]
    assert result["best"]["validation"]["accuracy"] == pytest.approx(best["validation_accuracy"])


def test_one_seed_gives_one_result_and_leaves_nothing_to_chance(small, tmp_path):
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(states))
        train(small, run=tmp_path / name, seed=seed, augment=("random_crop:1",), **FAST)
        states.append(last(tmp_path / name)["model"]["0.weight"])
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_patience_ends_a_run_that_gets_no_better(small, tmp_path):
    _, history = train(small, run=tmp_path / "run", lr=1e-9, epochs=50, patience=3, **FAST)
    best = max(history, key=lambda r: (r["validation_accuracy"], -r["validation_loss"]))
    assert len(history) == best["epoch"] + 3 < 50


def test_without_validation_the_last_weights_are_the_best(small, tmp_path):
    _, history = train(small, run=tmp_path / "run", validation=0, **FAST)
    assert "validation_accuracy" not in history[0]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["best"]["epoch"] == 2 and result["best"]["test"] == result["last"]["test"]


def test_an_auxiliary_output_has_its_share_of_the_loss(tmp_path):
    text = """
input: [1, 8, 8]
layers:
  - flatten
  - {name: stem, linear: 12}
  - relu
  - {name: head, linear: 10}
  - {name: aux, linear: 10, from: stem, training_only: true}
outputs: {logits: head, aux: aux}
train: {dataset: digits, epochs: 1, optimizer: sgd, lr: 1, batch_size: 90, validation: 0.1}
"""
    arch = archspec.loads(text)
    start = arch.build(seed=0)
    data = open_dataset("digits", resize=8, limit_train=100, limit_test=40)
    images, labels = next(data.train.batches(90, device="cpu"))
    out = start(images)
    (cross_entropy(out["logits"], labels) + 0.3 * cross_entropy(out["aux"], labels)).backward()
    train(arch, run=tmp_path / "run", **FAST)
    after = last(tmp_path / "run")["model"]
    for name, parameter in start.named_parameters():
        assert torch.allclose(after[name], parameter - parameter.grad, atol=1e-6), name


def test_the_step_can_be_overridden_and_listeners_hear(small, tmp_path):
    class Halved(Trainer):
        def forward(self, images, labels):
            loss, logits = super().forward(images, labels)
            return loss / 2, logits

    class Ear(Listener):
        def __init__(self):
            self.heard = []

        def on_epoch(self, trainer, row):
            self.heard.append((row["epoch"], trainer.position.epoch))

    ear = Ear()
    plain = train(small, run=tmp_path / "a", **FAST).history
    halved = train(small, run=tmp_path / "b", trainer=Halved, listeners=[ear], **FAST).history
    assert ear.heard == [(1, 1), (2, 2)]
    assert halved[0]["train_loss"] < 0.6 * plain[0]["train_loss"]


def test_a_loss_that_is_no_number_names_step_rate_and_layer(tmp_path):
    text = """
input: [1, 8, 8]
layers:
  - flatten
  - {name: first, linear: 8}
  - relu
  - {name: second, linear: 10}
"""
    arch = archspec.loads(text)

    class Poisoned(Trainer):
        def forward(self, images, labels):
            if self.position.step == 4:
                with torch.no_grad():
                    self.net.second.weight.fill_(1e38)
            return super().forward(images * 1e3, labels)

    with pytest.raises(TrainingError) as caught:
        train(arch, run=tmp_path / "run", trainer=Poisoned, epochs=2, batch_size=16, **FAST)
    assert str(caught.value) == (
        "the loss is not finite at step 5 (epoch 1), with a learning rate of 0.001: it first "
        "appeared in the output of layer second (Linear). The last checkpoint is intact. A "
        "smaller --lr, --warmup or --clip-norm may help"
    )
    tree = last(tmp_path / "run")
    assert all(math.isfinite(t.sum()) and t.max() < 1e30 for t in tree["model"].values())


@pytest.fixture
def half(monkeypatch):
    """Lets fp16 pass for a precision of the CPU, so that its scaler can be tried."""
    monkeypatch.setattr(device, "choose_precision", lambda *_: device.WithReason("fp16", "a test"))
    return {"optimizer": "sgd", "epochs": 1, **FAST}


def test_gradients_that_overflow_cost_one_step(half, small, tmp_path):
    weights = []

    class Spiked(Trainer):
        def forward(self, images, labels):
            weights.append(next(self.net.parameters()).detach().clone())
            loss, logits = super().forward(images, labels)
            return loss * (1e36 if self.position.step == 2 else 1), logits

    train(small, run=tmp_path / "run", trainer=Spiked, **half)
    moves = [not torch.equal(a, b) for a, b in itertools.pairwise(weights)]
    assert moves == [True, True, False, True, True]
    assert last(tmp_path / "run")["scaler"]["scale"] == 2.0**15


def test_a_loss_that_is_no_number_is_reported_under_a_scaler(half, small, tmp_path):
    """As on a GPU: nobody looks at once, and nothing is updated until somebody does."""
    weights = []

    class Poisoned(Trainer):
        def _check(self, loss, batch, moment):
            place, self.device = self.device, torch.device("meta")
            super()._check(loss, batch, moment)
            self.device = place

        def forward(self, images, labels):
            weights.append(next(self.net.parameters()).detach().clone())
            loss, logits = super().forward(images, labels)
            return loss * (torch.nan if len(weights) == 3 else 1), logits

    with pytest.raises(TrainingError, match=r"not finite at step 3 .* batch has a finite one"):
        train(small, run=tmp_path / "run", trainer=Poisoned, log_every=60, **half)
    assert len(weights) == 7  # six steps, and the batch again
    assert not torch.equal(weights[1], weights[2])
    assert all(torch.equal(each, weights[2]) for each in weights[3:])
    assert last(tmp_path / "run")["position"]["step"] == 0


@pytest.mark.parametrize(("pieces", "size"), [(1, 256), (4, 4)])
def test_evaluation_takes_no_more_at_once_than_a_piece(pieces, size, small, tmp_path):
    class Ear(Listener):
        def on_start(self, trainer):
            self.size = trainer.evaluation_batch

    ear = Ear()
    train(small, run=tmp_path / "run", listeners=[ear], accumulate=pieces, epochs=1, **FAST)
    assert ear.size == size


def test_weights_that_overflow_are_never_saved(small, tmp_path):
    with pytest.raises(TrainingError, match="not finite"):
        train(small, run=tmp_path / "run", optimizer="sgd", lr=1e38, **FAST)
    assert all(t.isfinite().all() for t in last(tmp_path / "run")["model"].values())


def test_out_of_memory_names_a_batch_that_fits(small, tmp_path, monkeypatch):
    from archspec.training import tuning

    class Small(Trainer):
        def forward(self, images, labels):
            if len(images) > 10:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
            return super().forward(images, labels)

    monkeypatch.setattr(tuning, "fits", lambda arch, batch, place, recompute: batch <= 10)
    with pytest.raises(TrainingError) as caught:
        train(small, run=tmp_path / "run", trainer=Small, batch_size=32, **FAST)
    assert str(caught.value) == (
        "out of memory with batches of 32 images (CUDA out of memory). --batch-size 8 fits; "
        "--accumulate 4 computes the same batch in 4 pieces that fit. The last checkpoint is intact"
    )
    assert last(tmp_path / "run")["position"]["step"] == 0
    train(small, run=tmp_path / "other", trainer=Small, batch_size=32, accumulate=4, **FAST)


def test_a_full_disk_in_mid_run_leaves_the_last_checkpoint(small, tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filler(Listener):
        def on_epoch(self, trainer, row):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))

    session = Session(
        small, recipe_for(small, None, FAST), folder=tmp_path / "run", listeners=(Filler(),)
    )
    try:
        with pytest.raises(TrainingError, match="cannot write"):
            run_session(session)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert last(tmp_path / "run")["position"]["step"] == 0
    assert train(small, run=tmp_path / "run", resume=True, **FAST).history[-1]["epoch"] == 2


def test_automatic_choices_are_written_down(small, tmp_path):
    from archspec.training.store.runs import Run

    train(small, run=tmp_path / "run", batch_size="auto", **{**FAST, "memory_format": "auto"})
    recipe = Run(tmp_path / "run").recipe()
    assert isinstance(recipe.batch_size, int) and recipe.batch_size >= 16
    assert recipe.precision == "fp32" and recipe.memory_format in ("contiguous", "channels_last")
    said = " ".join(Run(tmp_path / "run").about()["statements"])
    assert "batch size: " in said and "computing: " in said and "device: " in said


def test_bfloat16_on_the_cpu_trains(small, tmp_path):
    _, history = train(small, run=tmp_path / "run", precision="bf16", **FAST)
    assert history[1]["train_loss"] < history[0]["train_loss"] < 3
    assert last(tmp_path / "run")["model"]["0.weight"].dtype == torch.float32
