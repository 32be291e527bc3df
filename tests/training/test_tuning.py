"""What is found by trying: which layout, and how many threads."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn

import archspec
from archspec.recipe.recipe import Recipe
from archspec.training import recipe_for, tuning
from archspec.training.device import WithReason
from archspec.training.errors import TrainingError
from archspec.training.layouts import FORMATS, laid_out
from archspec.training.loop import Listener
from archspec.training.store import checkpoint
from archspec.training.store.runs import Run
from archspec.training.trained_network import open_trained
from archspec.training.tuning import (
    LAYOUTS,
    ForwardPasses,
    Way,
    choose_batch_size,
    choose_evaluation_layout,
    choose_way,
    compared,
)

CPU = torch.device("cpu")
PLAIN, PLAIN_2 = Way("contiguous", 1), Way("contiguous", 2)
LAST, LAST_2 = Way("channels_last", 1), Way("channels_last", 2)


@pytest.fixture
def two_threads(one_thread):
    torch.set_num_threads(2)


@pytest.fixture
def timed(monkeypatch):
    """Makes each way take so long; the network is never run."""

    def set_times(times):
        class Probe:
            def __init__(self, arch, recipe, device, *, channels_last):
                self.layout = "channels_last" if channels_last else "contiguous"

            def step(self, batch):
                pass

            def seconds(self, batch):
                return times[Way(self.layout, torch.get_num_threads())]

        monkeypatch.setattr(tuning, "Probe", Probe)

    return set_times


def chosen(small, steps=10_000, **recipe):
    return choose_way(small, Recipe(**recipe), CPU, 16, steps)


@pytest.mark.parametrize(
    ("times", "best"),
    [
        ({PLAIN: 3, PLAIN_2: 2, LAST: 4, LAST_2: 1}, LAST_2),
        ({PLAIN: 1, PLAIN_2: 2, LAST: 4, LAST_2: 3}, PLAIN),
        ({PLAIN: 1.02, PLAIN_2: 1, LAST: 1, LAST_2: 1}, PLAIN),  # noise does not decide
        ({PLAIN: 2, PLAIN_2: 1.02, LAST: 1, LAST_2: 1}, PLAIN_2),
        ({PLAIN: 2, PLAIN_2: 1.05, LAST: 1, LAST_2: 1}, LAST),
    ],
)
def test_the_fastest_way_is_chosen(small, two_threads, timed, times, best):
    timed({way: seconds / 1000 for way, seconds in times.items()})
    found = chosen(small)
    assert found.way == best
    fastest = times[best]
    assert found.why.startswith(f"a step of 16 images took {fastest:.3g} ms; ")
    assert all(str(way) in found.why for way in times if way != best)
    assert torch.get_num_threads() == 2


def test_what_is_asked_for_is_not_measured(small, two_threads, timed):
    timed({LAST: 1.0, LAST_2: 2.0})
    assert chosen(small, memory_format="channels_last").way == LAST
    assert chosen(small, memory_format="channels_last", threads=7) == (
        Way("channels_last", 7),
        "as asked",
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"deterministic": True}, "a measurement would not be reproducible"),
    ],
)
def test_without_measuring_it_is_the_plain_layout_in_all_threads(
    small, two_threads, timed, given, why
):
    timed({PLAIN: 0.02, PLAIN_2: 0.01, LAST: 0.02, LAST_2: 0.001})
    assert chosen(small, **given) == (PLAIN_2, why)


@pytest.mark.parametrize(("one", "two", "best"), [(0.02, 0.01, PLAIN_2), (0.01, 0.02, PLAIN)])
def test_a_short_run_tries_the_threads_once(small, two_threads, timed, one, two, best):
    timed({PLAIN: one, PLAIN_2: two, LAST: 0.001, LAST_2: 0.001})
    assert chosen(small, steps=20) == (
        best,
        "a run of about 0 s is too short to measure more than a step each",
    )


def test_one_core_leaves_nothing_to_choose_but_the_layout(small, timed):
    timed({PLAIN: 2.0, LAST: 1.0})
    assert chosen(small).way == LAST
    assert chosen(small, memory_format="contiguous").why == "the only one here"


def test_hopeless_ways_are_tried_once_and_time_is_bounded():
    tried = {PLAIN: 0, PLAIN_2: 0, LAST: 0}

    def attempt(way, seconds):
        def run():
            tried[way] += 1
            return seconds

        return run

    times = {PLAIN: 0.2, PLAIN_2: 0.1, LAST: 0.125}
    tries = {way: attempt(way, seconds) for way, seconds in times.items()}
    assert compared(tries, 4.0) == times
    assert tried == {PLAIN: 1, PLAIN_2: 5, LAST: 5}
    tried.update(dict.fromkeys(tried, 0))
    compared(tries, 0.6)
    assert tried == {PLAIN: 1, PLAIN_2: 2, LAST: 2}  # after 0.65 s no round begins


def test_a_busy_machine_shows_in_the_median_and_not_in_the_shortest_time():
    steady, uneven = iter([2.0] * 5), iter([1.0, 2.5, 2.5, 1.0, 2.5])
    found = compared({PLAIN: lambda: next(steady), PLAIN_2: lambda: next(uneven)}, 100.0)
    assert found == {PLAIN: 2.0, PLAIN_2: 2.5}


def test_real_steps_are_measured(small, two_threads):
    found = chosen(small)
    assert found.way in (PLAIN, PLAIN_2, LAST, LAST_2)
    assert re.search(r"took [\d.]+ ms; ", found.why)
    assert torch.get_num_threads() == 2


def test_a_run_keeps_its_threads_and_gives_the_setting_back(small, tmp_path, two_threads):
    seen = []

    class Ear(Listener):
        def on_epoch(self, trainer, row):
            seen.append(torch.get_num_threads())

    given = {"limit_train": 100, "limit_test": 40, "epochs": 1, "threads": 1}
    archspec.train(small, run=tmp_path / "r", listeners=[Ear()], **given)
    assert seen == [1] and torch.get_num_threads() == 2
    torch.set_num_threads(2)
    again = {**given, "epochs": 2, "threads": "auto"}
    archspec.train(small, run=tmp_path / "r", resume=True, listeners=[Ear()], **again)
    assert seen == [1, 1] and torch.get_num_threads() == 2
    assert recipe_for(small, tmp_path / "r" / "config.yaml", {}).threads == 1


@pytest.fixture
def speeds(monkeypatch):
    """Makes a step of each batch size compute so many images a second; others do not fit."""

    def set_speeds(images_per_second):
        asked = []

        class Probe:
            def __init__(self, arch, recipe, device, *, channels_last):
                assert not channels_last

            def step(self, batch):
                asked.append(batch)
                if batch not in images_per_second:
                    raise RuntimeError("CUDA out of memory")

            def seconds(self, batch):
                return batch / images_per_second[batch]

        monkeypatch.setattr(tuning, "Probe", Probe)
        monkeypatch.setattr(tuning, "fits", lambda arch, batch, device, recompute: True)
        return asked

    return set_speeds


@pytest.mark.parametrize(
    ("images_per_second", "images", "best", "tried"),
    [
        # 390 is within 5 % of the best, 404; and 256 is hardly faster than 128: none comes after.
        ({16: 100, 32: 200, 64: 390, 128: 400, 256: 404, 512: 900}, 10**6, "64", 5),
        ({16: 100, 32: 100, 64: 101, 128: 300, 256: 301}, 10**6, "128", 5),  # below 65 it goes on
        ({16: 100, 32: 200}, 10**6, "32", 3),  # 64 does not fit
        ({16: 100, 32: 200, 64: 400}, 8 * 32, "32", 2),  # an eighth of the images at most
        ({16: 100, 32: 200}, 3, "16", 1),
    ],
)
def test_the_smallest_fast_batch_is_chosen(small, speeds, images_per_second, images, best, tried):
    asked = speeds(images_per_second)
    found = choose_batch_size(small, Recipe(), CPU, images)
    assert (found.value, len(asked)) == (best, tried)
    fast = images_per_second[int(best)]
    top = max(images_per_second[size] for size in asked if size in images_per_second)
    assert found.why == f"{fast} images a second, of at most {top} tried"


def test_no_memory_for_any_batch_is_an_error(small, speeds):
    speeds({})
    with pytest.raises(TrainingError, match="not even 16 images fit in memory"):
        choose_batch_size(small, Recipe(), CPU, 1000)


def convolutions():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.Dropout())


def strides(net):
    return [each.stride() for each in net.parameters()]


@pytest.mark.parametrize(
    ("plain", "last", "own", "best"),
    [
        (2, 1, "contiguous", "channels_last"),
        (1, 2, "contiguous", "contiguous"),
        (1, 2, "channels_last", "contiguous"),
        (1, 0.98, "contiguous", "contiguous"),  # noise does not decide
        (0.98, 1, "channels_last", "channels_last"),
    ],
)
def test_evaluation_has_the_layout_that_is_fastest(monkeypatch, plain, last, own, best):
    times = {"contiguous": plain / 1000, "channels_last": last / 1000}
    monkeypatch.setattr(ForwardPasses, "seconds", lambda self, layout, count=1: times[layout])
    passes = ForwardPasses(convolutions(), (16, 1, 8, 8), 100_000, "fp32", CPU)
    found = choose_evaluation_layout(passes, own)
    assert found.value == best
    other = next(name for name in times if name != best)
    assert found.why == (
        f"16 images took {times[best] * 1e3:.3g} ms; {other} {times[other] * 1e3:.3g} ms"
    )


def test_measuring_evaluation_is_bounded_and_leaves_no_trace(monkeypatch):
    net = convolutions()
    before, state = strides(net), copy.deepcopy(net.state_dict())
    memory = [each.data_ptr() for each in net.parameters()]
    random = torch.get_rng_state()
    many = ForwardPasses(net, (16, 1, 8, 8), 10**7, "fp32", CPU)
    found = choose_evaluation_layout(many, "contiguous")
    assert found.value in ("contiguous", "channels_last")
    assert net.training and strides(net) == before
    assert [each.data_ptr() for each in net.parameters()] == memory
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    # 3 % of 2,100 images are fewer than four batches of 16; then nothing is run.
    monkeypatch.setattr(nn.Sequential, "forward", None)
    few = ForwardPasses(net, (16, 1, 8, 8), 2_100, "fp32", CPU)
    assert choose_evaluation_layout(few, "contiguous") is None


@pytest.mark.parametrize("message", ["out of memory", "a fault"])
def test_measuring_evaluation_without_the_memory_for_it(monkeypatch, message):
    def fail(self, x):
        raise RuntimeError(message)

    monkeypatch.setattr(nn.Sequential, "forward", fail)
    passes = ForwardPasses(convolutions(), (16, 1, 8, 8), 10**6, "fp32", CPU)
    if message == "out of memory":
        assert choose_evaluation_layout(passes, "contiguous") is None
    else:
        with pytest.raises(RuntimeError, match=message):
            choose_evaluation_layout(passes, "contiguous")


def test_a_network_is_laid_out_for_a_while():
    net = convolutions()
    before, memory = strides(net), [each.data_ptr() for each in net.parameters()]
    with pytest.raises(KeyError), laid_out(net, torch.channels_last):
        assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
        assert net(torch.rand(2, 1, 8, 8)).is_contiguous(memory_format=torch.channels_last)
        raise KeyError
    assert strides(net) == before
    assert [each.data_ptr() for each in net.parameters()] == memory


CONVOLUTIONS = """
name: convolutions
input: [1, 8, 8]
layers:
  - conv2d: {out_channels: 4, kernel_size: 3, padding: 1}
  - batch_norm
  - max_pool2d: 2
  - conv2d: {out_channels: 6, kernel_size: 1}
  - flatten
  - linear: 10
train: {dataset: digits, batch_size: 16, lr: 0.01, limit_train: 100, limit_test: 40}
"""


def test_the_layout_of_evaluation_leaves_training_alone(tmp_path):
    arch, found = archspec.loads(CONVOLUTIONS), {}
    given = {"epochs": 2, "memory_format": "contiguous", "threads": 1, "ema": 0.5}
    for name in LAYOUTS:
        run = tmp_path / name
        _, history = archspec.train(arch, run=run, evaluation_memory_format=name, **given)
        last = checkpoint.load(run / "checkpoints" / checkpoint.LAST)
        trained = open_trained(run, device="cpu")
        assert trained.layout == FORMATS[name]
        assert trained.net.get_parameter("0.weight").is_contiguous(memory_format=FORMATS[name])
        found[name] = (last, history, trained.evaluate().figures.loss)
    (one, rows, loss), (two, others, other_loss) = found.values()
    for part in ("model", "average"):
        assert all(torch.equal(one[part][key], two[part][key]) for key in one[part])
    for a, b in zip(rows, others, strict=True):
        assert a["train_loss"] == b["train_loss"]
        assert a["test_loss"] == pytest.approx(b["test_loss"], abs=1e-5)
    assert loss == pytest.approx(other_loss, abs=1e-5)


def test_a_run_and_its_evaluation_measure_where_it_pays(tmp_path, monkeypatch):
    asked = []

    def measured(passes, own):
        asked.append((passes.shape, passes.images, own, torch.get_num_threads()))
        return WithReason("channels_last", "tried")

    monkeypatch.setattr(tuning, "choose_evaluation_layout", measured)
    arch, run, said = archspec.loads(CONVOLUTIONS), tmp_path / "run", []
    given = {"memory_format": "contiguous", "threads": 1}
    archspec.train(arch, run=run, epochs=2, **given)
    assert asked == [((16, 1, 8, 8), 2 * (10 + 40), "contiguous", 1)]
    assert "evaluating: channels_last (tried)" in Run(run).about()["statements"]
    assert Run(run).recipe().evaluation_memory_format == "channels_last"
    archspec.train(arch, run=run, resume=True, epochs=3)  # keeps what it began with
    assert len(asked) == 1
    open_trained(run, device="cpu").evaluate(say=said.append)
    assert asked[1:] == [((32, 1, 8, 8), 40, "channels_last", torch.get_num_threads())]
    assert said == ["evaluating: channels_last (tried)"]
    archspec.train(arch, run=tmp_path / "two", epochs=1, deterministic=True, **given)
    assert len(asked) == 2
