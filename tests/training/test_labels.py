"""Names of classes in the report and its pictures, whatever folders are called."""

from __future__ import annotations

import sys
import warnings

import pytest
from markdown_it import MarkdownIt

from archspec.training import labels
from archspec.training.labels import axis_labels, markdown
from archspec.training.report import draw_confusion
from archspec.training.store.runs import Run

NAMES = [
    "<img src=x onerror=alert(1)>",
    "a|b",
    "`code`",
    "two\nlines",
    r"$\foo$",
    "*bold* _em_ [x](y) ~s~ &amp;",
    "golden_retriever",
    "T-shirt/top",
    "\x1b[31mred",
    "猫",
]


def test_markdown_shows_the_names_as_they_are():
    table = "| class |\n| --- |\n" + "".join(f"| {markdown(name)} |\n" for name in NAMES)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(table)
    cells = [token for token in tokens if token.type == "inline"][1:]
    assert len(cells) == len(NAMES)
    for cell, name in zip(cells, NAMES, strict=True):
        kinds = {child.type for child in cell.children}
        assert kinds <= {"text", "text_special"}, name
        shown = "".join(child.content for child in cell.children)
        assert shown == name.replace("\n", r"\n").replace("\x1b", r"\x1b")
    assert markdown("golden_retriever") == "golden_retriever"
    assert markdown(r"$\foo$") == r"\$\\foo\$"


def test_a_picture_is_drawn_whatever_the_names(tmp_path):
    classes = [*NAMES[:-1], "long " * 60]
    confusion = [[3 * (i == j) for j in range(len(classes))] for i in range(len(classes))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_confusion(Run(tmp_path), confusion, classes) is False
        assert draw_confusion(Run(tmp_path), [[1, 0], [0, 1]], classes[-2:]) is False
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_a_name_with_dollars_is_no_formula(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    draw_confusion(Run(tmp_path), [[1, 0], [0, 1]], [r"$\foo$", "b"])
    ticks = drawn[0].axes[0].get_xticklabels() + drawn[0].axes[0].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == [r"$\foo$", "b"] * 2
    assert not any(tick.get_parse_math() for tick in ticks)


@pytest.mark.parametrize("has_font", [True, False])
def test_letters_without_a_font_are_numbered(tmp_path, monkeypatch, has_font):
    from matplotlib.font_manager import fontManager

    own = [entry for entry in fontManager.ttflist if entry.name == "DejaVu Sans"]
    # A font that has the arrow ⇒, which the last one lacks, stands for one that has CJK.
    letter = "猫" if not has_font else "⇒"
    monkeypatch.setattr(fontManager, "ttflist", own)
    texts, fonts, numbered = axis_labels([letter, "b"])
    assert numbered is not has_font and fonts == ["DejaVu Sans"]
    assert texts == ([letter, "b"] if has_font else ["0", "1"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_confusion(Run(tmp_path), [[1, 0], [0, 1]], [letter, "b"]) is not has_font


def test_a_second_font_fills_in(monkeypatch):
    from matplotlib.font_manager import fontManager

    def missing(path: str, letters: set[int]) -> set[int]:
        has = {"cjk.ttf": {ord("猫")}, "other.ttf": set()}
        return letters - has.get(path, set(range(0x4E00)))

    entries = [FakeFont("Other", "other.ttf"), FakeFont("Some CJK", "cjk.ttf")]
    own = [entry for entry in fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", [*entries, *own])
    monkeypatch.setattr(labels, "_missing", missing)
    assert axis_labels(["猫", "dog"]) == (["猫", "dog"], ["DejaVu Sans", "Some CJK"], False)
    assert axis_labels(["dog"]).fonts == ["DejaVu Sans"]


class FakeFont:
    style = "normal"

    def __init__(self, name: str, fname: str) -> None:
        self.name, self.fname = name, fname


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no files of such names")
def test_the_report_of_a_run_explains_the_numbers(tmp_path, monkeypatch, capsys):
    from matplotlib.font_manager import fontManager
    from PIL import Image

    from archspec.cli import main

    own = [entry for entry in fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", own)
    for number, name in enumerate(("猫", r"$\foo$", "<b>|x")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (12, 12), (20 * i, 90 * number, 9)).save(
                tmp_path / "pets" / name / f"{i}.png"
            )
    spec = tmp_path / "net.yaml"
    spec.write_text("input: [1, 8, 8]\nlayers: [flatten, {linear: 3}]\n")
    argv = ["train", str(spec), "--data", f"image_folder:{tmp_path / 'pets'}", "--epochs", "1"]
    argv += ["--run", str(tmp_path / "r"), "--batch-size", "4", "--threads", "1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        status = main([*argv, "--memory-format", "contiguous"])
    streams = capsys.readouterr()
    assert status == 0, streams.err
    assert "channels: all 24 pictures are in colour and are made grey" in streams.out
    report = (tmp_path / "r" / "report.md").read_text(encoding="utf-8")
    rows = [
        line for line in report.splitlines() if line.startswith(("| number", "| 0", "| 1", "| 2"))
    ]
    assert rows[0] == "| number | class | precision | recall | F1 | images |"
    assert [row.split(" | ")[1] for row in rows[1:4]] == [r"\$\\foo\$", r"&lt;b&gt;\|x", "猫"]
    assert "The axes show the numbers of the classes" in report
    assert main(["evaluate", str(tmp_path / "r")]) == 0
    streams = capsys.readouterr()
    assert "note: channels: all 24 pictures are in colour and are made grey" in streams.err
    picture = str(tmp_path / "pets" / "猫" / "0.png")
    assert main(["predict", str(tmp_path / "r"), picture, picture]) == 0
    streams = capsys.readouterr()
    assert streams.err == (
        "archspec predict: note: the network takes grey images, and pictures in colour are made "
        "grey\n"
    )
