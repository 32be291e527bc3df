"""What a run seeds, draws and chooses is its own affair."""

from __future__ import annotations

import os
import random

import numpy
import pytest
import torch

from archspec.training import device, state, train
from archspec.training.distributed import Processes
from archspec.training.loop import Listener, Trainer
from archspec.training.randomness import (
    WORKSPACE,
    caller_untouched,
    fresh_seed,
    random_state,
    set_random_state,
)

FAST = {"memory_format": "contiguous", "limit_train": 100, "limit_test": 40, "epochs": 1}


def choices():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        os.environ.get(WORKSPACE),
    )


@pytest.fixture
def chosen(monkeypatch):
    """What a caller may have chosen, other than torch's defaults and than what a run chooses."""
    monkeypatch.setenv(WORKSPACE, ":16:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = True
    yield (True, True, True, True, ":16:8")
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = False


def draws():
    return random.random(), numpy.random.rand(), torch.rand(()).item()


def failing(self, images, labels):
    raise RuntimeError("planted")


@pytest.mark.parametrize("fails", [False, True])
def test_training_leaves_the_callers_state_as_it_was(fails, chosen, small, tmp_path):
    kind = type("Kind", (Trainer,), {"forward": failing} if fails else {})
    expected = []
    for trains in (False, True):
        for seed in (random.seed, numpy.random.seed, torch.manual_seed):
            seed(7)
        if trains and fails:
            with pytest.raises(RuntimeError, match="planted"):
                train(small, run=tmp_path / "run", trainer=kind, deterministic=True, **FAST)
        elif trains:
            train(small, run=tmp_path / "run", trainer=kind, deterministic=True, **FAST)
        expected.append(draws())
    assert expected[0] == expected[1]
    assert choices() == chosen


def test_a_setting_that_was_not_there_is_gone_again(monkeypatch, small, tmp_path):
    monkeypatch.delenv(WORKSPACE, raising=False)
    train(small, run=tmp_path / "run", deterministic=True, **FAST)
    assert choices() == (False, False, False, False, None)


def test_nothing_is_computed_before_a_run_is_deterministic(monkeypatch, small, tmp_path):
    """cuBLAS reads its setting at its first use, and a device is tried out by using it."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    choose, seen = device.choose_device, []

    def chosen_then(*given):
        seen.append((torch.are_deterministic_algorithms_enabled(), os.environ.get(WORKSPACE)))
        return choose(*given)

    monkeypatch.setattr(device, "choose_device", chosen_then)
    train(small, run=tmp_path / "run", deterministic=True, **FAST)
    assert seen == [(True, ":4096:8")]


class Keeper(Listener):
    def on_start(self, trainer):
        self.trainer = trainer


def test_processes_that_join_a_run_do_not_drop_out_what_the_first_does(small, tmp_path):
    keeper = Keeper()
    train(small, run=tmp_path / "run", listeners=[keeper], **FAST)
    trainer = keeper.trainer
    tree = state.take(trainer)
    torch.manual_seed(5)
    second = torch.get_rng_state()

    def drawn(rank, saved):
        trainer.processes = Processes(rank, 4)
        state.put_back(trainer, {**tree, **saved})
        return torch.rand(3).tolist()

    alone = {"world": 1, "ranks": []}
    first = drawn(0, alone)
    assert len({tuple(drawn(rank, alone)) for rank in range(4)}) == 4
    pair = {"world": 2, "ranks": [tree["random"]["torch"], second]}
    assert drawn(0, pair) == first
    torch.manual_seed(5)
    assert torch.rand(3).tolist() == drawn(1, pair)
    assert len({tuple(drawn(rank, pair)) for rank in range(4)}) == 4


def test_seeds_of_processes_that_join_differ_by_all_they_follow_from():
    seeds = {fresh_seed(s, r, t) for s in range(4) for r in range(4) for t in range(50)}
    assert len(seeds) == 4 * 4 * 50 and all(0 <= seed < 2**63 for seed in seeds)


def test_a_state_that_is_put_back_draws_the_same_again():
    def drawn():
        # Pairs of normal numbers are made at once: the second waits for the next call.
        return [*draws(), random.gauss(0, 1), numpy.random.normal(), torch.randn(3).tolist()]

    with caller_untouched():
        random.gauss(0, 1)
        numpy.random.normal()
        saved = random_state(torch.device("cpu"))
        first = [drawn(), drawn()]
        set_random_state(saved, torch.device("cpu"))
        assert [drawn(), drawn()] == first
