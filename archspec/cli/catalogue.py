"""`archspec list --ops`: the primitive ops and the standard blocks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.analyses.table import cut
from archspec.cli.command import Arguments
from archspec.cli.output import columns, write, write_json
from archspec.document.blocks import library_block
from archspec.ir.op import REGISTRY
from archspec.record import Record
from archspec.text import files


class ListEntry(Record):
    """An op or block: its arguments as a call form, its documentation as one line."""

    name: str
    kind: str
    arguments: tuple[str, ...]
    doc: str


def run(args: Arguments) -> int:
    """Print a line each."""
    found = list(entries())
    if args.format == "json":
        write_json([entry._asdict() for entry in found])
        return 0
    width = max(len(entry.name) for entry in found)
    for kind in ("op", "block"):
        write(f"{kind.capitalize()}s")
        for entry in found:
            if entry.kind == kind:
                write(cut(f"  {entry.name:<{width}}  {entry.doc}", columns()))
    return 0


def entries() -> Iterator[ListEntry]:
    """All of them, by name, the ops first."""
    for name, op in sorted(REGISTRY.items()):
        doc = inspect.cleandoc(op.__doc__ or "").split("\n\n")[0]
        yield ListEntry(name, "op", tuple(op.fields()), " ".join(doc.split()))
    for name in sorted(files.library_blocks()):
        block = library_block(name)
        assert block is not None, name
        yield ListEntry(name, "block", tuple(block.params), " ".join(block.doc.split()))
