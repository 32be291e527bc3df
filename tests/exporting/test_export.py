"""Exported files compute what the module computes, and are there whole or not at all."""

from __future__ import annotations

import pytest
import torch

import archspec
from archspec.cli import main
from archspec.exporting import agreement, network

KINDS = {
    "convolutions": "input: [1, 8, 8]\nlayers: [{conv2d: {out_channels: 2, kernel_size: 3}}, "
    "batch_norm, relu, flatten, {linear: 3}]",
    "several": "inputs: {left: [4], right: [4]}\nlayers: [{name: a, add: [left, right]}, "
    "{name: b, linear: 3, from: a}]\noutputs: {a: a, b: b}",
    "integers": "input: {shape: [5], dtype: int64, below: 7}\n"
    "layers: [{embedding: {num_embeddings: 7, embedding_dim: 4}}, {linear: 2}]",
    "sizes": "sizes: {H: 8, W: 12}\ninput: [1, H, W]\n"
    "layers: [{conv2d: {out_channels: 2, kernel_size: 3, padding: 1}}, relu]",
    "attention": "input: [6, 8]\nlayers: [{multi_head_attention: {num_heads: 2}}]",
}


@pytest.mark.parametrize("form", ["onnx", "pt2"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_small_spec_of_each_kind_agrees(kind, form, tmp_path):
    if form == "onnx":
        for package in network.NEEDED:
            pytest.importorskip(package)
    made = archspec.loads(KINDS[kind]).export(tmp_path / f"net.{form}", format=form)
    assert made.difference < 1e-5 and made.notes == ()
    assert made.dynamic == (("batch", "H", "W") if kind == "sizes" else ("batch",))
    assert any("H =" in each for each in made.compared) == (kind == "sizes")
    assert [each.name for each in tmp_path.iterdir()] == [f"net.{form}"]


def test_a_disagreement_is_refused_and_leaves_no_file(tmp_path, monkeypatch):
    def wrong(path, outputs):
        return lambda values: {"output": torch.zeros(len(values[0]), 3)}

    monkeypatch.setattr(network, "program_runner", wrong)
    with pytest.raises(archspec.ExportError, match="does not compute what the module computes"):
        archspec.loads(KINDS["convolutions"]).export(tmp_path / "n.pt2", format="pt2")
    assert list(tmp_path.iterdir()) == []


def test_refusals_say_what_is_wrong(tmp_path, monkeypatch):
    arch = archspec.loads(KINDS["several"])
    with pytest.raises(archspec.ExportError, match="no size is called 'Q'"):
        archspec.loads(KINDS["sizes"]).export(tmp_path / "n.pt2", format="pt2", dynamic="Q")
    with pytest.raises(archspec.ExportError, match=r"cannot write .*No such file"):
        arch.export(tmp_path / "none" / "n.pt2", format="pt2")
    with pytest.raises(archspec.ExportError, match="only ONNX has operator sets"):
        arch.export(tmp_path / "n.pt2", format="pt2", opset=20)
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    with pytest.raises(archspec.ExportError, match="not installed: onnx, onnxscript"):
        arch.export(tmp_path / "n.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_difference_is_measured_by_the_largest_value():
    one, other = torch.tensor([1.0, 4.0]), torch.tensor([1.0, 5.0])
    assert agreement._difference(one, other) == 0.25
    assert agreement._difference(one, one.double()) == float("inf")


def test_a_trained_run_exports_in_one_command(tmp_path):
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\n"
        "train: {dataset: digits, batch_size: 16, epochs: 1, limit_train: 40, limit_test: 20}\n"
    )
    run, file = str(tmp_path / "run"), tmp_path / "net.pt2"
    assert main(["train", str(spec), "--run", run, "--threads", "1"]) == 0
    assert main(["export", run, "--format", "pt2", "-o", str(file)]) == 0
    extra = {"archspec.json": ""}
    torch.export.load(file, extra_files=extra)
    assert '\\"height\\": 8' in extra["archspec.json"] and "spec_sha256" in extra["archspec.json"]
