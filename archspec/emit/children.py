"""The children of a module by their names, which are paths: `norms.0` is child 0 of a holder.

A holder is a plain container: an `nn.ModuleList` where it holds the modules 0, 1, …, and else a
`Holder`, which is no list and computes nothing.
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Mapping

from torch import Tensor, nn

from archspec.emit.classes import Aside
from archspec.ir.graph import Graph

TAKEN = frozenset((*dir(nn.Sequential()), "code"))
"""Attributes of an emitted module, which hide a child of the same name."""


class Holder(Aside):
    """Holds the children of the module around it whose names begin with its own."""


def adopt(
    module: nn.Module,
    children: Mapping[str, nn.Module | Tensor],
    keyless: Collection[str] = (),
) -> None:
    """Registers the children by their names, and makes the holders between.

    Tensors that are `keyless` have no key in the state dict.

    Raises ValueError where a name is the beginning of another.
    """
    lists = listed({name: isinstance(child, nn.Module) for name, child in children.items()})
    holders: dict[str, nn.Module] = {"": module}
    for name, child in children.items():
        outer, _, last = name.rpartition(".")
        _register(_holder(outer, holders, lists), last, child, name not in keyless)
    if both := next((path for path in holders if path in children), None):
        raise ValueError(f"{both!r} is a node, and the beginning of another node's name")
    for path in lists:
        modules = holders[path]._modules
        for key in sorted(modules, key=int):  # as a list is numbered, whatever came first
            modules[key] = modules.pop(key)


def _holder(path: str, holders: dict[str, nn.Module], lists: Collection[str]) -> nn.Module:
    """The holder at a path, made where it is not there."""
    if path not in holders:
        outer, _, last = path.rpartition(".")
        holders[path] = nn.ModuleList() if path in lists else Holder()
        _register(_holder(outer, holders, lists), last, holders[path])
    return holders[path]


def _register(
    module: nn.Module, name: str, child: nn.Module | Tensor, persistent: bool = True
) -> None:
    taken = hasattr(module, name)  # torch refuses such a child, and yet finds it like any other
    if isinstance(child, nn.Module):
        if taken:
            module._modules[name] = child
        else:
            module.add_module(name, child)
    elif isinstance(child, nn.Parameter):
        if taken:
            module._parameters[name] = child
        else:
            module.register_parameter(name, child)
    elif taken:
        module._buffers[name] = child
        if not persistent:
            module._non_persistent_buffers_set.add(name)
    else:
        module.register_buffer(name, child, persistent=persistent)


def listed(is_module: Mapping[str, bool]) -> frozenset[str]:
    """The holders that are lists: they hold the modules 0, 1, … and nothing else.

    `is_module` says of each child, by its name, whether it is a module or a tensor.
    """
    held: dict[str, dict[str, bool]] = {}
    for name, own in is_module.items():
        while "." in name:
            name, _, last = name.rpartition(".")
            held.setdefault(name, {})[last] = own
            own = True
    return frozenset(
        path
        for path, inside in held.items()
        if all(inside.values()) and set(inside) == set(map(str, range(len(inside))))
    )


def child_of(module: nn.Module, path: str) -> nn.Module | Tensor | None:
    """What stands at a path within a module; None where nothing does."""
    *outer, last = path.split(".")
    for part in outer:
        inner = module._modules.get(part)
        if inner is None:
            return None
        module = inner
    for held in (module._modules, module._parameters, module._buffers):
        if held.get(last) is not None:
            return held[last]
    return None


def children_of(module: nn.Module, graph: Graph) -> dict[str, nn.Module | Tensor]:
    """The children that were made for the nodes of a graph, by their names."""
    found = {step.name: child_of(module, step.name) for step in graph.steps}
    return {name: child for name, child in found.items() if child is not None}


def member(name: str, lists: Collection[str], held: str = "_modules") -> str:
    """Python source of a child: `self.stem`, `self.norms[0]`, `self.down.conv`.

    `held` is what torch's modules call the dictionary that has it.
    """
    source, path = "self", ""
    *outer, last = name.split(".")
    for part in outer:
        source = f"{source}[{part}]" if path in lists else _attribute(source, part, "_modules")
        path = f"{path}.{part}" if path else part
    return f"{source}[{last}]" if path in lists else _attribute(source, last, held)


def _attribute(of: str, name: str, held: str) -> str:
    """`torch.jit.script` knows no way to a child with a number but `getattr`."""
    if name in TAKEN:
        return f'{of}.{held}["{name}"]'
    if name.isidentifier() and not keyword.iskeyword(name):
        return f"{of}.{name}"
    return f'getattr({of}, "{name}")'
