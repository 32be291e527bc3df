"""Writes docs/ops.md from the ops and blocks, docs/errors.md from the table of codes, the table of
docs/training.md from the fields of a recipe, and archspec/ops/names.py from the ops.

python tools/write_docs.py           write them
python tools/write_docs.py --check   exit with 1 if one is not up to date
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.diagnostics.catalogue import CATALOGUE, Explanation
from archspec.diagnostics.diagnostic import Code
from archspec.document.blocks import library_block
from archspec.expressions.arguments import describe, show_value
from archspec.expressions.evaluate import Table
from archspec.ir.infer import infer, infer_types
from archspec.ir.op import REGISTRY, Example, Op
from archspec.ir.shape import N
from archspec.ir.types import EVERY, FLOATS, NAMES, typed
from archspec.recipe.recipe import documented
from archspec.text.files import library_blocks

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

HEAD = """\
# Ops and blocks

Written by `tools/write_docs.py` from the definitions. Shapes have the batch N first. An op's
primary argument, marked *, may stand alone: `linear: 10`. Where nothing
else is said, it takes floats.
"""


ERRORS_HEAD = """\
# Errors and warnings

Written by `tools/write_docs.py` from `archspec/diagnostics/codes/`; `archspec explain AS401` prints
one entry. Codes are stable; their hundreds name the stage that finds the mistake. Codes that begin
with AS9 are warnings: the network compiles. A warning is silenced by a comment at the end of
the line that it shows (`# archspec: ignore AS903`), for a whole spec by its key `ignore: [AS903]`,
and by the caller with `--ignore AS903` or `load(..., ignore=["AS903"])`.
"""

RECIPE_BEGIN = "<!-- Written by tools/write_docs.py from archspec/recipe/: -->"
RECIPE_END = "<!-- End of what is written. -->"


def error_lines() -> Iterator[str]:
    """The page of codes."""
    yield ERRORS_HEAD
    yield "| code | |\n| --- | --- |"
    for code, entry in CATALOGUE.items():
        yield f"| [{code}](#{code.lower()}) | {entry.title} |"
    for code, entry in CATALOGUE.items():
        yield from _entry_lines(code, entry)


def _entry_lines(code: Code, entry: Explanation) -> Iterator[str]:
    yield f"\n## {code}\n"
    kind = "Warning" if code.is_warning else "Error"
    yield f"**{kind}: {entry.title}.** {entry.text}\n"
    if not entry.wrong:
        return
    yield f"Wrong:\n\n```yaml\n{_shown(entry.wrong)}```\n"
    for name, text in entry.files.items():
        yield f"with the file `{name}`:\n\n```yaml\n{_shown(text)}```\n"
    yield f"Right:\n\n```yaml\n{_shown(entry.right)}```"


def _shown(text: str) -> str:
    """The text with its control characters made visible."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def lines() -> Iterator[str]:
    """The page of ops and blocks."""
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
    if op.takes != FLOATS and (op.num_inputs or op.variadic):
        yield f"\nTakes {taken_types(op)}."
    if op.since:
        yield f"\nSince archspec {op.since}."
    if op.fields():
        yield "\n| argument | default | takes |\n| --- | --- | --- |"
    for name, field in op.fields().items():
        star = "*" if name == op.primary else ""
        default = "required" if field.is_required else f"`{show_value(field.default)}`"
        takes = describe(field.annotation).replace("|", "\\|")
        yield f"| `{name}`{star} | {default} | {takes} |"
    if op.examples:
        yield f"\n{example_line(op, op.examples[0])}"


def taken_types(op: type[Op]) -> str:
    """The types of values that an op reads, in words."""
    if op.takes == EVERY:
        return "values of every type"
    return " or ".join(name for name in reversed(NAMES) if name in op.takes)


def example_line(op: type[Op], example: Example) -> str:
    """`conv2d: {…}`: (N, 3, 8, 8) gives (N, 16, 8, 8)."""
    args = {key: tuple(v) if isinstance(v, list) else v for key, v in example.args.items()}
    inputs = [tuple(N if dim == "N" else dim for dim in shape) for shape in example.inputs]
    made, types = op(**args), example.input_types
    outputs = infer(made, inputs)
    given = infer_types(made, inputs, types, len(outputs))
    shown = ", ".join(f"{key}: {show_value(value)}" for key, value in args.items())
    written = f"{op.op_name}: {{{shown}}}" if shown else op.op_name
    before = " and ".join(map(typed, inputs, types)) or "no input"
    return f"`{written}`: {before} gives {' and '.join(map(typed, outputs, given))}."


def training_lines() -> Iterator[str]:
    """The page of the trainer, with a new table of the recipe's fields."""
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    before, begin, rest = page.partition(RECIPE_BEGIN)
    _, end, after = rest.partition(RECIPE_END)
    assert begin and end, "docs/training.md has no place for the table"
    yield before + begin
    yield "\n| field | default | takes | meaning |\n| --- | --- | --- | --- |"
    for field, doc in documented():
        default, takes = (
            show_value(Table() if field.default == {} else field.default),
            field.expected,
        )
        yield f"| `{field.name}` | `{default}` | {takes} | {doc} |"
    yield "\n" + end + after.removesuffix("\n")


def name_lines() -> Iterator[str]:
    """The module of names of ops."""
    yield '"""The module of each op. Written by `tools/write_docs.py`."""\n'
    yield "MODULES = {"
    for name, op in sorted(REGISTRY.items()):
        if op.__module__.startswith("archspec."):
            yield f'    "{name}": "{op.__module__}",'
    yield "}"


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().splitlines()[0].rstrip(".") if doc else ""


def _default(value: Any) -> str:
    text = getattr(value, "text", None)
    return f"`{text}`" if text else "layers or a list"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    status = 0
    for path, written in (
        (DOCS / "ops.md", lines()),
        (DOCS / "errors.md", error_lines()),
        (DOCS / "training.md", training_lines()),
        (ROOT / "archspec" / "ops" / "names.py", name_lines()),
    ):
        page = "\n".join(written) + "\n"
        if not check:
            path.write_text(page, encoding="utf-8")
            print(f"wrote {path}")
        elif not path.exists() or path.read_text(encoding="utf-8") != page:
            print(f"{path.relative_to(ROOT)} is not up to date")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
