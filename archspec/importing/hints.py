"""What a module's Python says of its parts: their classes, numbers, and places."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

from torch import nn

from archspec.architecture import Architecture
from archspec.importing.rewriting import Hint
from archspec.ir.graph import walk

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Modules that hold others: a list of their nodes belongs to the class around them."""


def hints_of(net: nn.Module, arch: Architecture) -> dict[str, Hint]:
    """The hints of every list that is an instance of a class, by path."""
    modules = dict(net.named_modules(remove_duplicate=False))
    found = {}
    for visit in walk(arch.graph):
        module = modules.get(visit.path)
        if visit.step.body is None or module is None or type(module) in _CONTAINERS:
            continue
        found[visit.path] = Hint(type(module).__name__, numbers_of(module), notes_of(type(module)))
    return found


def numbers_of(module: nn.Module) -> dict[str, Any]:
    """The attributes that are numbers, truth values or short texts, or lists of them."""
    found = {}
    for name, value in vars(module).items():
        if not name.startswith("_") and name != "training" and _is_plain(value):
            found[name] = tuple(value) if isinstance(value, list) else value
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return len(value) <= 8 and all(_is_plain(each) for each in value)
    return type(value) in (bool, int, float) or (type(value) is str and len(value) <= 40)


def notes_of(kind: type) -> tuple[str, ...]:
    """The class and its file below the folder that Python imports it from."""
    try:
        file = inspect.getsourcefile(kind)
        line = inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        return ()
    if file is None:
        return ()
    roots = [root for root in sys.path if root and file.startswith(f"{root}{os.sep}")]
    shown = file[len(max(roots, key=len)) + 1 :] if roots else os.path.basename(file)
    return (f"{kind.__module__}.{kind.__qualname__}, {shown}:{line}",)
