"""Parts of a module that no op says, as `module` nodes: their Python runs in the spec's network."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from archspec.importing.trace import Invocation, Refused
from archspec.record import Record


class Kept(Record):
    """How a `module` node makes a part anew: the path of its class and the arguments."""

    type: str
    kwargs: Mapping[str, Any]


def kept_around(error: Refused, net: nn.Module, kept: Mapping[str, Kept]) -> dict[str, Kept]:
    """What is kept, with the innermost part around a refusal that can be made anew.

    Raises the refusal where there is none.
    """
    inside: Invocation | None = error.inside
    for each in inside.chain() if inside is not None else ():
        if each.path and each.path not in kept:
            found = made_anew(net.get_submodule(each.path))
            if found is not None:
                below = f"{each.path}."
                rest = {path: one for path, one in kept.items() if not path.startswith(below)}
                return {**rest, each.path: found}
    raise error


def made_anew(module: nn.Module) -> Kept | None:
    """How its class makes the same module, where its attributes say the arguments; None else."""
    kind = type(module)
    path = f"{kind.__module__}.{kind.__qualname__}"
    if not _is_importable(path, kind) or kind.__module__ == "__main__":
        return None
    kwargs = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = getattr(module, name, parameter.empty)
        if _is_said(value):
            if value is not parameter.default:
                kwargs[name] = list(value) if isinstance(value, tuple) else value
        elif parameter.default is parameter.empty:
            return None
    return Kept(path, kwargs) if _makes_the_same(kind, kwargs, module) else None


def _is_importable(path: str, kind: type) -> bool:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name, None) is kind
    except ImportError:
        return False


def _is_said(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_said, value))
    return value is None or type(value) in (bool, int, float, str)


def _makes_the_same(kind: type, kwargs: Mapping[str, Any], module: nn.Module) -> bool:
    try:
        with torch.device("meta"):
            made = kind(**kwargs)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return False
    shapes = {key: value.shape for key, value in made.state_dict().items()}
    return shapes == {key: value.shape for key, value in module.state_dict().items()}
