"""Standard input as a spec; output that nobody reads, or that cannot be written."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import archspec
from archspec.cli import main
from archspec.cli.output import columns_of, padded, paint_for

NET = "input: [3]\nlayers: [{linear: 4}]\n"


@pytest.fixture
def given(monkeypatch):
    """Puts a text on standard input."""

    def put(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return put


def test_a_spec_is_read_from_standard_input(given, capsys):
    given(NET.encode())
    assert main(["compile", "-"]) == 0
    assert capsys.readouterr().out == "network: N×3 → N×4, 16 parameters, 12 MACs\n"
    given(b"input: [3]\nlayers: [rellu]\n")
    assert main(["check", "-"]) == 1
    assert capsys.readouterr().err.startswith("<stdin>:2:10: error AS204: 'rellu' is not an op")


def test_standard_input_extends_the_files_of_this_folder_alone(given, capsys, tmp_path):
    (tmp_path / "base.yaml").write_text(NET)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "base.yaml").write_text(NET)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "here")
        given(b"extends: base.yaml\n")
        assert main(["check", "-"]) == 0
        given(b"extends: ../base.yaml\n")
        assert main(["check", "-"]) == 1
        assert "AS605" in capsys.readouterr().err
        given(b"extends: ../base.yaml\n")
        assert main(["check", "-", "--allow-outside"]) == 0


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a" * 5_000_000])
def test_standard_input_may_hold_anything(given, data, capsys):
    given(data)
    assert main(["check", "-"]) == 1
    assert capsys.readouterr().err.startswith("error AS")


def test_a_spec_is_read_from_a_pipe_that_the_user_names(tmp_path, capsys):
    line = f"{sys.executable} -m archspec check <(printf '%s' '{NET}') <(echo 'input: [3]')"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.endswith(": ok, N×3 → N×4, 16 parameters, 12 MACs\n")
    assert "error AS203: the spec has no `layers`" in done.stderr
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_text, args=(NET,), daemon=True).start()
    assert archspec.load(pipe).num_parameters == 16


def test_what_comes_from_a_device_is_bounded(capsys):
    assert main(["check", "/dev/zero"]) == 1
    assert "error AS701: the size of /dev/zero in bytes" in capsys.readouterr().err


@pytest.mark.parametrize("argv", ["list --names", "compile lenet_bn --summary", "schema"])
@pytest.mark.parametrize(
    ("output", "status", "said"),
    [
        (">&-", 0, ""),
        ("> /dev/full", 1, "archspec: error: cannot write the output: No space left on device\n"),
    ],
)
def test_output_that_goes_nowhere(argv, output, status, said):
    if "full" in output and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    line = f"{sys.executable} -m archspec {argv} {output}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, said)


def test_controls_in_the_name_of_a_file_are_shown_and_not_sent(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a\x1b[31mb.yaml").write_text(NET)
    assert main(["check", "a\x1b[31mb.yaml"]) == 0
    assert capsys.readouterr().out.startswith("a\\x1b[31mb.yaml: ok, ")
    Path("a\x1b[31mb.yaml").write_text("input: [3]\n")
    assert main(["check", "a\x1b[31mb.yaml"]) == 1
    assert capsys.readouterr().err.startswith("a\\x1b[31mb.yaml:1:1: error AS203")


def test_progress_of_a_verification_is_for_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["compile", "lenet_bn", "--verify"]) == 0
    said = capsys.readouterr().err
    assert "train(), a batch of 3" in said and said.endswith("\r\x1b[K")


def test_a_machine_without_numpy_is_not_warned_of():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        main(["list", "--names"])
        warnings.warn("Failed to initialize NumPy: No module named 'numpy'", stacklevel=1)
        warnings.warn("another", stacklevel=1)
    assert [str(each.message) for each in seen] == ["another"]


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_when_output_is_coloured(terminal, environment, coloured, monkeypatch):
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    assert paint_for(stream)("warm", "x") == ("\x1b[33mx\x1b[0m" if coloured else "x")


@pytest.mark.parametrize(
    ("text", "width"), [("cat", 3), ("gr\u00fcn", 4), ("gru\u0308n", 4), ("猫", 2), ("ｃat", 4)]
)
def test_columns_that_a_terminal_takes(text, width):
    assert columns_of(text) == width
    assert padded(text, 6) == text + " " * (6 - width)


def test_standard_input_that_cannot_be_read(capsys, monkeypatch):
    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Broken())))
    assert main(["check", "-"]) == 1
    assert (
        capsys.readouterr().err == "error AS601: cannot read standard input: Input/output error\n"
    )
