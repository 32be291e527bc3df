"""A run that begins with trained weights: what it takes, what it draws, and how it goes on."""

from __future__ import annotations

import json

import pytest
import torch
from tests_train_spec import SMALL

import archspec
from archspec.cli import main
from archspec.training.errors import TrainingError
from archspec.training.loop import Trainer
from archspec.training.store import checkpoint
from archspec.weights import WeightsError


def written(arch, path):
    """Weights that no seed draws, in a file."""
    given = {key: torch.full_like(v, 2) for key, v in arch.build(seed=0).state_dict().items()}
    torch.save(given, path)
    return given, path


@pytest.fixture
def trained(small, tmp_path):
    return written(small, tmp_path / "given.pt")


@pytest.fixture
def of_twelve(tmp_path):
    """Weights of the network with another head."""
    return written(archspec.loads(SMALL, params={"num_classes": 12}), tmp_path / "twelve.pt")


@pytest.fixture
def beginning():
    """A trainer, and the weights that its network had before the first step."""
    seen = {}

    class Peeking(Trainer):
        def fit(self) -> None:
            seen.update({key: value.clone() for key, value in self.net.state_dict().items()})
            super().fit()

    return Peeking, seen


def about(run):
    return json.loads((run / "run.json").read_text())


def test_a_run_begins_with_the_given_weights(small, trained, beginning, tmp_path):
    (given, file), (trainer, seen) = trained, beginning
    archspec.train(small, run=tmp_path / "run", weights=file, trainer=trainer, epochs=1)
    assert seen.keys() == given.keys()
    assert all(torch.equal(seen[key], value) for key, value in given.items())
    record = about(tmp_path / "run")["weights"]
    assert record["source"] == str(file) and record["taken"] == len(given)
    assert record["drawn"] == []


def test_what_does_not_fit_is_drawn_from_the_seed(small, of_twelve, beginning, tmp_path):
    (given, file), (trainer, seen) = of_twelve, beginning
    more = {"weights": file, "partial": True, "seed": 3, "epochs": 1}
    archspec.train(small, run=tmp_path / "run", trainer=trainer, **more)
    drawn = small.build(seed=3).state_dict()
    for key, value in seen.items():
        assert torch.equal(value, drawn[key] if key.startswith("5.") else given[key]), key
    assert about(tmp_path / "run")["weights"]["drawn"] == ["5.weight", "5.bias"]


def test_weights_that_do_not_fit_leave_no_run_behind(small, of_twelve, tmp_path):
    with pytest.raises(WeightsError, match="do not fit small: nothing is loaded"):
        archspec.train(small, run=tmp_path / "run", weights=of_twelve[1])
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_its_file_to_the_same_bits(small, trained, tmp_path):
    more = {"weights": trained[1], "schedule": "constant"}
    archspec.train(small, run=tmp_path / "whole", **more)
    archspec.train(small, run=tmp_path / "cut", epochs=1, **more)
    trained[1].unlink()
    archspec.train(small, run=tmp_path / "cut", resume=True, **more)
    ends = [tmp_path / name / "checkpoints" / checkpoint.LAST for name in ("whole", "cut")]
    one, other = (checkpoint.load(path)["model"] for path in ends)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_does_not_go_on_with_other_weights(small, trained, tmp_path, begun):
    file = trained[1]
    archspec.train(small, run=tmp_path / "run", epochs=1, weights=file if begun else None)
    asked = tmp_path / "other.pt" if begun else file
    before = f"the weights {file}" if begun else "weights drawn from its seed"
    with pytest.raises(TrainingError) as error:
        archspec.train(small, run=tmp_path / "run", resume=True, weights=asked)
    assert f"was begun with {before}, and cannot go on with {asked}" in str(error.value)


@pytest.mark.parametrize("option", [["--partial"], ["--weights-map", "a=b"]])
def test_options_of_weights_need_weights(small_file, capsys, option):
    with pytest.raises(SystemExit):
        main(["train", str(small_file), *option])
    assert f"{option[0]} needs --weights" in capsys.readouterr().err


def test_the_command_line_says_what_was_taken(small_file, trained, tmp_path, capsys):
    argv = ["train", str(small_file), "--epochs", "1", "--run", str(tmp_path / "run")]
    assert main([*argv, "--weights", str(trained[1])]) == 0
    assert f"weights {trained[1]}: 9 of 9 keys match\n" in capsys.readouterr().out
