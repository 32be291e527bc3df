"""Writes the list of torch's own names: `python tools/torch_names.py`.

`check --fix` never takes one of them for a slip. Names that an older torch had stay in the list,
so run this with one version after another.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archspec.diagnostics.torch_names import FILE, listed

TEXTS = re.compile(r"'[^']*'|\"[^\"]*\"")


def names() -> tuple[set[str], set[str]]:
    """Public classes and functions of this torch, methods of its tensors, and their arguments."""
    found = set()
    args = {"start", "stop", "step"}  # of Python's slice, which torch's indexing takes
    for module in (nn, functional, torch, torch.Tensor):
        for name in dir(module):
            if not name.startswith("_") and is_tool(thing := getattr(module, name)):
                found.add(name)
                args.update(arguments(thing))
    return found, args


def is_tool(thing: Any) -> bool:
    """Whether something computes with tensors: a function, or a class of modules."""
    return callable(thing) and (not inspect.isclass(thing) or issubclass(thing, nn.Module))


def arguments(thing: Any) -> Iterator[str]:
    """The arguments of a function or class. For one written in C, its docstring says them."""
    try:
        given: Any = inspect.signature(thing).parameters
    except ValueError:
        documented = re.match(r"\s*[\w.]+\((.*?)\)", TEXTS.sub("", thing.__doc__ or ""))
        given = re.findall(r"[A-Za-z]\w*(?=\s*(?:[,=:\]]|$))", documented[1]) if documented else ()
    yield from (name for name in given if not name.startswith("_") and name.islower())


def write() -> None:
    old = listed()
    versions = sorted({*old.versions, torch.__version__.partition("+")[0]}, key=numbers)
    new = [" ".join(sorted(a | b)) for a, b in zip(old[1:], names(), strict=True)]
    FILE.write_text("\n".join([", ".join(versions), *new, ""]), encoding="utf-8")


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


if __name__ == "__main__":
    write()
