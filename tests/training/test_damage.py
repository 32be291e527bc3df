"""Whatever is done to a run's files, each command says so, and no bug hides behind that."""

from __future__ import annotations

import json
import shutil

import fuzz_runs
import pytest
import torch

from archspec.cli import main
from archspec.recipe import layers
from archspec.training import resume, state, trained_network
from archspec.training.store import checkpoint, records, trees
from archspec.training.store.checkpoint import DamagedError
from archspec.training.store.runs import Run

OPTIONS = ["--memory-format", "contiguous", "--threads", "1", "--epochs", "2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    from tests_train_spec import SMALL

    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(SMALL)
    for name, seed in (("run", "0"), ("other", "1")):
        argv = ["train", str(folder / "small.yaml"), "--run", str(folder / name), *OPTIONS]
        assert main([*argv, "--seed", seed]) == 0
    return folder


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def said(whole, run, capsys):
    """Runs a command on the run; its status, and what it says on standard error."""

    def say(command, *more):
        capsys.readouterr()
        argv = {
            "resume": ["train", str(whole / "small.yaml"), "--run", str(run), *OPTIONS, "--resume"],
            "evaluate": ["evaluate", str(run)],
            "predict": ["predict", str(run), str(run / "confusion.png")],
            "runs": ["runs", str(run)],
        }[command]
        status = main([*argv, *more])
        streams = capsys.readouterr()
        return status, streams.out + streams.err

    return say


def test_damaged_runs_give_diagnostics():
    result = fuzz_runs.fuzz(seed=7, numbers=range(60))
    assert result.findings == {}, str(result)
    assert result.outcomes["refused"] >= 15 and result.outcomes["accepted"] >= 15


def test_the_fuzzer_notices_what_is_not_checked(monkeypatch):
    monkeypatch.setattr(records, "read", lambda kind, path, data: json.loads(data))
    monkeypatch.setattr(trees, "check_form", lambda *given: None)
    monkeypatch.setattr(resume, "check_form", lambda *given: None)
    monkeypatch.setattr(trained_network, "check_form", lambda *given: None)
    assert len(fuzz_runs.fuzz(seed=6, numbers=range(60)).findings) >= 3


READERS = {
    "the bytes of a file": (Run, "_read", ("resume", "evaluate", "predict", "runs")),
    "run.json": (records, "read", ("resume", "evaluate", "predict", "runs")),
    "config.yaml": (layers, "read_layer", ("resume", "evaluate", "predict", "runs")),
    "a checkpoint": (checkpoint, "load", ("resume", "evaluate", "predict")),
    "its form": (trained_network, "check_form", ("evaluate", "predict")),
    "what it belongs to": (resume, "check_belongs", ("resume",)),
    "its weights": (state, "load_weights", ("resume", "evaluate", "predict")),
}


@pytest.mark.parametrize("what", READERS)
def test_a_bug_in_a_reader_surfaces(what, said, monkeypatch):
    where, name, commands = READERS[what]

    def planted(*given, **more):
        raise RuntimeError("planted")

    monkeypatch.setattr(where, name, planted)
    for command in commands:
        with pytest.raises(RuntimeError, match="planted"):
            said(command)


def test_a_weight_of_another_shape_or_dtype_is_never_stretched(run, said):
    path = run / "checkpoints" / checkpoint.BEST
    tree = checkpoint.load(path)
    for weight, what in (
        (torch.ones(1), r"(1,) of torch.float32"),
        (torch.ones(4, 1, 3, 3, dtype=torch.float64), r"(4, 1, 3, 3) of torch.float64"),
    ):
        name = next(name for name, value in tree["model"].items() if value.ndim == 4)
        checkpoint.save(path, {**tree, "model": {**tree["model"], name: weight}})
        status, text = said("evaluate")
        assert status == 1
        assert f"{name} is {what} instead of (4, 1, 3, 3) of torch.float32" in text
    del tree["model"][name]
    checkpoint.save(path, tree)
    assert f"{name} is only in the network" in said("predict")[1]


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("checkpoints/last.safetensors", "resume"),
        ("checkpoints/best.safetensors", "evaluate"),
        ("checkpoints/best.safetensors", "predict"),
        ("run.json", "resume"),
        ("run.json", "evaluate"),
        ("result.json", "runs"),
        ("metrics.jsonl", "resume"),
    ],
)
def test_another_run_s_file_is_refused(file, command, whole, run, said):
    shutil.copy(whole / "other" / file, run / file)
    status, text = said(command)
    assert status == 1
    assert "belongs to another run" in text and file.rpartition("/")[2] in text


@pytest.mark.parametrize("command", ["resume", "evaluate", "predict"])
def test_an_edited_recipe_is_refused_with_what_differs(command, run, said):
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.01 ", "lr: 0.5 "))
    status, text = said(command)
    assert status == 1
    assert f"{config} was changed since the run was begun, which had lr 0.01, not 0.5" in text


def test_an_edited_spec_is_refused(run, said):
    with (run / "spec.yaml").open("a") as file:
        file.write("# mine\n")
    assert "spec.yaml is not the spec that the run was trained with" in said("evaluate")[1]


@pytest.mark.parametrize("edit", ["two", "swapped"])
def test_other_class_names_are_refused(edit, run, said):
    path = run / "run.json"
    about = json.loads(path.read_text())
    names = about["classes"]
    about["classes"] = names[:2] if edit == "two" else names[::-1]
    path.write_text(json.dumps(about))
    assert "names other classes than its checkpoints" in said("predict")[1]


def test_a_run_without_its_recipe_is_not_begun_anew(run, said):
    (run / "config.yaml").unlink()
    before = (run / "metrics.jsonl").read_text()
    status, text = said("resume")
    assert status == 1 and "config.yaml" in text
    assert (run / "metrics.jsonl").read_text() == before
    assert said("evaluate")[0] == 1
    status, text = said("runs")
    assert status == 1 and "config.yaml" in text


def test_a_run_without_checkpoints_keeps_its_figures(run, said):
    shutil.rmtree(run / "checkpoints")
    before = (run / "metrics.jsonl").read_text()
    status, text = said("resume")
    assert status == 1 and "has no checkpoint to go on from, but result.json" in text
    (run / "config.yaml").unlink()
    (run / "checkpoints").mkdir()
    (run / "result.json").unlink()
    assert "has no checkpoint to go on from, but metrics.jsonl" in said("resume")[1]
    assert (run / "metrics.jsonl").read_text() == before


def test_a_broken_line_of_metrics_loses_no_other(run, said):
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    lines[1] = lines[1][:-9]
    metrics.write_text("\n".join(lines) + "\n")
    for command in ("resume", "runs"):
        status, text = said(command)
        assert status == 1
        assert f"{metrics}:2 is damaged: Invalid JSON" in text and "Without that line" in text
    assert metrics.read_text().splitlines() == lines
    del lines[1]
    metrics.write_text("\n".join(lines) + "\n")
    status, text = said("resume")
    assert status == 0 and f"{metrics} lacked epoch 1: put there again" in text
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [1, 2]


def test_a_last_line_that_was_cut_off_is_left_out(run, said):
    metrics = run / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole + '{"kind": "interval", "ep')
    assert said("runs")[0] == 0
    assert len(list(Run(run).rows())) == len(whole.splitlines())
    assert said("resume")[0] == 0
    assert metrics.read_text() == whole


def test_a_lost_file_of_metrics_comes_back_from_the_checkpoint(run, said):
    rows = list(Run(run).rows("epoch"))
    (run / "metrics.jsonl").unlink()
    assert "metrics.jsonl: No such file" in said("runs")[1]
    status, text = said("resume")
    assert status == 0 and "lacked epoch 1, 2: put there again" in text
    assert list(Run(run).rows("epoch")) == rows


def test_other_weights_than_asked_for_are_told_of(run, said):
    (run / "checkpoints" / checkpoint.BEST).unlink()
    last = run / "checkpoints" / checkpoint.LAST
    first_was_best = {"accuracy": 1.0, "loss": 0.5, "epoch": 1}
    checkpoint.save(last, {**checkpoint.load(last), "best": first_was_best})
    status, text = said("evaluate")
    assert status == 0 and "best.safetensors is missing: the last weights stand in" in text
    status, text = said("resume")
    assert status == 0 and "The last weights stand in for the best" in text
    result = json.loads((run / "result.json").read_text())
    assert result["best"] == result["last"] and result["best"]["epoch"] == 2
    (run / "checkpoints" / checkpoint.LAST).unlink()
    status, text = said("evaluate", "--last")
    assert status == 0 and "last.safetensors is missing. The checkpoint before it" in text


def test_a_checkpoint_of_another_version_says_so(run, said, monkeypatch):
    for name in (checkpoint.LAST, checkpoint.PREVIOUS, checkpoint.BEST):
        tree = checkpoint.load(run / "checkpoints" / name)
        with monkeypatch.context() as older:
            older.setattr(checkpoint, "FORMAT", 1)
            checkpoint.save(run / "checkpoints" / name, tree)
    for command in ("resume", "evaluate"):
        status, text = said(command)
        assert status == 1
        assert (
            "is of another version of archspec (it has format '1', those of this version '2')"
            in text
        )


def test_a_tree_with_a_sound_checksum_is_checked_too(run):
    path = run / "checkpoints" / checkpoint.LAST
    tree = checkpoint.load(path)
    trees.check_form(trees.Whole, path, tree)
    random = tree["random"]
    wrong = {
        "position": {**tree["position"], "step": -1},
        "history": tree["history"][1:],
        "best": {},
        "ranks": [torch.zeros(3, dtype=torch.uint8)] * 2,
        "sums": torch.zeros(1),
        "random": {**random, "torch": random["torch"][:-1]},
        "optimizer": [],
        "classes": [1, 2],
    }
    for key, value in wrong.items():
        with pytest.raises(DamagedError, match="is damaged: "):
            trees.check_form(trees.Whole, path, {**tree, key: value})
    version, words, gauss = random["python"]
    with pytest.raises(DamagedError, match="stands behind its words"):
        python = [version, [*words[:-1], 700], gauss]
        trees.check_form(trees.Whole, path, {**tree, "random": {**random, "python": python}})


def test_a_folder_in_the_place_of_a_checkpoint_is_told_of_first(run, said):
    previous = run / "checkpoints" / checkpoint.PREVIOUS
    previous.unlink()
    previous.mkdir()
    assert said("evaluate")[0] == 0
    assert f"{previous} is a folder: move it away" in said("resume")[1]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(run, said):
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    (run / "result.json").unlink()
    (run / "metrics.jsonl").write_bytes(b"")
    before = Run(run).about()["run"]
    assert said("resume")[0] == 0
    assert Run(run).about()["run"] != before
    assert said("evaluate")[0] == 0
