"""docs/your-model.md does what it says: its code runs, and prints what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import archspec

PAGE = Path(__file__).resolve().parent.parent / "docs" / "your-model.md"
FENCED = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


def fenced(kind: str) -> list[str]:
    return [text for language, text in FENCED if language == kind]


@pytest.mark.filterwarnings("ignore:weights convmixer.pth")
def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in fenced("yaml"):
        name = re.match(r"# (\w+\.yaml)\n", text)
        assert name is not None
        Path(name[1]).write_text(text, encoding="utf-8")
    variables: dict[str, object] = {"__name__": "page"}
    exec(compile("".join(fenced("python")), str(PAGE), "exec"), variables)
    assert capsys.readouterr().out == fenced("text")[0]
    assert tuple(variables["features"].shape) == (8, 64, 8, 8)  # type: ignore[attr-defined]
    wide = archspec.load("convmixer_wide.yaml")
    assert wide.params["width"] == 128
    assert wide.graph.steps[0].outputs == (("N", 128, 8, 8),)


def test_the_page_s_specs_are_sound_and_warn_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("convmixer.yaml").write_text(fenced("yaml")[0], encoding="utf-8")
    assert archspec.load("convmixer.yaml").warnings == ()
