"""A trained run as one file, with what it asks of pictures."""

from __future__ import annotations

import json

import numpy
import pytest
import torch

from archspec.cli import main
from archspec.exporting import onnx_file

SPEC = """\
input: [1, 8, 8]
layers: [flatten, {linear: 10}]
train: {dataset: digits, batch_size: 16, epochs: 1, limit_train: 40, limit_test: 20,
  normalize: {mean: [0.25], std: [0.5]}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "s.yaml").write_text(SPEC)
    assert (
        main(["train", str(folder / "s.yaml"), "--run", str(folder / "run"), "--threads", "1"]) == 0
    )
    return folder / "run"


def test_a_run_exports_to_onnx_with_its_preprocessing(run, tmp_path):
    for package in onnx_file.NEEDED:
        pytest.importorskip(package)
    import onnxruntime
    from PIL import Image

    from archspec.training.trained_network import open_trained

    file = tmp_path / "net.onnx"
    assert main(["export", str(run), "-o", str(file)]) == 0
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    asked = json.loads(said["archspec.preprocessing"])
    assert (asked["channels"], asked["height"], asked["width"]) == (1, 8, 8)
    assert said["archspec.spec"] == (run / "spec.yaml").read_text()
    assert json.loads(said["archspec.run"]) == {"name": "run", "epoch": 1}

    pixels = numpy.random.default_rng(0).integers(0, 256, (8, 8), numpy.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    values = pixels.astype(numpy.float32)[None, None] * asked["scale"]
    assert (asked["mean"], asked["std"]) == ([0.25], [0.5])
    values = (values - 0.25) / 0.5
    (logits,) = session.run(None, {"input": values.astype(numpy.float32)})
    likeliest = open_trained(run, device="cpu").predict(tmp_path / "picture.png", most=1)[0]
    assert asked["classes"][int(logits.argmax())] == likeliest.name
    chance = numpy.exp(logits[0] - logits.max()).max() / numpy.exp(logits[0] - logits.max()).sum()
    assert abs(chance - likeliest.probability) < 1e-5


def test_a_run_exports_to_a_program(run, tmp_path):
    file = tmp_path / "net.pt2"
    assert main(["export", str(run), "--format", "pt2", "-o", str(file)]) == 0
    extra = {"archspec.json": ""}
    torch.export.load(file, extra_files=extra)
    said = json.loads(extra["archspec.json"])
    assert json.loads(said["archspec.preprocessing"])["height"] == 8


def test_a_run_has_its_own_weights(run, tmp_path, capsys):
    command = ["export", str(run), "-o", str(tmp_path / "n.onnx"), "--weights", "w.safetensors"]
    with pytest.raises(SystemExit):
        main(command)
    assert "--weights is for a spec: a run has its own" in capsys.readouterr().err
