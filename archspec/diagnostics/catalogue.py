"""Every diagnostic at length, as `archspec explain` and docs/errors.md show it.

The entries are data in `codes/`, by the names of the codes. `wrong` gives exactly its code, `right`
compiles; tests/diagnostics holds both to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from archspec.diagnostics.diagnostic import Code
from archspec.record import Record

FOLDER = Path(__file__).with_name("codes")


class Explanation(Record):
    """One code: what is wrong, why it is refused, an example and how it should be.

    `files` are texts that stand beside the wrong example, by their names. The examples are empty
    where the mistake is not in a text.
    """

    title: str
    text: str
    wrong: str = ""
    right: str = ""
    files: Mapping[str, str] = {}


def entries() -> dict[str, dict[str, Any]]:
    """The entries by the names of their codes, as they are written."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        found |= yaml.load(path.read_text(encoding="utf-8"), loader)
    return found


_ENTRIES = entries()
CATALOGUE = {code: Explanation(**_ENTRIES[code.name]) for code in Code}
