"""The forms of a diagnostic: coloured text, JSON and SARIF."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import archspec
from archspec.cli import main, output
from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, excerpt

TEXT = "input: [3, 8, 8]\nlayers:\n  - relu\n  - conv2d: {out_channels: 4, kernal_size: 3}\n"


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(TEXT)
    return "net.yaml"


def test_colour_on_a_terminal_only(spec, capsys, monkeypatch):
    main(["check", spec])
    plain = capsys.readouterr().err
    assert "\x1b" not in plain
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    main(["check", spec])
    coloured = capsys.readouterr().err
    assert coloured.startswith("\x1b[1mnet.yaml:4:31:\x1b[0m \x1b[1;31merror AS206:\x1b[0m conv2d")
    assert "    |                               \x1b[1;31m^^^^^^^^^^^\x1b[0m\n" in coloured
    for code in output._COLOURS.values():
        coloured = coloured.replace(code, "")
    assert coloured.replace("\x1b[0m", "") == plain
    monkeypatch.setenv("NO_COLOR", "1")
    main(["check", spec])
    assert capsys.readouterr().err == plain


def test_json_has_the_edits(spec, capsys):
    assert main(["check", spec, "--format", "json"]) == 1
    (result,) = json.loads(capsys.readouterr().out)
    (diagnostic,) = result["diagnostics"]
    place = {"file": "net.yaml", "line": 4, "column": 31, "end_line": 4, "end_column": 42}
    assert diagnostic["span"] == place
    assert diagnostic["edits"] == [{"span": place, "replacement": "kernel_size"}]


def test_sarif(spec, capsys):
    Path("warn.yaml").write_text(
        "input: [3, 8, 8]\nlayers:\n  - {name: a, relu: }\n  - residual: {out_channels: 3}\n"
        "  - {flatten: , from: input}\n"
    )
    Path("shape.yaml").write_text(
        "input: [3, 8, 8]\nlayers:\n  - relu\n  - vgg_block: "
        "{num_convs: 5, out_channels: 4}\n  - max_pool2d: 9\n"
    )
    assert main(["check", spec, "warn.yaml", "shape.yaml", "--format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "archspec" and driver["version"] == archspec.__version__
    rules = driver["rules"]
    assert [rule["id"] for rule in rules] == sorted({r["ruleId"] for r in run["results"]})
    for rule in rules:
        assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning") and result["message"]["text"]
        for location in [*result["locations"], *result.get("relatedLocations", ())]:
            physical = location["physicalLocation"]
            region = physical["region"]
            assert physical["artifactLocation"]["uri"]
            assert 1 <= region["startLine"] <= region["endLine"]
            assert region["startColumn"] >= 1
    first = next(r for r in run["results"] if r["ruleId"] == "AS206")
    region = {"startLine": 4, "startColumn": 31, "endLine": 4, "endColumn": 42}
    assert first["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "net.yaml"}, "region": region}}
    ]
    assert first["fixes"] == [
        {
            "artifactChanges": [
                {
                    "artifactLocation": {"uri": "net.yaml"},
                    "replacements": [
                        {"deletedRegion": region, "insertedContent": {"text": "kernel_size"}}
                    ],
                }
            ]
        }
    ]


def test_a_long_line_is_cut_around_the_caret():
    line = "a" * 90 + "HERE" + "b" * 90
    source = archspec.diagnostics.diagnostic.Source("t", line)
    shown, carets = excerpt(archspec.Span(source, 1, 91, 1, 95))
    assert len(shown) == len("  1 | ") + 100
    at = carets.index("^")
    assert shown[at : at + 4] == "HERE" and carets.count("^") == 4
    shown, carets = excerpt(archspec.Span(source, 1, 1, 1, 185))
    assert shown.endswith("aaHEREbbbbbb") and carets.count("^") == 100


def test_a_short_line_is_shown_whole():
    source = archspec.diagnostics.diagnostic.Source("t", "x" * 95)
    shown, _ = excerpt(archspec.Span(source, 1, 90, 1, 92))
    assert shown == "  1 | " + "x" * 95


def test_controls_never_reach_the_terminal():
    source = archspec.diagnostics.diagnostic.Source("t", "a\x1b[31mb\tc")
    assert excerpt(archspec.Span(source, 1, 1, 1, 2))[0] == "  1 | a [31mb c"


def test_sarif_names_a_file_of_any_bytes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"a\xff.yaml")
    Path(name).write_text("input: [3]\nlayers: [rellu]\n")
    assert main(["check", name, "--format", "sarif"]) == 1
    assert '"uri": "a%FF.yaml"' in capsys.readouterr().out


def test_a_message_is_shown_up_to_a_thousand_characters():
    for length, shown in ((1000, "x" * 1000), (1001, "x" * 999 + "…")):
        assert str(Diagnostic(Code.FILE, "x" * length)) == f"error AS601: {shown}"


def test_a_refusal_in_other_words_keeps_its_edit_where_it_is_about_the_whole():
    refusal = Refusal("a", code=Code.NAME, expected="b", found="c", replacement="d")
    changed = refusal.but("e", help="f")
    assert (str(changed), changed.expected, changed.found) == ("e", "b", "c")
    assert (changed.help, changed.replacement) == ("f", "d")
    assert refusal.but(help=None, whole=False).replacement is None
    assert str(refusal.but(help=None)) == "a"
