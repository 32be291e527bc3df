"""Writes docs/ops.md from the definitions: every op with its arguments, every standard block.

python tools/write_docs.py           write it
python tools/write_docs.py --check   exit with 1 where the file is not up to date
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import archspec.ops  # noqa: F401 (fills the registry)
from archspec.infer import infer
from archspec.ir.op import REGISTRY, Example, Op
from archspec.ir.shape import N, show
from archspec.language.arguments import describe, show_value
from archspec.language.document import library_block
from archspec.language.files import library_blocks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ops.md"

HEAD = """\
# Ops and blocks

Written by `tools/write_docs.py` from the definitions. Shapes have the batch N first. An op's
primary argument, marked *, may stand alone: `linear: 10`.
"""


def lines() -> Iterator[str]:
    """The page."""
    yield HEAD
    yield "## Ops"
    family = None
    for op in sorted(REGISTRY.values(), key=lambda op: (op.__module__, op.op_name)):
        if op.__module__ != family:
            family = op.__module__
            module = inspect.getmodule(op)
            yield f"\n### {_first_line(module.__doc__ if module else '')}"
        yield from op_lines(op)
    yield "\n## Standard blocks\n"
    for name in sorted(library_blocks()):
        block = library_block(name)
        assert block is not None
        params = ", ".join(
            f"`{p.name}: {p.type}`" if p.required else f"`{p.name}` ({_default(p.value)})"
            for p in block.params.values()
        )
        yield f"- **{name}**: {block.doc} Parameters: {params or 'none'}."


def op_lines(op: type[Op]) -> Iterator[str]:
    """One op: what it does, its arguments, its first example."""
    yield f"\n#### `{op.op_name}`\n"
    yield " ".join((inspect.getdoc(op) or "").split())
    if op.model_fields:
        yield "\n| argument | default | takes |\n| --- | --- | --- |"
    for name, field in op.model_fields.items():
        star = "*" if name == op.primary else ""
        default = "required" if field.is_required() else f"`{show_value(field.default)}`"
        takes = describe(field.annotation, field.metadata).replace("|", "\\|")
        yield f"| `{name}`{star} | {default} | {takes} |"
    if op.examples:
        yield f"\n{example_line(op, op.examples[0])}"


def example_line(op: type[Op], example: Example) -> str:
    """`conv2d: {…}`: (N, 3, 8, 8) gives (N, 16, 8, 8)."""
    args = {key: tuple(v) if isinstance(v, list) else v for key, v in example.args.items()}
    inputs = [tuple(N if dim == "N" else dim for dim in shape) for shape in example.inputs]
    outputs = infer(op(**args), inputs)
    shown = ", ".join(f"{key}: {show_value(value)}" for key, value in args.items())
    written = f"{op.op_name}: {{{shown}}}" if shown else op.op_name
    before = " and ".join(map(show, inputs)) or "no input"
    return f"`{written}`: {before} gives {' and '.join(map(show, outputs))}."


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().splitlines()[0].rstrip(".") if doc else ""


def _default(value: Any) -> str:
    text = getattr(value, "text", None)
    return f"`{text}`" if text else "layers or a list"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    page = "\n".join(lines()) + "\n"
    if parser.parse_args().check:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page
        print("docs/ops.md is up to date" if same else "docs/ops.md is not up to date")
        return 0 if same else 1
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
