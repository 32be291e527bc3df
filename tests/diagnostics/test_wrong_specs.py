"""Mistakes: each spec in specs/ gives exactly the text that stands beside it.

`python tests/diagnostics/test_wrong_specs.py` writes the texts anew, to be read before they are
kept. A spec's first line may give parameters, as `# params: {"width": 3}`; files that begin with
`_` are there for others to name.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from pathlib import Path

import pytest

import archspec
from archspec.text.files import SPECS

FOLDER = Path(__file__).parent / "specs"
WRONG = sorted(path for path in FOLDER.rglob("*.yaml") if not path.name.startswith("_"))


def said(path: Path) -> str:
    """All that is said of a spec in the working folder."""
    text = path.read_text(encoding="utf-8")
    params = {}
    if text.startswith("# params: "):
        params = json.loads(text.splitlines()[0].removeprefix("# params: "))
    try:
        arch = archspec.load(path.name, params)
    except archspec.SpecError as error:
        found = str(error)
    else:
        found = "\n\n".join(map(str, arch.warnings))
    return found.replace(f"{SPECS}/", "specs/").replace(f"{path.parent}/", "") + "\n"


@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_wrong_spec_gives_this_diagnostic(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert said(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_many_mistakes_and_no_text_without_a_spec():
    assert len(WRONG) >= 120
    assert {path.with_suffix(".yaml") for path in FOLDER.rglob("*.txt")} == set(WRONG)


def update() -> None:
    warnings.simplefilter("ignore")
    for path in WRONG:
        with contextlib.chdir(path.parent):
            path.with_suffix(".txt").write_text(said(path), encoding="utf-8")


if __name__ == "__main__":
    update()
