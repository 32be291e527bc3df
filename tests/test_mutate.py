"""The mutator, on a repository of two modules whose holes are known."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import mutate
import pytest
from mutation import copies
from mutation.sites import is_another_program, mutations

TEXT = '''\
"""A docstring with 1 < 2."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from x import y
__all__ = ["grow"]
LEAST: int = 3


def grow(n: "list[1]" = 2, *, by=True) -> int:
    """Another: 1 + 1."""
    assert n > 0
    if n < LEAST and by:
        raise ValueError(f"{n + 1} is less than {3 - 1}", n + 1)
    print("wörter", n)
    return n + 1
'''


def edits(text: str) -> Counter[tuple[int, str, str]]:
    found = [each for each in mutations("m.py", text) if is_another_program(text, each)]
    return Counter((each.line, text[each.start : each.end], each.new) for each in found)


def test_every_edit_of_a_small_file_is_a_known_one():
    condition = "n < LEAST and by"
    assert set(edits(TEXT)) == {
        *((8, "3", new) for new in ("4", "2")),
        *((11, "2", new) for new in ("3", "1")),
        (11, "True", "False"),
        *((14, condition, new) for new in (f"not ({condition})", "True", "False")),
        *((14, part, "True") for part in ("n < LEAST", "by")),
        *((14, "<", new) for new in ("<=", ">")),
        (14, "and", "or"),
        (15, TEXT.splitlines()[14].strip(), "pass"),
        (16, 'print("wörter", n)', "pass"),
        (16, '"wörter", n', 'n, "wörter"'),
        (17, "return n + 1", "pass"),
        (17, "+", "-"),
        *((17, "1", new) for new in ("2", "0")),
    }


@pytest.mark.parametrize(
    ("text", "line", "before", "after"),
    [
        ("f(a, min(b, c), key=d)", 1, ", key=d", ""),
        ("f(a, min(b, c), key=d)", 1, "min", "max"),
        ("x = a if not b else -c", 1, "not b", "(b)"),
        ("x = a if not b else -c", 1, "-c", "(c)"),
        ("x = [a for a in b if a]", 1, "a", "False"),
        ("x = (a\n  is  # why\n  not b)", 2, "is  # why\n  not", "is\n"),
        ("x = a not in b", 1, "not in", "in"),
        ("x = 0.5 // y", 1, "0.5", "1.0"),
        ("x = (a or\n     b)", 1, "or", "and"),
        ("a.b = 1", 1, "a.b = 1", "pass"),
        ("for a in b:\n    continue", 2, "continue", "pass"),
        ("match a:\n    case 1 if b:\n        c()", 2, "b", "True"),
        ("try:\n    a()\nexcept E:\n    b(2)", 4, "2", "3"),
    ],
)
def test_edits_are_at_their_place_and_keep_the_lines(text, line, before, after):
    assert (line, before, after) in edits(text)
    for mutation in mutations("m.py", text):
        assert mutation.applied(text).count("\n") == text.count("\n")


def test_a_last_return_of_none_is_left_alone():
    text = "def f(a):\n    if a:\n        return None\n    b()\n    return None\n"
    assert {line for line, *_ in edits(text)} == {2, 3, 4}


def test_what_a_module_runs_as_it_is_imported_is_marked():
    marks = {each.line: each.at_import for each in mutations("m.py", TEXT)}
    assert marks == {8: True, 11: True, 14: False, 15: False, 16: False, 17: False}


def test_lines_are_drawn_evenly_by_the_seed():
    # One mutation on the first line, many on the second.
    texts = {"m.py": "a()\nx = 1 + 2 + 3 + 4 + 5 + 6\n"}
    first = Counter(mutate.draw(texts, 1, seed)[0].line for seed in range(400))
    assert 150 <= first[1] <= 250
    whole = mutate.draw(texts, 99, 3)
    assert whole == mutate.draw(texts, 99, 3) != mutate.draw(texts, 99, 4)
    assert len(set(whole)) == len(whole) == len(mutations("m.py", texts["m.py"]))


CODE = """\
from functools import cache
def scale():
    return 10
SCALE = scale()


@cache
def double(n):
    return n * 2


def unseen(n):
    return n > 0


def held(n):
    return n + SCALE


def forever(n):
    while n:
        n -= 1


def outside(n):
    return n / 4
"""
TESTS = """\
import subprocess, sys
from archspec.tiny import double, forever, held, unseen

def test_double():
    assert double(4) == 8

def test_double_again():
    double(4)
    unseen(1)

def test_held():
    assert held(1) == 11

def test_forever():
    forever(3)

def test_outside():
    program = "from archspec.tiny import outside; print(outside(8))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "2.0\\n"
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    for folder in ("archspec", "tests", "tools"):
        (root / folder).mkdir(parents=True)
    (root / "archspec" / "__init__.py").touch()
    (root / "archspec" / "tiny.py").write_text(CODE)
    (root / "tests" / "test_tiny.py").write_text(TESTS)
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    monkeypatch.setattr(copies, "ROOT", root)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return root


KILLED = {
    (3, "11"),  # run once, as the module is imported
    (9, "+"),
    (17, "-"),
    (26, "*"),  # in a process that the test starts
}
SURVIVORS = {(13, ">="), (13, "1")}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_holes_are_found_and_nothing_else(repository: Path, monkeypatch, capfd):
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}

    before, target = files(), repository / "archspec" / "tiny.py"
    text = target.read_text()
    every = {(each.line, each.new): each for each in mutations("archspec/tiny.py", text)}
    chosen = [every[key] for key in sorted(KILLED | SURVIVORS)]
    monkeypatch.setattr(mutate, "draw", lambda texts, count, seed: chosen)
    assert mutate.main([str(target)]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[-7:] == [
        "archspec/tiny.py:13  constant, survived",
        "  - return n > 0",
        "  + return n > 1",
        "archspec/tiny.py:13  comparison, survived",
        "  - return n > 0",
        "  + return n >= 0",
        "4 of 6 killed, 66.7% (4 killed, 2 survived)",
    ]
    record = copies.recorded([repository / "tests" / "test_tiny.py"])
    again = record.lines["tests/test_tiny.py::test_double_again"]
    assert {"archspec/tiny.py:9", "archspec/tiny.py:13"} <= {*again}  # though the value is cached
    endless, texts = [every[22, "pass"]], {"archspec/tiny.py": text}
    ((_, verdict),) = mutate.verdicts(endless, texts, record, jobs=1, limit=1.0)
    assert verdict == "timed out"
    assert files() == before
