"""Networks with tied and frozen weights train as others do, and go on with the same bits."""

from __future__ import annotations

import signal
import socket

import pytest
import torch

import archspec
from archspec.training.store import checkpoint

TIED = """
name: tied
input: [1, 8, 8]
layers:
  - flatten
  - {name: stem, linear: 16, trainable: false}
  - relu
  - {name: first, linear: {out_features: 16, bias: false}}
  - dropout: 0.2
  - {name: second, linear: 16, weights: {weight: first.weight}}
  - relu
  - linear: 10
train: {dataset: digits, batch_size: 16, epochs: 2, lr: 0.05, optimizer: sgd, momentum: 0.9,
        limit_train: 100, limit_test: 40}
"""


@pytest.fixture
def command(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("{save_every: 0.001}")

    def make(name, *more, world=1, text=TIED):
        spec = tmp_path / f"{name}.yaml"
        spec.write_text(text)
        argv = ["train", str(spec), "--run", str(tmp_path / name), "--device", "cpu"]
        argv += ["--config", str(config), *more]
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = str(server.getsockname()[1])
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world)}
        return [
            {
                "argv": argv,
                "log": str(tmp_path / f"{name}.{rank}.log"),
                "env": {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} if world > 1 else {},
            }
            for rank in range(world)
        ]

    return make


def final(folder):
    return checkpoint.load(folder / "checkpoints" / checkpoint.LAST)


def assert_tied_and_frozen(tree):
    fresh = archspec.loads(TIED).build(seed=0).state_dict()
    for weights in filter(None, (tree["model"], tree["average"])):
        assert torch.equal(weights["first.weight"], weights["second.weight"])
        assert not torch.equal(weights["first.weight"], fresh["first.weight"])
        assert torch.equal(weights["stem.weight"], fresh["stem.weight"])
    assert {"stem.weight", "second.weight"}.isdisjoint(tree["optimizer"])


@pytest.mark.parametrize("world", [1, 2])
def test_a_killed_run_goes_on_with_the_same_bits(world, command, forks, tmp_path):
    more = ["--ema", "0.9", *(["--fsdp"] if world > 1 else [])]
    assert forks.run(*command("whole", *more, world=world)) == [0] * world
    assert_tied_and_frozen(whole := final(tmp_path / "whole"))
    jobs = [{**job, "kill_at": 8} for job in command("cut", *more, world=world)]
    assert forks.run(*jobs) == [-signal.SIGKILL] * world
    assert forks.run(*command("cut", *more, "--resume", world=world)) == [0] * world
    cut = final(tmp_path / "cut")
    for part in ("model", "average"):
        assert whole[part].keys() == cut[part].keys()
        assert all(torch.equal(whole[part][key], cut[part][key]) for key in whole[part])


@pytest.mark.parametrize("more", [[], ["--fsdp", "--ema", "0.6"]], ids=" ".join)
def test_two_processes_train_as_one(more, command, forks, tmp_path):
    plain = TIED.replace("  - dropout: 0.2\n", "")
    ema = [word for word in more if word != "--fsdp"]
    assert forks.run(*command("one", *ema, text=plain)) == [0]
    jobs = command("two", *more, world=2, text=plain)
    assert forks.run(*jobs) == [0, 0], (tmp_path / "two.0.log").read_text()
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    assert_tied_and_frozen(two)
    for part in ("model", "average")[: 1 + bool(ema)]:
        for key, tensor in one[part].items():
            torch.testing.assert_close(two[part][key], tensor, rtol=0, atol=1e-6)


HELD = """
name: held
input: [1, 8, 8]
layers:
  - flatten
  - {name: stem, linear: 16}
  - {name: layers.0, linear: 16}
  - {name: layers.1, linear: 16}
  - {name: parts.scale, parameter: {shape: [16, 16]}}
  - {name: parts.inner.head, linear: 16, from: layers.1, weights: {weight: parts.scale}}
  - {name: shift, parameter: {shape: [16]}}
  - {name: parts.out, linear: 16, from: parts.inner.head, weights: {bias: shift}}
  - linear: 10
train: {dataset: digits, batch_size: 16, epochs: 2, lr: 0.05, optimizer: sgd, limit_train: 100,
        limit_test: 40}
"""


def test_what_holders_have_and_what_is_given_is_sharded(command, forks, tmp_path):
    assert forks.run(*command("one", text=HELD)) == [0]
    jobs = command("two", "--fsdp", world=2, text=HELD)
    assert forks.run(*jobs) == [0, 0], (tmp_path / "two.0.log").read_text()
    one, two = final(tmp_path / "one")["model"], final(tmp_path / "two")["model"]
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=0, atol=1e-6)
