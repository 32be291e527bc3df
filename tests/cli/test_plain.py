"""Command lines that are read without argparse are read as argparse reads them."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archspec.cli.command import Arguments
from archspec.cli.parser import COMMANDS, command_parser, declared
from archspec.cli.plain import read_plainly

parser = cache(command_parser)
WORDS = ["densenet", "12", "0", "3x4x5", "x=3x4", "k=v", "=v", "5M", "json", "-", "-1", "--", ""]


@st.composite
def lines(draw) -> tuple[str, list[str]]:
    """A command with options and words of its own and of others, in any order."""
    name = draw(st.sampled_from(COMMANDS))
    options = [option for option in declared(name).options if not option.is_word]
    texts = [text for option in options for text in (*option.names, *(option.choices or ()))]
    texts += ["--help-me", "--json=1"]
    parts = st.sampled_from(WORDS) | st.sampled_from(texts or WORDS)
    pairs = st.tuples(st.sampled_from(texts or WORDS), st.sampled_from(WORDS))
    drawn = draw(st.lists(parts.map(lambda text: (text,)) | pairs, max_size=5))
    return name, [text for pair in drawn for text in pair]


def by_argparse(name: str, given: list[str]) -> dict | None:
    try:
        args, unknown = parser(name).parse_known_args(given, Arguments())
    except SystemExit:
        return None
    return (
        None if unknown else {k: v for k, v in vars(args).items() if k not in ("command", "error")}
    )


@settings(max_examples=200)
@given(lines())
@example(("check", ["a", "--fix", "b"]))
@example(("check", ["--format", "sarif", "a", "b", "--json"]))
@example(("compile", ["a", "--set", "k=v", "--set", "b=1", "--summary"]))
@example(("compile", ["a", "--depth", "-1", "--summary"]))
@example(("list", ["--max-params", "5M", "--ops"]))
@example(("train", ["a", "--skip-unreadable", "--run-dir", "r"]))
def test_what_is_read_plainly_argparse_reads_the_same(line):
    name, given = line
    plain = read_plainly(declared(name), given)
    if plain is not None:
        assert plain == by_argparse(name, given)


@pytest.mark.parametrize(
    "line",
    [
        "compile torchvision/densenet121 --summary",
        "compile densenet --set growth_rate=12 --input 1x96x96 --format json --depth 2",
        "check a.yaml b.yaml --fix --ignore AS903 --allow-outside",
        "expand densenet",
        "list --max-params 5M --json",
        "schema",
        "train lenet_bn --data digits --epochs 2 --resume --run r",
        "evaluate runs/a --skip-unreadable --last",
    ],
)
def test_usual_lines_are_read_plainly(line):
    name, *given = line.split()
    plain = read_plainly(declared(name), given)
    assert plain is not None and plain == by_argparse(name, given)


def test_a_usual_line_does_without_argparse():
    program = (
        "import sys\nfrom archspec.cli import main\nmain(['check', 'lenet_bn'])\n"
        "print({'argparse', 'gettext', 'locale'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"
