"""Runs that keep less memory for their backward passes."""

from __future__ import annotations

import pytest
import torch

import archspec
from archspec.analyses.memory import saved_bytes
from archspec.cli import main
from archspec.diagnostics.diagnostic import SpecError
from archspec.recipe.recipe import Recipe
from archspec.training import device, tuning
from archspec.training.loop import Trainer
from archspec.training.store import checkpoint
from archspec.training.store.runs import Run

DENSE = """
name: dense
input: [1, 8, 8]
layers:
  - conv2d: {out_channels: 4, kernel_size: 3}
  - dense: {num_convs: 3, growth_rate: 4}
  - batch_norm
  - relu
  - flatten
  - linear: 10
train: {dataset: digits, batch_size: 16, epochs: 2, lr: 0.01, limit_train: 100, limit_test: 40,
        memory_format: contiguous, threads: 1, ema: 0.5}
"""


class Seen(Trainer):
    """Computes again what its recipe says, and nothing where that says nothing."""

    def fit(self):
        assert bool(self.net._forward_pre_hooks) == (self.recipe.recompute is not None)
        super().fit()


def test_a_run_has_the_same_bits_and_says_what_it_keeps(tmp_path):
    arch, found = archspec.loads(DENSE), []
    for recompute in (None, "concat"):
        run = tmp_path / str(recompute)
        net, _ = archspec.train(arch, run=run, recompute=recompute, accumulate=2, trainer=Seen)
        found.append(checkpoint.load(run / "checkpoints" / checkpoint.LAST))
        assert net.state_dict().keys() == arch.build().state_dict().keys()
    for part in ("model", "average"):
        assert all(torch.equal(found[0][part][key], found[1][part][key]) for key in found[0][part])
    # Of 8 images, in floats of 36 places: the input (64 places), 4 channels that the block reads
    # and the ReLU of their norm, and the outputs 3 x 4; the last ReLU (16), as `linear` looks at
    # it, is recomputed too. Without: 8 + 12 + 16 of concatenations, each with a ReLU.
    sums = 4 * 2 * (4 + 8 + 12 + 16)
    kept = 4 * 8 * (64 + 36 * (4 + 4 + 3 * 4)) + sums
    plain = 4 * 8 * (64 + 36 * (4 + 4 + 2 * (8 + 12 + 16))) + sums
    (line,) = (each for each in Run(run).about()["statements"] if each.startswith("recompute"))
    assert line == (
        f"recompute: concat; a step on 8 images keeps {kept / 1024:.2f} KiB ({kept:,} bytes) for "
        f"its backward pass, and {plain / 1024:.2f} KiB ({plain:,} bytes) without"
    )


def test_where_it_saves_nothing_a_line_says_so(small_file, tmp_path, capsys):
    argv = ["train", str(small_file), "--run", str(tmp_path / "r"), "--recompute", "concat"]
    assert main([*argv, "--epochs", "1", "--threads", "1"]) == 0
    assert (
        "recompute: concat saves nothing: no step would keep a concatenation, or batch norm and "
        "ReLU of one" in capsys.readouterr().out.splitlines()
    )


def test_what_decides_itself_what_is_kept_is_refused():
    for other in ("compile", "fsdp"):
        with pytest.raises(SpecError, match=f"`recompute` does not go with `{other}`"):
            Recipe(recompute="norms", **{other: True})
    with pytest.raises(SpecError, match="concat"):
        Recipe(recompute="concats")


def test_a_run_may_go_on_with_another(tmp_path):
    arch, run = archspec.loads(DENSE), tmp_path / "r"
    archspec.train(arch, run=run, epochs=1, trainer=Seen)
    archspec.train(arch, run=run, epochs=2, resume=True, recompute="norms", trainer=Seen)
    archspec.train(arch, run=tmp_path / "whole")
    one, two = (
        checkpoint.load(r / "checkpoints" / checkpoint.LAST) for r in (run, tmp_path / "whole")
    )
    assert all(torch.equal(one["model"][key], two["model"][key]) for key in one["model"])


def test_batches_that_fit_are_larger(monkeypatch):
    arch, cpu = archspec.loads(DENSE), torch.device("cpu")
    weights = 4 * arch.summary().state_dict_bytes
    free = 2 * saved_bytes(arch.graph, 64, recompute="concat") + weights + 1
    monkeypatch.setattr("archspec.data.memory.free_memory", lambda device: free)
    assert device.fits(arch, 64, cpu, "concat") and not device.fits(arch, 64, cpu)
    probe = tuning.Probe(arch, Recipe(recompute="concat"), cpu, channels_last=False)
    assert probe.net._forward_pre_hooks
