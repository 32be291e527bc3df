"""docs/your-model.md does what it says: its code runs, and prints what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import archspec
from archspec.cli import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "your-model.md"
FENCED = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


def fenced(kind: str) -> list[str]:
    return [text for language, text in FENCED if language == kind]


def write_specs() -> None:
    for text in fenced("yaml"):
        name = re.match(r"# (\w+\.yaml)\n", text)
        assert name is not None
        Path(name[1]).write_text(text, encoding="utf-8")


@pytest.mark.filterwarnings("ignore:weights convmixer.pth")
def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_specs()
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


def edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text(encoding="utf-8")
    assert text.count(old) == 1
    Path(name).write_text(text.replace(old, new), encoding="utf-8")


def test_the_text_model_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [text for text in fenced("text") if text.startswith("$ archspec ")]
    assert [text.split()[2:4] for text in shown] == [
        ["compile", "words.yaml"],
        ["check", "words.yaml"],
        ["compile", "placed.yaml"],
        ["compile", "next_word.yaml"],
        ["compile", "next_word.yaml"],
        ["compile", "review.yaml"],
        ["compile", "review.yaml"],
    ]
    for text in shown:
        write_specs()
        if "$ archspec check" in text:
            edit("words.yaml", "{shape: [T], dtype: int64, below: vocab}", "[T]")
        command, _, rest = text.partition("\n")
        main(command.removeprefix("$ archspec ").split())
        streams = capsys.readouterr()
        printed = streams.out + streams.err
        for part in re.split("^…\n", rest, flags=re.M):
            assert part in printed, part
            printed = printed[printed.index(part) + len(part) :]
        assert rest.endswith("…\n") or not printed


def test_the_contract_of_flatten_is_the_one_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_specs()
    edit("placed.yaml", "- mean: 1", "- flatten")
    contract = archspec.load("placed.yaml").contract()
    assert f"{contract}\n" in fenced("text")


def test_the_text_models_read_what_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_specs()
    words = torch.tensor([[5, 7, 11, 13, 17]])
    review = archspec.load("review.yaml").build(seed=0).eval()
    filled = torch.cat([words, torch.tensor([[1, 2, 3]])], dim=1)
    padding = torch.arange(8)[None] >= 5
    alone = review(words, torch.zeros(1, 5, dtype=torch.bool))
    torch.testing.assert_close(review(filled, padding), alone)
    arch = archspec.load("next_word.yaml")
    layer = arch.build(seed=0, outputs=["layer"]).eval()
    torch.testing.assert_close(layer(filled)["layer"][:, :5], layer(words)["layer"])
    with pytest.raises(ValueError, match="T = 100 is not legal: 1 ≤ T ≤ 64"):
        arch.build()(torch.zeros(1, 100, dtype=torch.int64))
