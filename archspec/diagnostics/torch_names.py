"""Names that mean something in torch: a word that is one of them is no slip of another word.

Read when there is a mistake, and not before. `tools/torch_names.py` writes the list.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from archspec.diagnostics.diagnostic import bare

FILE = Path(__file__).with_suffix(".txt")
"""Three lines: versions of torch, names, and arguments."""


class TorchNames(NamedTuple):
    """The versions of torch that were read; what they have for tensors, and its arguments."""

    versions: list[str]
    names: set[str]
    arguments: set[str]


def listed() -> TorchNames:
    """The list as it is kept."""
    versions, names, arguments = FILE.read_text(encoding="utf-8").splitlines()
    return TorchNames(versions.split(", "), set(names.split()), set(arguments.split()))


@cache
def _bare() -> tuple[frozenset[str], frozenset[str]]:
    kept = listed()
    return frozenset(map(bare, kept.names)), frozenset(map(bare, kept.arguments))


def is_name(word: str) -> bool:
    """Whether torch has a class or function of this name, however it is written."""
    return bare(word) in _bare()[0]


def is_name_or_argument(word: str) -> bool:
    """Whether torch has a class, a function or an argument of this name."""
    return any(bare(word) in names for names in _bare())
