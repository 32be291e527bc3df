"""Commands on real specs: what they print where, and their exit status."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import archspec
from archspec.cli import BROKEN_PIPE, INTERRUPTED, main
from archspec.verify import Mismatch, Report

GOOD = """\
archspec: 1
name: good
input: [4]
params: {width: 6, act: relu}
layers:
  - linear: width
  - $act
  - layers: [{linear: 2}]
    name: head
"""
GOOD_SUMMARY = """\
good

Path    Layer      Output  Params  MACs  Share
──────  ─────────  ──────  ──────  ────  ─────
0       linear(6)  N×6         30    24  66.7%
1       relu       N×6          0     0     0%
head    group      N×2         14    12  33.3%
head.0  linear(2)  N×2         14    12  33.3%

Input               N×4
Output              N×2
Parameters          44 (44 trainable, 0 not)
Buffers             0
MACs                36
Activations         168 bytes at batch size 3
Saved for backward  120 bytes at batch size 3
State dict          176 bytes

MACs: multiply-accumulates of convolutions, linear layers and matrix products,
for one sample in evaluation; all else is 0. Activations: what the nodes'
outputs occupy after one training forward pass; saved for backward: what
autograd keeps of it, parameters left out. Both count distinct storages, in
float32. A block's row has the totals of what is inside it; shares are of the
network's MACs.
"""
BAD = """\
archspec: 1
input: [4]
layers:
  - linar: 3
"""
WARNS = """\
archspec: 1
input: [4]
params: {unused: 3}
layers: [{linear: 2}]
"""


@pytest.fixture(autouse=True)
def specs(tmp_path, monkeypatch):
    for name, text in (("good", GOOD), ("bad", BAD), ("warns", WARNS)):
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)


def run(capsys, *argv: str) -> tuple[int, str, str]:
    status = main(argv)
    streams = capsys.readouterr()
    return status, streams.out, streams.err


def shell(*argv: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archspec", *argv], capture_output=True, text=True, **more
    )


# --- compile -------------------------------------------------------------------------------------


def test_a_line_of_figures(capsys):
    assert run(capsys, "compile", "good.yaml") == (
        0,
        "good: N×4 → N×2, 44 parameters, 36 MACs\n",
        "",
    )


def test_summary(capsys):
    # By hand, in floats a sample: outputs 6 + 6 + 2; saved are the input 4 and relu's output 6.
    argv = ("compile", "good.yaml", "--summary", "--batch-size", "3")
    assert run(capsys, *argv) == (0, GOOD_SUMMARY, "")


def test_summary_folded(capsys):
    _, out, _ = run(capsys, "compile", "good.yaml", "--summary", "--depth", "1")
    assert "head  " in out and "head.0" not in out


def test_summary_in_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run(capsys, "compile", "torchvision/densenet121", "--summary")
    assert "features.denseblock4.denselayer16.norm1  " in out
    monkeypatch.setenv("COLUMNS", "nonsense")
    _, out, _ = run(capsys, "compile", "torchvision/densenet121", "--summary")
    assert max(map(len, out.splitlines())) <= 80


def test_settings_and_input(capsys):
    argv = ("compile", "good.yaml", "--set", "width=3", "--set", "act=gelu", "--input", "5")
    assert run(capsys, *argv)[1] == "good: N×5 → N×2, 26 parameters, 21 MACs\n"
    argv = ("compile", "good.yaml", "--set", "act={leaky_relu: {negative_slope: 0.3}}", "--summary")
    assert "leaky_relu(0.3)" in run(capsys, *argv)[1]
    named = ("compile", "good.yaml", "--input", "input=5")
    assert run(capsys, *named)[1].startswith("good: N×5 →")


def test_figures_show_a_type_other_than_float(capsys, tmp_path):
    path = tmp_path / "typed.yaml"
    path.write_text(
        "inputs: {x: [4], t: {shape: [6], dtype: int64}}\nlayers: [relu]\noutputs: {y: 0, t: t}\n"
    )
    line = "x N×4, t N×6 int64 → y N×4, t N×6 int64, 0 parameters, 0 MACs\n"
    assert run(capsys, "compile", str(path)) == (0, f"typed: {line}", "")
    assert run(capsys, "check", str(path)) == (0, f"{path}: ok, {line}", "")
    data = json.loads(run(capsys, "compile", str(path), "--format", "json")[1])
    assert data["input_dtype"] == {"x": "float", "t": "int64"}
    data = json.loads(run(capsys, "compile", str(path), "--summary", "--format", "json")[1])
    assert data["output_dtypes"] == {"y": "float", "t": "int64"}
    assert data["layers"][0]["output_dtypes"] == ["float"]
    given = run(capsys, "compile", str(path), "--input", "t=2x3")[1]
    assert given.startswith("typed: x N×4, t N×2×3 int64 → ")


@pytest.mark.parametrize("setting", ["width=", "width=[1", "widht=3", "width=wide"])
def test_wrong_settings(setting, capsys):
    status, out, err = run(capsys, "compile", "good.yaml", "--set", setting)
    assert (status, out) == (1, "")
    assert "error AS" in err


def test_json_names_are_those_of_the_python_api(capsys):
    arch = archspec.load("good.yaml")
    _, out, _ = run(capsys, "compile", "good.yaml", "--format", "json")
    figures = json.loads(out)
    assert figures.keys() == {
        "name",
        "input_shape",
        "output_shape",
        "input_dtype",
        "output_dtype",
        "num_parameters",
        "macs",
        "warnings",
    }
    _, out, _ = run(capsys, "compile", "good.yaml", "--summary", "--format", "json")
    summary = json.loads(out)
    for data in (figures, summary):
        assert data["name"] == arch.name
        assert tuple(data["input_shape"]) == arch.input_shape
        assert tuple(data["output_shape"]) == arch.output_shape
        assert data["num_parameters"] == arch.num_parameters == 44
        assert data["macs"] == arch.macs == 36
        assert data["warnings"] == []
    assert len(summary["layers"]) == len(arch.layers) == 3
    for data, layer in zip(summary["layers"], arch.layers, strict=True):
        assert data["path"] == layer.path
        assert data["op"] == layer.op
        assert tuple(data["output_shape"]) == layer.output_shape
        assert (data["num_parameters"], data["macs"]) == (layer.num_parameters, layer.macs)
        assert data["span"]["line"] == layer.span.line


def test_a_wrong_spec(capsys):
    status, out, err = run(capsys, "compile", "bad.yaml", "--summary")
    assert (status, out) == (1, "")
    assert err.startswith("bad.yaml:4:5: error AS204: ")
    assert "  4 |   - linar: 3\n" in err and "did you mean 'linear'?" in err


def test_a_wrong_spec_as_json(capsys):
    status, out, err = run(capsys, "compile", "bad.yaml", "--format", "json")
    (diagnostic,) = json.loads(out)["diagnostics"]
    assert (status, diagnostic["code"], diagnostic["span"]["line"]) == (1, "AS204", 4)
    assert err.startswith("bad.yaml:4:5: error AS204: ")


@pytest.mark.parametrize("spec", ["absent.yaml", ".", "good.yaml/x", "\0"])
def test_a_spec_that_cannot_be_read(spec, capsys):
    status, out, err = run(capsys, "compile", spec)
    assert (status, out) == (1, "")
    assert "error AS601: " in err


def test_warnings_go_to_standard_error(capsys):
    status, out, err = run(capsys, "compile", "warns.yaml")
    assert (status, out) == (0, "warns: N×4 → N×2, 10 parameters, 8 MACs\n")
    assert err.startswith("warns.yaml:3:10: warning AS902: ")
    _, out, err = run(capsys, "compile", "warns.yaml", "--format", "json")
    assert json.loads(out)["warnings"][0]["code"] == "AS902" and err == ""


def test_verify(capsys):
    status, out, err = run(capsys, "compile", "good.yaml", "--verify", "--device", "cpu")
    assert (status, err) == (0, "")
    assert out.startswith("verified: ")
    status, out, _ = run(capsys, "compile", "good.yaml", "--verify", "--summary")
    assert status == 0 and out.startswith("good\n\nPath") and "\n\nverified: " in out
    status, out, _ = run(capsys, "compile", "good.yaml", "--verify", "--format", "json")
    assert status == 0 and json.loads(out)["verify"]["ok"] is True


def test_verify_that_fails(capsys, monkeypatch):
    report = Report([Mismatch("0", "shape", "(2, 6)", "(2, 7)")], Counter(shapes=1))
    monkeypatch.setattr("archspec.verify.verify", lambda graph, **options: report)
    status, out, err = run(capsys, "compile", "good.yaml", "--verify")
    assert (status, out) == (1, "")
    assert "(2, 7)" in err
    status, out, err = run(capsys, "compile", "good.yaml", "--verify", "--format", "json")
    assert status == 1 and json.loads(out)["verify"]["mismatches"] and "(2, 7)" in err


@pytest.mark.parametrize("device", ["meta", "nonsense", "cuda:99"])
def test_devices_that_cannot_run_are_wrong_usage(device, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compile", "good.yaml", "--verify", "--device", device])
    assert stop.value.code == 2
    assert f"archspec compile: error: --device {device}: " in capsys.readouterr().err


# --- the other commands --------------------------------------------------------------------------


def test_check(capsys):
    status, out, err = run(capsys, "check", "bad.yaml", "good.yaml", "warns.yaml", "absent.yaml")
    assert status == 1
    assert out == (
        "good.yaml: ok, N×4 → N×2, 44 parameters, 36 MACs\n"
        "warns.yaml: ok, N×4 → N×2, 10 parameters, 8 MACs\n"
    )
    assert re.findall("(?:error|warning) AS[0-9]+", err) == [
        "error AS204",
        "warning AS902",
        "error AS601",
    ]
    assert run(capsys, "check", "good.yaml", "warns.yaml")[0] == 0


def test_check_as_json(capsys):
    status, out, _ = run(capsys, "check", "bad.yaml", "good.yaml", "--format", "json")
    bad, good = json.loads(out)
    assert status == 1
    assert (bad["spec"], bad["ok"], bad["diagnostics"][0]["code"]) == ("bad.yaml", False, "AS204")
    assert (good["ok"], good["num_parameters"], good["diagnostics"]) == (True, 44, [])


def test_files_outside_the_folder_need_leave(tmp_path, capsys):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "variant.yaml").write_text("extends: ../good.yaml\nparams: {width: 3}\n")
    for command in ("compile", "check", "expand"):
        status, out, err = run(capsys, command, "inner/variant.yaml")
        assert (status, out) == (1, "") and "error AS605" in err
        assert run(capsys, command, "inner/variant.yaml", "--allow-outside")[0] == 0


def test_expand(capsys, tmp_path):
    status, out, err = run(capsys, "expand", "good.yaml", "--set", "width=7")
    assert (status, err) == (0, "")
    again = archspec.loads(out)
    assert (again.num_parameters, again.macs) == (7 * 5 + 2 * 8, 7 * 4 + 2 * 7)
    assert "width" not in out
    assert run(capsys, "expand", "bad.yaml")[:2] == (1, "")


def test_list(capsys):
    status, out, err = run(capsys, "list")
    assert (status, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split() == ["Spec", "Input", "Output", "Params", "MACs"]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert tuple(rows) == archspec.bundled()
    assert rows["densenet"] == ["1×96×96", "10", "758,226", "129,077,168"]
    assert all(len(line) <= 80 for line in lines)
    assert len({len(line) for line in lines}) == 1
    _, names, _ = run(capsys, "list", "--names")
    assert tuple(names.split()) == archspec.bundled()
    _, data, _ = run(capsys, "list", "--name", "densenet", "--format", "json")
    densenet = next(row for row in json.loads(data) if row["spec"] == "densenet")
    assert (densenet["num_parameters"], densenet["macs"]) == (758_226, 129_077_168)


def test_list_of_ops(capsys):
    status, out, _ = run(capsys, "list", "--ops")
    assert status == 0
    ops, blocks = out.split("Blocks\n")
    assert re.search(r"^  conv2d +\S", ops, re.MULTILINE)
    assert re.search(r"^  residual +\S", blocks, re.MULTILINE)
    _, data, _ = run(capsys, "list", "--ops", "--format", "json")
    entries = {entry["name"]: entry for entry in json.loads(data)}
    assert entries["linear"]["arguments"] == ["out_features", "bias"]
    assert entries["residual"]["kind"] == "block"


# --- the process ---------------------------------------------------------------------------------


def test_exit_status_of_the_process():
    assert shell("compile", "good.yaml").returncode == 0
    failed = shell("compile", "bad.yaml")
    assert (failed.returncode, failed.stdout) == (1, "")
    wrong = shell("compile", "good.yaml", "--nonsense")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_an_output_without_the_letters():
    result = shell(
        "compile", "good.yaml", "--summary", env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert result.returncode == 0
    assert "Output              Nx2" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_reader_that_goes_away():
    process = subprocess.Popen(
        [sys.executable, "-m", "archspec", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == BROKEN_PIPE


def test_control_c(monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)  # Python looks for signals here, not at once

    monkeypatch.setattr(archspec, "load", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    try:
        assert run(capsys, "compile", "good.yaml") == (INTERRUPTED, "", "")
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(archspec, "load", broken)
    with pytest.raises(ZeroDivisionError):
        main(["compile", "good.yaml"])


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_gets_the_same_table_in_colour():
    import pty

    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    argv = [sys.executable, "-m", "archspec", "compile", "good.yaml", "--summary"]
    argv += ["--batch-size", "3"]
    result = subprocess.run(argv, stdout=child, stderr=subprocess.PIPE, env=environment)
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert (result.returncode, result.stderr) == (0, b"")
    text = shown.decode().replace("\r\n", "\n")
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    strip = [line.rstrip() for line in plain.splitlines()]
    assert strip == [line.rstrip() for line in GOOD_SUMMARY.splitlines()]
