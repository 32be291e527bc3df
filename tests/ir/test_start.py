"""What every command loads stays quick to load."""

import ast
from pathlib import Path

import pytest

import archspec

SLOW = {"annotated_types", "dataclasses", "inspect", "pathlib", "pydantic", "torch"}
PACKAGE = Path(archspec.__file__).parent


@pytest.mark.parametrize(
    "path", [*PACKAGE.glob("ir/*.py"), *PACKAGE.glob("ops/*.py")], ids=lambda path: path.stem
)
def test_it_imports_nothing_slow(path):
    imported = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert not imported & SLOW
