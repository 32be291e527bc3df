"""Exported files compute what the module computes, at every size that they leave open."""

from __future__ import annotations

import hashlib
import json
import math

import numpy
import pytest
import torch

import archspec
from archspec.exporting import agreement, onnx_file

KINDS = {
    "convolutions": "input: [1, 8, 8]\nlayers: [{conv2d: {out_channels: 2, kernel_size: 3}}, "
    "batch_norm, relu, flatten, {linear: 3}]",
    "several": "inputs: {left: [4], right: [4]}\nlayers: [{name: a, add: [left, right]}, "
    "{name: b, linear: 3, from: a}]\noutputs: {added: a, scores: b}",
    "integers": "input: {shape: [5], dtype: int64, below: 7}\n"
    "layers: [{embedding: {num_embeddings: 7, embedding_dim: 4}}, {linear: 2}]",
    "sizes": "sizes: {H: 8, W: 12}\ninput: [1, H, W]\n"
    "layers: [{conv2d: {out_channels: 2, kernel_size: 3, padding: 1}}, relu]",
    "attention": "input: [6, 8]\nlayers: [{multi_head_attention: {num_heads: 2}}]",
    "training": "input: [4]\nlayers: [{name: a, linear: 3}, "
    "{name: aux, linear: 2, training_only: true}, {name: b, linear: 3, from: a}]\n"
    "outputs: {scores: b, aux: aux}",
    "module": "input: [4]\nlayers: [{name: odd, module: torch.nn.Softsign}, {linear: 2}]",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_program_of_each_kind_agrees(kind, tmp_path):
    arch = archspec.loads(KINDS[kind], allow_modules=["torch"])
    made = arch.export(tmp_path / "net.pt2", format="pt2")
    assert made.difference < 1e-6 and made.notes == ()
    assert made.dynamic == (("batch", "H", "W") if kind == "sizes" else ("batch",))
    assert any("H =" in each for each in made.compared) == (kind == "sizes")
    assert [each.name for each in tmp_path.iterdir()] == ["net.pt2"]


MIXED = """\
sizes: {T: 32}
inputs:
  words: {shape: [T], dtype: int64, below: 7}
  marks: [T, 4]
layers:
  - {name: table, embedding: {num_embeddings: 7, embedding_dim: 4}, from: words}
  - {name: both, add: [table, marks]}
  - {name: folded, reshape: ["size('both', 1) // 8", 32]}
  - {name: aux, linear: 2, training_only: true}
  - name: inner
    from: folded
    layers: [{name: scores, linear: 3}]
outputs: {scores: inner, both: both, marks: marks, aux: aux}
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """An ONNX file of several inputs and outputs, integers, and sizes that are multiples."""
    for package in onnx_file.NEEDED:
        pytest.importorskip(package)
    arch = archspec.loads(MIXED)
    path = tmp_path_factory.mktemp("mixed") / "net.onnx"
    return arch, arch.export(path, metadata={"own": "text"})


def test_an_onnx_file_has_the_names_of_the_spec(mixed):
    import onnx

    _, made = mixed
    graph = onnx.load(made.path).graph
    assert [each.name for each in graph.input] == ["words", "marks"]
    assert [each.name for each in graph.output] == ["scores", "both", "marks_output"]
    assert made.outputs == ("scores", "both", "marks_output")
    assert made.notes[0].startswith("the output marks is called marks_output: marks is an input")
    assert {"table.weight", "inner.scores.bias"} <= {each.name for each in graph.initializer}
    assert any(each.name.startswith("inner.scores/") for each in graph.node)
    sizes = [each.dim_param for each in graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", "8*T_8"]


def test_an_onnx_file_carries_its_spec_and_its_sizes(mixed):
    import onnxruntime

    _, made = mixed
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert said["archspec.spec"] == MIXED and said["own"] == "text"
    assert said["archspec.spec_sha256"] == hashlib.sha256(MIXED.encode()).hexdigest()
    assert said["archspec.contract"] == "T a multiple of 8"
    assert json.loads(said["archspec.dynamic"]) == {
        "batch": {"least": 1, "greatest": None, "step": 1},
        "T": {"least": 8, "greatest": None, "step": 8},
    }


def test_an_onnx_file_runs_at_sizes_that_were_not_compared(mixed):
    import onnxruntime

    arch, made = mixed
    assert made.dynamic == ("batch", "T") and made.difference < 1e-5
    assert "batch 1, T = 32" in made.compared and not any("T = 88" in c for c in made.compared)
    words, marks = torch.randint(7, (7, 88)), torch.randn(7, 88, 4)
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    scores, both, same = session.run(None, {"words": words.numpy(), "marks": marks.numpy()})
    net = arch.build(seed=0).eval()
    with torch.no_grad():
        expected = net(words, marks)
    assert scores.shape == (7, 11, 3) and numpy.array_equal(same, marks.numpy())
    assert numpy.allclose(scores, expected["scores"].numpy(), atol=1e-5)
    assert numpy.allclose(both, expected["both"].numpy(), atol=1e-5)


def test_weights_too_many_for_one_file_stand_beside_it(tmp_path, monkeypatch):
    for package in onnx_file.NEEDED:
        pytest.importorskip(package)
    import onnxruntime

    monkeypatch.setattr(onnx_file, "MOST_BYTES", 8_000)
    text = "input: [50]\nlayers: [{name: wide, linear: 50}, {module: torch.nn.Softsign}]"
    arch = archspec.loads(text, allow_modules=["torch"])
    made = arch.export(tmp_path / "net.onnx", opset=18)
    assert made.opset == 18 and made.data == tmp_path / "net.onnx.data"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    assert made.path.stat().st_size < 10_000 <= made.data.stat().st_size
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": numpy.ones((1, 50), numpy.float32)})
    expected = arch.build(seed=0)(torch.ones(1, 50)).detach().numpy()
    assert numpy.allclose(found, expected, atol=1e-5)


def test_nodes_of_a_program_know_the_paths_of_the_spec(tmp_path):
    arch = archspec.loads(KINDS["module"], allow_modules=["torch"])
    arch.export(tmp_path / "net.pt2", format="pt2")
    program = torch.export.load(tmp_path / "net.pt2")
    stacks = [each.meta.get("nn_module_stack", {}) for each in program.graph.nodes]
    assert "odd" in {path for stack in stacks for path, _ in stack.values()}


MIDDLE = """\
sizes: {T: 30}
input: [1, T, 2]
layers:
  - {name: skip, relu: {}}
  - max_pool2d: 2
  - {name: up, conv_transpose2d: {out_channels: 1, kernel_size: 2, stride: 2}}
  - slice:
      dim: 2
      start: (size('skip', 2) - size('up', 2)) // 2
      end: (size('skip', 2) - size('up', 2)) // 2 + size('up', 2)
    from: skip
  - add: [-1, up]
"""


def test_sizes_in_the_middle_of_an_input_stay_open(tmp_path):
    made = archspec.loads(MIDDLE).export(tmp_path / "net.pt2", format="pt2")
    assert made.dynamic == ("batch", "T")
    assert made.notes == ("T ≥ 4 alone: torch.export asks for it",)
    assert len(made.compared) == 4 and "batch 5, T = 4" in made.compared


def test_a_size_that_torch_cannot_follow_keeps_its_stated_one(tmp_path):
    arch = archspec.loads("sizes: {T: 6}\ninput: [T, 4]\nlayers: [{lstm: {hidden_size: 3}}]")
    made = arch.export(tmp_path / "net.pt2", format="pt2")
    assert made.dynamic == ("batch",)
    (note,) = made.notes
    assert note.startswith("T stays 6: torch.export cannot trace the network")
    with pytest.raises(archspec.ExportError, match="cannot trace") as caught:
        arch.export(tmp_path / "other.pt2", format="pt2", dynamic="batch,T")
    assert caught.value.diagnostics[0].help == "leave T out of the dynamic sizes"
    assert [each.name for each in tmp_path.iterdir()] == ["net.pt2"]


def test_code_of_another_package_keeps_the_stated_sizes(tmp_path):
    text = "sizes: {T: 6}\ninput: [T]\nlayers: [{module: torch.nn.Softsign}]"
    arch = archspec.loads(text, allow_modules=["torch"])
    made = arch.export(tmp_path / "net.pt2", format="pt2")
    assert made.dynamic == ("batch",)
    assert made.notes[0].startswith("T: no other sizes, because module: torch.nn.Softsign is code")
    with pytest.raises(archspec.SpecError, match="AS801"):
        arch.export(tmp_path / "net.pt2", format="pt2", dynamic="T")


def test_a_difference_is_measured_by_the_largest_value():
    one, other = torch.tensor([1.0, 4.0]), torch.tensor([1.0, 5.0])
    assert agreement._difference(one, other) == 0.25
    assert math.isinf(agreement._difference(one, one.double()))
    assert math.isinf(agreement._difference(torch.tensor([1, 2]), torch.tensor([1, 3])))
    infinite = torch.tensor([math.inf, 1.0])
    assert agreement._difference(infinite, infinite) == 0
    assert math.isinf(agreement._difference(infinite, -infinite))
