"""Source of what the file brings of archspec's own: modules that torch lacks, and functions.

It is taken from where it stands, with all that it uses there, so that there is one place for it.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType

OWN = "archspec."
_IGNORED = re.compile(r"  # type: ignore(\[[^]]*\])?")


class Carried:
    """Definitions, each with those before it that it uses, and the imports that they need."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.definitions: dict[str, str] = {}
        self.imports: dict[tuple[str, str], None] = {}
        self._seen: set[str] = set()
        for path in paths:
            package, _, name = path.rpartition(".")
            self._take(import_module(package), name)

    def _take(self, module: ModuleType, name: str) -> None:
        """Adds a definition of a module, after those that it uses."""
        if f"{module.__name__}.{name}" in self._seen:
            return
        self._seen.add(f"{module.__name__}.{name}")
        tree = ast.parse(inspect.getsource(module))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                if name in [alias.asname or alias.name for alias in node.names]:
                    self._import(node.module, name)
                    return
            elif isinstance(node, ast.Import):
                if name in [alias.asname or alias.name for alias in node.names]:
                    self.imports[name, ""] = None
                    return
            elif name in _defined(node):
                self._define(module, node, name)
                return

    def _import(self, package: str, name: str) -> None:
        if package.startswith(OWN):
            self._take(import_module(package), name)
        else:
            self.imports[package, name] = None

    def _define(self, module: ModuleType, node: ast.stmt, name: str) -> None:
        for used in _used(node):
            if used != name and used in vars(module):
                self._take(module, used)
        lines = inspect.getsource(module).splitlines()
        start = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", ())]])
        self.definitions[name] = _IGNORED.sub("", "\n".join(lines[start - 1 : node.end_lineno]))

    @property
    def constants(self) -> list[str]:
        """Definitions of one line, which stand before the others."""
        return [text for text in self.definitions.values() if not _is_block(text)]

    @property
    def blocks(self) -> list[str]:
        """Classes and functions."""
        return [text for text in self.definitions.values() if _is_block(text)]


def _is_block(text: str) -> bool:
    return text.startswith(("class ", "def ", "@"))


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def _used(node: ast.stmt) -> list[str]:
    """The names that a definition reads, those of functions that run later too, in their order."""
    found = [(n.lineno, n.col_offset, n.id) for n in ast.walk(node) if isinstance(n, ast.Name)]
    return list(dict.fromkeys([name for _, _, name in sorted(found)]))
