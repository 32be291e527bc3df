"""How the package is laid out: rooms are stages, and imports run one way."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import archspec
from archspec.ir.op import REGISTRY

PACKAGE = Path(archspec.__file__).parent
ORDER = (
    "record",
    "diagnostics",
    "text",
    "sizes",
    "ir",
    "folding",
    "runtime",
    "ops",
    "analyses",
    "expressions",
    "data",
    "recipe",
    "document",
    "expand",
    "contracts",
    "emit",
    "verify",
    "weights",
    "exporting",
    "ejecting",
    "architecture",
    "loading",
    "importing",
    "training",
    "testing",
    "cli",
)
"""Every room, or module beside the rooms; each imports only what stands before it."""

LONGEST_FUNCTION = 60
MOST_FILES = 32


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules().items()}


@cache
def imports() -> dict[str, frozenset[str]]:
    """What each module imports of the package: in functions and for annotations too."""
    known = modules()
    found = {}
    for name, tree in trees().items():
        names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                names.update(each if each in known else node.module for each in inner)
        found[name] = frozenset(names & known.keys()) - {name, "archspec"}
    return found


def test_packages_of_extras_are_imported_where_they_are_used():
    extras = {"matplotlib", "numpy", "onnx", "onnxruntime", "onnxscript", "PIL", "rich", "sklearn"}
    extras |= {"tensorboard", "torchvision"}
    found = set()
    for name, tree in trees().items():
        for node in tree.body:  # functions, and `if TYPE_CHECKING:`, are not looked into
            if isinstance(node, ast.Import):
                found |= {(name, alias.name.split(".")[0]) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add((name, node.module.split(".")[0]))
    assert ("archspec.importing.literals", "torch") in found
    assert {(name, package) for name, package in found if package in extras} == set()


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_its_place_in_the_order():
    assert {room(name) for name in modules()} - {"", "__main__"} == set(ORDER)


def test_imports_run_one_way():
    place = {name: number for number, name in enumerate(ORDER)}
    upward = [
        f"{name} imports {other}"
        for name, others in imports().items()
        for other in sorted(others)
        if room(name) in place and place[room(other)] > place[room(name)]
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle():
    graph = imports()

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for other in graph[ahead.pop()] - seen:
                seen.add(other)
                ahead.append(other)
        return seen

    assert [name for name in graph if name in reached(name)] == []


def test_no_room_holds_too_many_files():
    counts = {
        folder: sum(1 for path in folder.glob("*.py") if path.name != "__init__.py")
        for folder in {path.parent for path in modules().values()}
    }
    assert {folder.name: n for folder, n in counts.items() if n > MOST_FILES} == {}


def test_functions_are_short():
    long = [
        f"{name}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


OUTSIDE_OPS = {
    "document.other_words",  # what other libraries' words are called here
    "expand.remedies",  # the ops that a help line proposes
}
NAMES = {name for name in REGISTRY if "_" in name or name[-1].isdigit()}
"""Ops whose names are no words of English."""


@pytest.mark.parametrize(
    "name", [n for n in modules() if room(n) not in ("ops", "testing", "runtime", "importing", "")]
)
def test_no_op_is_named_outside_ops(name):
    if name.removeprefix("archspec.") in OUTSIDE_OPS:
        return
    docs = {
        id(node.body[0].value)
        for node in ast.walk(trees()[name])
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(trees()[name])
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]
    named = {text for text in texts if text in NAMES}
    assert named == set(), "an op's fact belongs on the op"
    assert not any(re.fullmatch(r"conv\w*d|batch_norm\w*", text) for text in texts)
