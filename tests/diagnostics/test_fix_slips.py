"""One slip in a valid spec: `--fix` writes the same network again, or what is wrong is still said.

`python tests/diagnostics/test_fix_slips.py SEED COUNT` tries others.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import test_blocks

from archspec.diagnostics.catalogue import CATALOGUE
from archspec.diagnostics.diagnostic import Diagnostic, Source, SpecError
from archspec.diagnostics.fix import fixed
from archspec.expand.program import Program, compile_text
from archspec.ir.graph import walk
from archspec.text.files import BLOCKS, SPECS
from archspec.text.limits import DEFAULT

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
WORD = re.compile(r"[A-Za-z_]\w+")


@cache
def valid() -> list[tuple[str, Path | None]]:
    """Texts that compile, with the folders that they stand in."""
    found: list[tuple[str, Path | None]] = [
        (path.read_text(encoding="utf-8"), path.parent)
        for path in sorted(Path(SPECS).rglob("*.yaml"))
    ]
    found += [(entry.right, None) for entry in CATALOGUE.values() if entry.right]
    for call, sizes, _ in test_blocks.CASES:
        name, _, args = call.partition(":")
        text = Path(BLOCKS, f"{name}.yaml").read_text(encoding="utf-8").replace("\n", "\n    ")
        head = f"input: {list(sizes)}\nlayers:\n  - tried: {args}\nblocks:\n  tried:\n    "
        found.append((head + text.rstrip() + "\n", None))
    return [(text, folder) for text, folder in found if len(text) < 3000]


def slip(random: Random, word: str) -> str:
    """The word with two letters swapped, one dropped, doubled or its neighbour, or in CamelCase."""
    kind = random.choice(["swap", "drop", "double", "neighbour", "camel"])
    i = random.randrange(len(word))
    before, letter, after = word[:i], word[i], word[i + 1 :]
    if kind == "camel":
        return "".join(part[:1].upper() + part[1:] for part in word.split("_"))
    if kind == "swap":
        return before + after[:1] + letter + after[1:]
    if kind == "drop":
        return before + after
    if kind == "double":
        return before + letter + letter + after
    row = next((row for row in ROWS if letter in row), letter)
    at = row.find(letter)
    return before + random.choice(row[max(at - 1, 0) : at] + row[at + 1 : at + 2] or "_") + after


def slipped(seed: int, count: int) -> Iterator[tuple[str, str, Path | None]]:
    """Texts, each with a copy that has one slip in a word that is not a comment."""
    random = Random(seed)
    for _ in range(count):
        text, folder = random.choice(valid())
        plain = re.sub(r"#.*|(?<=doc:).*(\n    .*)*|'[^']*'", lambda m: " " * len(m[0]), text)
        word = random.choice(list(WORD.finditer(plain)))
        wrong = slip(random, word[0])
        yield text, text[: word.start()] + wrong + text[word.end() :], folder


def compiled(text: Source, folder: Path | None) -> Program:
    return compile_text(text, folder, {}, None, DEFAULT, False, ())


def network(text: str, folder: Path | None) -> list[tuple[object, ...]]:
    """What a network is but for the names in it."""
    steps = [visit.step for visit in walk(compiled(Source("net.yaml", text), folder).graph)]
    return [(step.op, step.inputs, step.outputs, step.shares, step.training_only) for step in steps]


def changed(text: str, wrong: str, folder: Path | None) -> str | None:
    """What `--fix` writes, where it is another network than the one before the slip."""

    def mistakes(source: Source) -> tuple[Diagnostic, ...]:
        try:
            compiled(source, folder)
        except SpecError as error:
            return error.diagnostics
        return ()

    source, changes = fixed(Source("net.yaml", wrong), mistakes)
    if not changes or mistakes(source) or network(source.text, folder) == network(text, folder):
        return None
    return ", ".join(f"{change.before} → {change.after}" for change in changes)


def findings(seed: int, count: int) -> list[str]:
    found = (changed(*each) for each in slipped(seed, count))
    return [each for each in found if each]


def test_a_fix_gives_the_network_back():
    assert findings(seed=7, count=80) == []


if __name__ == "__main__":
    print(findings(int(sys.argv[1]), int(sys.argv[2])))
