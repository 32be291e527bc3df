"""The tables of docs/zoo.md: what tools/parity.py found, and how long each family is."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
import torchvision
from torch import nn

import archspec
import zoo
from archspec.ir.graph import walk
from archspec.text.files import BLOCKS, SPECS, library_blocks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "zoo.md"
HEAD = ("model", "parameters", "MACs", "YAML", "keys", "logits", "train", "figures", "at")
"""`figures`: parameters, shapes and MACs; `at`: image size of the real passes."""
BEYOND = ("network", "parameters", "MACs", "YAML", "Python", *zoo.CHECKS)


def rewrite(name: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Put lines between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no place marked {begin.strip()} … {end}")
    page.write_text("\n".join([before + begin, *lines, "", end + after]), encoding="utf-8")


def kept_rows(
    page: Path = PAGE, table: str = "models", head: Sequence[str] = HEAD
) -> dict[str, tuple[str, ...]]:
    """The rows of earlier runs that are in a table of the page, by model."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    inside = text.partition(f"<!-- {table} -->")[2].partition(f"<!-- end of {table} -->")[0]
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in inside.splitlines()
    ]
    return {row[0]: row for row in rows if len(row) == len(head) and row[1][:1].isdigit()}


def model_lines(rows: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The table of all models, and how many are equal in everything."""
    equal = sum("FAILED" not in row for row in rows.values())
    wanted = len(torchvision.models.list_models(module=torchvision.models))
    counted = [f"{equal} of {wanted} are equal in everything that is compared.", ""]
    return [*counted, *markdown(HEAD, [rows[name] for name in sorted(rows)])]


def beyond_lines(rows: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The table of the networks beyond torchvision's classifiers, and how many agree."""
    agree = sum("FAILED" not in row for row in rows.values())
    counted = [f"{agree} of {len(rows)} agree in everything that is compared.", ""]
    return [*counted, *markdown(BEYOND, [rows[name] for name in sorted(rows)])]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; columns of numbers are aligned to the right."""
    numbers = [all(row[i][:1].isdigit() for row in rows) for i in range(len(head))]
    rule = ["---:" if number else "---" for number in numbers]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


# --- lines ---------------------------------------------------------------------------------------


def family_lines() -> list[str]:
    """Lines of YAML beside lines of Python, for each file of torchvision's."""
    families: dict[str, list[str]] = {}
    for name in torchvision.models.list_models(module=torchvision.models):
        module = inspect.getmodule(torchvision.models.get_model_builder(name))
        assert module is not None
        families.setdefault(module.__name__.rpartition(".")[2], []).append(name)
    rows = []
    for family, members in families.items():
        specs = sum(yaml_lines(Path(SPECS) / "torchvision" / f"{name}.yaml") for name in members)
        blocks = {block for name in members for block in blocks_of(name)}
        shared = sum(yaml_lines(Path(BLOCKS) / f"{block}.yaml") for block in blocks)
        own, ops = python_lines(family, members)
        counts = (len(members), specs, shared, specs + shared, own, ops, own + ops)
        rows.append((family, *map(str, counts)))
    total = [str(sum(int(row[i]) for row in rows)) for i in range(1, len(rows[0]))]
    head = ("family", "models", "specs", "blocks", "YAML", "models file", "ops", "Python")
    return markdown(head, [*rows, ("all", *total)])


def yaml_lines(path: Path) -> int:
    """Lines that are neither blank nor a comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


def blocks_of(name: str) -> set[str]:
    """The standard blocks that a spec uses, at any depth."""
    graph = archspec.load(f"torchvision/{name}").graph
    found = {visit.step.kind for visit in walk(graph) if visit.step.body is not None}
    return found & library_blocks()


def python_lines(family: str, members: Sequence[str]) -> tuple[int, int]:
    """Lines of the family's file, and of the classes that its models use from other files.

    Blank lines, comments, docstrings, imports, `__all__` and descriptions of published weights are
    left out.
    """
    module = importlib.import_module(f"torchvision.models.{family}")
    others: set[type[nn.Module]] = set()
    for name in members:
        for part in reference(name).modules():
            place = type(part).__module__
            if place.startswith("torchvision") and place != module.__name__:
                others.add(type(part))
    source = inspect.getsource(module)
    body = [node for node in ast.parse(source).body if not _is_left_out(node)]
    own = sum(_count(source, node) for node in body)
    return own, sum(_count(text := inspect.getsource(c), *ast.parse(text).body) for c in others)


def reference(name: str) -> nn.Module:
    """A model without memory for its weights."""
    import parity

    size = archspec.load(f"torchvision/{name}").input_shape
    assert isinstance(size, tuple)
    return parity.on_meta(name, size[1:])


def _is_left_out(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
        return True
    if isinstance(node, ast.ClassDef):
        return any(isinstance(base, ast.Name) and base.id == "WeightsEnum" for base in node.bases)
    targets = node.targets if isinstance(node, ast.Assign) else []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return any(name == "__all__" or name.startswith("_COMMON") for name in names)


def _count(source: str, *nodes: ast.stmt) -> int:
    """The number of lines of code of these statements."""
    lines = source.splitlines()
    wanted: set[int] = set()
    for node in nodes:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        wanted.update(range(first, (node.end_lineno or first) + 1))
        wanted.difference_update(_docstrings(node))
    return sum(bool(re.match(r"\s*[^\s#]", lines[number - 1])) for number in wanted)


def _docstrings(node: ast.stmt) -> Iterator[int]:
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(each) is not None:
            text = each.body[0]
            yield from range(text.lineno, (text.end_lineno or text.lineno) + 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n".join(family_lines()))
