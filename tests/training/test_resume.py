"""A run that is killed anywhere ends with the weights of one that was not, to the last bit."""

from __future__ import annotations

import json
import random
import signal

import pytest
import torch

from archspec.training.store import checkpoint

# A checkpoint after every step, so that a kill at a random step finds one in mid-epoch.
OPTIONS = [
    "--augment",
    "[random_crop:1]",
    "--ema",
    "0.9",
    "--momentum",
    "0.9",
    "--optimizer",
    "sgd",
]
OPTIONS += ["--schedule", "cosine", "--lr", "0.05", "--memory-format", "contiguous"]


@pytest.fixture
def command(small_file, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("{save_every: 0.001, log_every: 0.001}")

    def make(name, *more):
        argv = ["train", str(small_file), "--run", str(tmp_path / name), "--config", str(config)]
        return {"argv": [*argv, *OPTIONS, *more], "log": str(tmp_path / f"{name}.log")}

    return make


def final(folder):
    return checkpoint.load(folder / "checkpoints" / checkpoint.LAST)


def assert_same(one, other, path=""):
    """Equal trees, every tensor to the last bit; times and the run's id are no part of it."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            if key not in ("examples_per_second", "seconds", "run"):
                assert_same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), path
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{path}.{index}")
    else:
        assert one == other, path


def test_killed_at_random_steps_it_ends_with_the_same_bits(command, forks, tmp_path):
    assert forks.run(command("whole")) == [0], (tmp_path / "whole.log").read_text()
    steps = final(tmp_path / "whole")["position"]["step"]
    assert steps == 12  # 90 images in batches of 16, twice
    draw = random.Random(5)
    left, kills = steps, 0
    while left > 1:
        at = draw.randint(1, left)
        job = command("cut", *(["--resume"] if kills else []))
        assert forks.run({**job, "kill_at": at}) == [-signal.SIGKILL]
        left, kills = left - at + 1, kills + 1
        if kills > 5:
            break
    assert kills >= 3
    assert forks.run(command("cut", "--resume")) == [0], (tmp_path / "cut.log").read_text()
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    best = [
        checkpoint.load(tmp_path / name / "checkpoints" / "best.safetensors")
        for name in ("whole", "cut")
    ]
    assert_same(*best)
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
        for name in ("whole", "cut")
    ]
    epochs = [[row for row in each if row["kind"] == "epoch"] for each in rows]
    assert_same(*epochs)
    assert [row["step"] for row in rows[1] if row["kind"] == "interval"] == list(range(1, 13))


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(small, tmp_path, monkeypatch):
    """Every prefix of a checkpoint's file operations leaves something sound to go on from."""
    from pathlib import Path

    tree = {"model": {"w": torch.zeros(3)}, "n": 1}
    checkpoint.save_last(tmp_path, tree)
    checkpoint.save_last(tmp_path, {**tree, "n": 2})
    replace, count = Path.replace, 0

    class KilledError(BaseException):
        pass

    for allowed in (0, 1):
        count = 0

        def cut(self, target, allowed=allowed):
            nonlocal count
            if count == allowed:
                raise KilledError
            count += 1
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", cut)
        with pytest.raises(KilledError):
            checkpoint.save_last(tmp_path, {**tree, "n": 3})
        monkeypatch.undo()
        found, wrong = checkpoint.load_newest(tmp_path)
        missing = [f"{tmp_path / checkpoint.LAST} is missing"] * allowed
        assert (found["n"], wrong) == (2, missing)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_stops(number, status, command, forks, tmp_path):
    name = f"stopped{number}"
    job = {**command(name), "signal_at": [number, 4]}
    assert forks.run(job) == [status]
    said = (tmp_path / f"{name}.log").read_text().splitlines()[-1]
    word = signal.Signals(number).name
    assert said == f"archspec train: {word}: saved and stopped after step 4; go on with --resume"
    assert final(tmp_path / name)["position"] == {"epoch": 0, "batch": 4, "step": 4}


def test_a_signal_to_the_whole_group_saves_and_ends_the_workers(command, forks, tmp_path):
    """As Slurm and `timeout` send it: also to the processes that read images."""
    streamed = ["--resident", "false"]
    assert forks.run(command("whole", *streamed)) == [0], (tmp_path / "whole.log").read_text()
    assert forks.run({**command("cut", *streamed), "group_at": 4}) == [143]
    said = (tmp_path / "cut.log").read_text().splitlines()
    assert (
        said[-1] == "archspec train: SIGTERM: saved and stopped after step 4; go on with --resume"
    )
    assert forks.run(command("cut", *streamed, "--resume")) == [0]
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))


def test_a_damaged_checkpoint_is_refused_and_the_one_before_used(command, forks, tmp_path):
    assert forks.run({**command("run"), "signal_at": [signal.SIGTERM, 5]}) == [143]
    last = tmp_path / "run" / "checkpoints" / checkpoint.LAST
    data = bytearray(last.read_bytes())
    data[-9] ^= 1
    last.write_bytes(data)
    assert forks.run(command("run", "--resume")) == [0]
    log = (tmp_path / "run.log").read_text()
    assert (
        f"{last} is damaged: its contents do not match its checksum. The checkpoint before it"
        in log
    )
    assert "resumed after step 4" in log or "resumed after step 5" in log
    assert final(tmp_path / "run")["position"]["step"] == 12


def test_a_run_goes_on_only_as_it_was(command, forks, tmp_path):
    assert forks.run({**command("run"), "signal_at": [signal.SIGTERM, 2]}) == [143]
    assert forks.run(command("run", "--resume", "--batch-size", "8")) == [1]
    assert forks.run(command("run", "--resume", "--set", "num_classes=11")) == [1]
    assert forks.run(command("run")) == [1]
    errors = [line for line in (tmp_path / "run.log").read_text().splitlines() if "error" in line]
    assert "batch_size 16, and cannot go on with 8" in errors[0]
    assert "the network tells 11 classes apart; digits has 10" in errors[1]
    assert "holds a run already" in errors[2]
