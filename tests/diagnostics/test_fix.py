"""`archspec check --fix`: certain edits alone, in place, with comments and layout kept."""

from __future__ import annotations

import os
import stat

import pytest

import archspec
from archspec.cli import main
from archspec.diagnostics import fix
from archspec.diagnostics.diagnostic import Edit

WRONG = """\
# my net
input: [3, 32, 32]   # RGB
parmas:
  width: 8           # of the stem

layers:
  - Conv2d: {out_chanels: widht * 2, kernel_size:3, padding: smae,  bias: no}   # the stem
  - {name: bn, batchnorm: , when: ON}
  - linear:10
  - {name: out,   relu: , from: "bn", nmae: x}
"""

MENDED = """\
# my net
input: [3, 32, 32]   # RGB
params:
  width: 8           # of the stem

layers:
  - conv2d: {out_channels: width * 2, kernel_size: 3, padding: same,  bias: false}   # the stem
  - {name: bn, batch_norm: , when: true}
  - linear: 10
  - {name: out,   relu: , from: "bn", nmae: x}
"""


def test_certain_edits_are_made_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(WRONG)
    assert main(["check", "--fix", "net.yaml"]) == 1
    assert (tmp_path / "net.yaml").read_text() == MENDED
    streams = capsys.readouterr()
    assert sorted(streams.out.splitlines()) == sorted(
        [
            "net.yaml:3: parmas → params",
            "net.yaml:7: Conv2d → conv2d",
            "net.yaml:7: no → false",
            "net.yaml:7: out_chanels → out_channels",
            "net.yaml:7: kernel_size:3 → kernel_size: 3",
            "net.yaml:7: widht * 2 → width * 2",
            "net.yaml:7: smae → same",
            "net.yaml:8: batchnorm → batch_norm",
            "net.yaml:8: ON → true",
            "net.yaml:9: linear:10 → linear: 10",
        ]
    )
    # `name` stands there already, so `nmae` is no certain slip of it.
    assert "net.yaml:10:39: error AS202: 'nmae' is not a key of a node" in streams.err


@pytest.mark.parametrize(
    "line",
    [
        "  - reluu",  # relu, relu6 and prelu are as near
        "  - conv4d: {out_channels: 3, kernel_size: 3}",  # conv1d or conv2d
        "  - linear: tenn",
        "  - dropout: on",  # a word of YAML 1.1, but no truth value is expected
        "  - 'linear:10'",  # in quotes it was meant as it is
    ],
)
def test_what_is_not_certain_stays(line, tmp_path, capsys):
    path = tmp_path / "net.yaml"
    text = f"input: [3, 8, 8]\nlayers:\n{line}\n"
    path.write_text(text)
    before = path.stat()
    assert main(["check", "--fix", str(path)]) == 1
    assert path.read_text() == text
    assert path.stat().st_ino == before.st_ino, "an unchanged file is not written"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("- {name: stem, relu: }\n- {tanh: , from: stme}", "stem"),
        ("- {name: stem, relu: }\n- add: [stmm, input]", "stem"),
        ("- {name: halves, chunk: 3}\n- {relu: , from: 'halve[0]'}", None),
        ("- residual: {out_chanels: 3}", "out_channels"),
        ("- vgg_blok: {num_convs: 1, out_channels: 3}", "vgg_block"),
        ("- conv2d: {out_channels: 3, kernel_size: 1, padding_mode: zero}", "zeros"),
        ("- {relu: , training_only: yes}\n- {tanh: , from: input}", "true"),
    ],
)
def test_names_and_words(wrong, right):
    lines = "".join(f"  {line}\n" for line in wrong.split("\n"))
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(f"input: [3, 8, 8]\nlayers:\n{lines}")
    (diagnostic,) = raised.value.diagnostics
    assert [edit.replacement for edit in diagnostic.edits] == ([right] if right else [])


def test_line_ends_mark_mode_and_link_are_kept(tmp_path):
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_bytes(b"\xef\xbb\xbfinput: [3]\r\nlayers:\r\n  - linaer: 4   # caf\xc3\xa9\r\n")
    real.chmod(0o640)
    link.symlink_to(real)
    assert main(["check", "--fix", str(link)]) == 0
    assert real.read_bytes() == (
        b"\xef\xbb\xbfinput: [3]\r\nlayers:\r\n  - linear: 4   # caf\xc3\xa9\r\n"
    )
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert link.is_symlink()


def test_a_failing_write_leaves_the_file_as_it_was(tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.yaml"
    text = "input: [3]\nlayers:\n  - linaer: 4\n"
    path.write_text(text)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["check", "--fix", str(path)]) == 1
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["net.yaml"]
    assert f"error AS601: cannot write {path}: No space left" in capsys.readouterr().err


def test_library_and_used_files_are_left_alone(tmp_path):
    blocks = tmp_path / "blocks.yaml"
    blocks.write_text("blocks:\n  b:\n    layers: [{linaer: 4}]\n")
    spec = tmp_path / "net.yaml"
    spec.write_text("input: [3]\nuse: blocks.yaml\nlayers: [b]\n")
    assert main(["check", "--fix", str(spec)]) == 1
    assert "linaer" in blocks.read_text()


def test_edits_do_not_overlap():
    source = archspec.diagnostics.diagnostic.Source("a.yaml", "abc def\nghi\n")

    def edit(line: int, start: int, end: int, text: str) -> Edit:
        return Edit(archspec.Span(source, line, start, line, end), text)

    edits = [edit(2, 1, 4, "G"), edit(1, 1, 4, "x"), edit(1, 3, 6, "y"), edit(1, 5, 8, "zz")]
    text, changes = fix.apply(source, edits)
    assert text == "x zz\nG\n"
    assert [change.line for change in changes] == [1, 1, 2]


def test_anchors_stay(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text("input: [3]\nlayers:\n  - &a relU\n  - &b   # the second\n    tahn\n  - *a\n")
    assert main(["check", "--fix", str(path)]) == 0
    assert path.read_text() == (
        "input: [3]\nlayers:\n  - &a relu\n  - &b   # the second\n    tanh\n  - *a\n"
    )


def test_the_file_and_its_name_outlast_a_power_cut(tmp_path, monkeypatch):
    path = tmp_path / "a.yaml"
    path.write_text("old")
    synced, fsync = [], os.fsync

    def note(handle):
        now = os.fstat(handle)
        synced.append("folder" if stat.S_ISDIR(now.st_mode) else (path.read_text(), now.st_size))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    opened = []
    for _ in range(2):  # the lowest handle that is free
        opened.append(os.open(path, os.O_RDONLY))
        os.close(opened[-1])
        fix.write_whole(path, "newer")
    # All of the text is on the disk before it gets the name, and the name afterwards.
    assert synced == [("old", 5), "folder", ("newer", 5), "folder"]
    assert opened[1] == opened[0]  # nothing was left open between the two
