"""Evaluation: what is counted, and that nobody waits for the device while it is."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from archspec.data import open_dataset
from archspec.recipe.recipe import Recipe
from archspec.training import train, trained_network
from archspec.training.evaluate import evaluate
from archspec.training.loss import Loss
from archspec.training.trained_network import TrainedNetwork, open_trained

FAST = {"memory_format": "contiguous", "limit_train": 100, "limit_test": 40, "epochs": 1}


class Recorder(TorchDispatchMode):
    """The operations that ran, in their order."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def found_on(net, data):
    cpu = torch.device("cpu")
    return evaluate(net, data.test, Loss(Recipe(), None), classes=10, batch_size=16, device=cpu)


def test_figures_and_confusion_are_those_by_hand(small):
    net, data = small.build(seed=0), open_dataset("digits", limit_test=40)
    found = found_on(net, data)
    images, labels = next(data.test.batches(40, device="cpu"))
    logits = net.eval()(images)
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    for label, guess in zip(labels.tolist(), logits.argmax(1).tolist(), strict=True):
        confusion[label, guess] += 1
    assert torch.equal(found.confusion, confusion)
    assert found.figures.examples == 40
    assert abs(found.figures.loss - cross_entropy(logits, labels).item()) < 1e-6


def test_nothing_asks_the_device_for_a_value_batch_by_batch(small):
    """`bincount` looks for the largest value first, and reading one value waits for all before."""
    net, data = small.build(seed=0), open_dataset("digits", limit_test=40)
    with Recorder() as recorder:
        found_on(net, data)
    assert recorder.names.count("addmm") == 3  # batches
    waiting = {"bincount", "_local_scalar_dense", "nonzero", "is_nonzero", "equal"}
    assert not waiting & set(recorder.names)


def test_a_trained_network_is_evaluated_in_its_precision(small, tmp_path):
    train(small, run=tmp_path / "run", precision="bf16", **FAST)
    trained, said = open_trained(tmp_path / "run", device="cpu"), []
    found = trained.evaluate(say=said.append)
    data = open_dataset("digits", limit_train=100, limit_test=40)
    images, labels = next(data.test.batches(40, device="cpu"))
    losses = {}
    for precise in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            logits = trained.net(images).float()
        losses[precise] = cross_entropy(logits, labels).item()
    assert abs(losses[False] - losses[True]) > 1e-5
    assert abs(found.figures.loss - losses[False]) < 1e-6
    assert said == []


def test_a_precision_that_the_device_lacks_is_stood_in_for_and_told(small, tmp_path, monkeypatch):
    # As if the run had been trained on a GPU: its checkpoints would say so too.
    monkeypatch.setattr(trained_network, "check_belongs", lambda run, path, tree: None)
    train(small, run=tmp_path / "run", **FAST)
    config = tmp_path / "run" / "config.yaml"
    text = config.read_text()
    assert text.count('precision: "fp32"') == 1
    config.write_text(text.replace('precision: "fp32"', 'precision: "fp16"'))
    said = []
    open_trained(tmp_path / "run", device="cpu").evaluate(say=said.append)
    assert said == ["computing in fp32, not in the run's fp16: fp16 needs a GPU"]


@pytest.mark.parametrize(
    ("wanted", "used", "note"),
    [
        ("auto", "fp32", None),
        ("fp32", "fp32", None),
        ("bf16", "bf16", None),
        ("fp16", "fp32", "computing in fp32, not in the run's fp16: fp16 needs a GPU"),
    ],
)
def test_another_precision_than_the_runs_is_said(wanted, used, note):
    recipe = Recipe(precision=wanted, memory_format="channels_last")
    network = TrainedNetwork(None, None, recipe, None, (), torch.device("cpu"), 1)
    assert (network.precision.value, network.precision_note) == (used, note)
    assert network.layout is torch.channels_last
