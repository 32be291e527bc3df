"""What cannot be exported is refused with one diagnostic, and no file is left."""

from __future__ import annotations

import os

import pytest
import torch

import archspec
from archspec.cli import main
from archspec.exporting import onnx_file, writing

LINEAR = "input: [4]\nlayers: [{linear: 3}]"
SIZES = "sizes: {T: 8}\ninput: [2, T]\nlayers: [relu]"


@pytest.fixture
def refusal(tmp_path):
    """Exports a spec, and gives the one diagnostic of its refusal."""

    def refused(text, name="net.pt2", **options):
        options = {"format": "pt2", **options}
        with pytest.raises(archspec.ExportError) as caught:
            archspec.loads(text, allow_modules=["torch"]).export(tmp_path / name, **options)
        (diagnostic,) = caught.value.diagnostics
        assert list(tmp_path.iterdir()) == []
        return diagnostic

    return refused


def needs_onnx():
    for package in onnx_file.NEEDED:
        pytest.importorskip(package)


def test_a_disagreement_is_refused_with_figures(refusal, monkeypatch):
    made = writing.program_runner

    def wrong(path, outputs):
        run = made(path, outputs)
        return lambda values: {name: 1.5 * each for name, each in run(values).items()}

    monkeypatch.setattr(writing, "program_runner", wrong)
    said = refusal(LINEAR)
    assert said.message.startswith("the exported network does not compute what the module computes")
    assert said.expected == "output 'output' within 0.0001 of its largest value"
    assert said.found == "a difference of 0.5 at batch 1"


def test_a_disagreement_elsewhere_leaves_the_sizes_closed(tmp_path, monkeypatch):
    made = writing.program_runner

    def wrong(path, outputs):
        run = made(path, outputs)
        return lambda values: {
            name: each + (values[0].shape[2] != 8) for name, each in run(values).items()
        }

    monkeypatch.setattr(writing, "program_runner", wrong)
    kept = archspec.loads(SIZES).export(tmp_path / "net.pt2", format="pt2")
    assert kept.dynamic == ("batch",) and kept.notes[0].startswith("T stays 8: the exported net")


def test_an_op_that_onnx_lacks_is_named_with_its_place(refusal):
    needs_onnx()
    text = (
        "input: [2, 8]\nlayers:\n  - {name: first, max_pool1d: 2}\n"
        "  - name: deep\n    layers:\n      - {name: odd, adaptive_max_pool1d: 3}\n"
    )
    said = refusal(text, "net.onnx", format="onnx")
    assert said.message == (
        "torch's ONNX exporter cannot convert adaptive_max_pool2d (of deep.odd)"
    )
    assert said.span is not None and said.span.line == 6
    assert said.help == "use the format pt2"


@pytest.mark.parametrize("opset", [3, 17, 99])
def test_an_operator_set_that_cannot_be_written_is_refused(refusal, opset):
    needs_onnx()
    said = refusal(LINEAR, format="onnx", opset=opset)
    assert said.message == f"the operator set {opset} cannot be written"
    assert said.expected is not None and said.expected.startswith("one from 18 to ")


def test_an_operator_set_of_a_program_is_refused(refusal):
    assert refusal(LINEAR, opset=20).message == "only ONNX has operator sets"


def test_a_size_that_is_not_there_is_refused(refusal):
    said = refusal(SIZES, dynamic="batch,Q")
    assert said.message == "no size is called 'Q'"
    assert said.expected == "names among batch, T"
    assert refusal(LINEAR, dynamic="H").expected == "names among batch, F"


def test_a_size_that_torch_has_no_words_for_is_refused_by_name(refusal):
    text = "sizes: {T: 8}\ninput: [2, T * T]\nlayers: [relu]"
    said = refusal(text, dynamic="batch,T")
    assert said.message == (
        "the size T cannot be left open: a size of an input is no multiple of it alone"
    )


def test_packages_that_are_missing_are_named(refusal, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnx" else name)
    said = refusal(LINEAR, format="onnx")
    assert said.message == "export to ONNX needs packages that are not installed: onnx"
    assert said.help == "`pip install 'archspec-nn[export]'`"


def test_a_file_that_cannot_be_written_is_refused(refusal, tmp_path):
    assert "No such file or directory" in refusal(LINEAR, "none/net.pt2").message
    other = tmp_path.parent / "a_folder.pt2"
    other.mkdir(exist_ok=True)
    assert refusal(LINEAR, other).message.endswith("it is a folder")
    assert refusal(LINEAR, os.devnull).message == "cannot write /dev/null: it is no file"


def test_a_failed_export_keeps_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "net.pt2"
    path.write_text("earlier")

    def full(program, path, metadata):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_program", full)
    with pytest.raises(archspec.ExportError, match=r"cannot write .*No space left on device"):
        archspec.loads(LINEAR).export(path, format="pt2")
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]


def test_a_fault_of_the_program_is_not_taken_for_a_refusal(tmp_path, monkeypatch):
    def broken(path, outputs):
        raise RuntimeError("planted")

    monkeypatch.setattr(writing, "program_runner", broken)
    with pytest.raises(RuntimeError, match="planted"):
        archspec.loads(LINEAR).export(tmp_path / "net.pt2", format="pt2")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_one_thing_and_fails(tmp_path, capsys):
    spec = tmp_path / "s.yaml"
    spec.write_text(LINEAR)
    file = str(tmp_path / "net.pt2")
    command = ["export", str(spec), "--format", "pt2"]
    assert main([*command, "-o", file, "--dynamic", "Q"]) == 1
    assert "error AS803: no size is called 'Q'" in capsys.readouterr().err
    assert main([*command, "-o", file, "--dynamic", "none", "--json"]) == 0
    assert torch.export.load(file).module()(torch.ones(1, 4)).shape == (1, 3)
