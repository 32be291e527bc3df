"""The table of codes: each is explained, raised by its wrong example, and gone in its right one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import archspec
from archspec.cli import main
from archspec.diagnostics.catalogue import CATALOGUE, FOLDER, Explanation, entries
from archspec.diagnostics.diagnostic import Code

IN_TEXT = [code for code, entry in CATALOGUE.items() if entry.wrong]
PACKAGE = Path(archspec.__file__).parent


def codes(text: str, entry: Explanation, folder: Path) -> set[str]:
    """The codes of everything that is said of a text."""
    below = folder / "spec"
    below.mkdir()
    for name, content in entry.files.items():
        path = below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    try:
        return {str(d.code) for d in archspec.loads(text, folder=below).warnings}
    except archspec.SpecError as error:
        return {str(d.code) for d in error.diagnostics}


@pytest.mark.parametrize("code", IN_TEXT)
def test_a_wrong_example_gives_its_code_alone(code, tmp_path):
    assert codes(CATALOGUE[code].wrong, CATALOGUE[code], tmp_path) == {str(code)}


@pytest.mark.parametrize("code", IN_TEXT)
def test_a_right_example_compiles_without_warnings(code, tmp_path):
    assert codes(CATALOGUE[code].right, CATALOGUE[code], tmp_path) == set()


def test_only_weights_and_conversions_are_no_matter_of_a_text():
    assert set(CATALOGUE) - set(IN_TEXT) == {Code.WEIGHTS, Code.EXPORT, Code.IMPORT, Code.EJECT}


def test_every_code_has_one_entry():
    assert list(CATALOGUE) == list(Code)
    assert entries().keys() == {code.name for code in Code}
    written = [
        line
        for path in FOLDER.glob("*.yaml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.endswith(":") and line[0] != " "
    ]
    assert len(written) == len(Code)


def test_every_code_is_raised_somewhere():
    raised = {
        node.attr
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == "Code"
    }
    # Code.SHAPE is what a Refusal has unless it says otherwise.
    assert {code.name for code in Code} - {"SHAPE"} <= raised


def test_explain_prints_the_entry(capsys):
    assert main(["explain", "as504"]) == 0
    assert capsys.readouterr().out == (
        "AS504 (error): too many or too few inputs\n"
        "\n"
        "A node reads the one before it. Merges read two or more, named as their\n"
        "argument; a node with several outputs hands all of them on, so its reader\n"
        "chooses one.\n"
        "\n"
        "Wrong:\n"
        "\n"
        "    input: [4, 8, 8]\n"
        "    layers:\n"
        "      - {name: halves, chunk: 2}\n"
        "      - relu\n"
        "\n"
        "Right:\n"
        "\n"
        "    input: [4, 8, 8]\n"
        "    layers:\n"
        "      - {name: halves, chunk: 2}\n"
        '      - {relu: , from: "halves[0]"}\n'
    )


def test_explain_lists_all_codes(capsys):
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "AS101  the text is not YAML"
    assert [line[:5] for line in lines] == [str(code) for code in Code]


def test_explain_refuses_what_is_no_code(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["explain", "AS999"])
    assert stop.value.code == 2
    assert "there is no code 'AS999': codes are AS101 to AS911" in capsys.readouterr().err
