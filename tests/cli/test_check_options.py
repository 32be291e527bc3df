"""`check` with its options together, and the numbers of `evaluate`."""

from __future__ import annotations

import json

from archspec.cli import main

OUTER = "input: [4]\nparams: {width: 2}\nlayers: [{linear: $width}]\n"
SPELT = "extends: ../outer.yaml\nparams: {widht: 3}\n"


def test_a_file_outside_is_fixed_where_it_is_allowed(tmp_path, capsys):
    (tmp_path / "outer.yaml").write_text(OUTER)
    (tmp_path / "inner").mkdir()
    inner = tmp_path / "inner" / "net.yaml"
    inner.write_text(SPELT)
    assert main(["check", "--fix", str(inner)]) == 1
    assert inner.read_text() == SPELT and "AS605" in capsys.readouterr().err
    assert main(["check", "--fix", str(inner), "--allow-outside"]) == 0
    assert inner.read_text() == SPELT.replace("widht", "width")


def test_a_wrong_recipe_is_one_mistake_of_a_spec(tmp_path, capsys):
    spec = tmp_path / "net.yaml"
    spec.write_text("input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\ntrain: {epochs: 0}\n")
    assert main(["check", str(spec), "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["diagnostics"][0]["code"]) == (False, "AS205")
    spec.write_text(spec.read_text().replace("epochs: 0", "epochs: 3"))
    assert main(["check", str(spec)]) == 0


def test_evaluate_tells_the_epoch_of_the_weights(tmp_path, capsys):
    spec, run = tmp_path / "net.yaml", tmp_path / "run"
    spec.write_text(
        "input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\n"
        "train: {dataset: digits, epochs: 2, limit_train: 60, limit_test: 20, threads: 1,\n"
        "        memory_format: contiguous, batch_size: 20}\n"
    )
    assert main(["train", str(spec), "--run", str(run)]) == 0
    capsys.readouterr()
    result = json.loads((run / "result.json").read_text())
    for options, which in ([], "best"), (["--last"], "last"):
        assert main(["evaluate", str(run), "--format", "json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["epoch"] == result[which]["epoch"]
        assert main(["evaluate", str(run), *options]) == 0
        assert f"(weights of epoch {result[which]['epoch']})" in capsys.readouterr().out
    assert result["last"]["epoch"] == 2
