"""Watching an emitted module compute: every node's value, functional steps among them."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

from archspec.emit import namespace
from archspec.emit.children import child_of, children_of
from archspec.emit.classes import make_function
from archspec.emit.following import Graphs, Plans, bodies_of
from archspec.emit.module import kinds_of
from archspec.emit.source import forward_source, owner
from archspec.ir.graph import Graph, Step


class Executed(NamedTuple):
    """A step that runs, with its full path."""

    path: str
    step: Step


def execution(graph: Graph, training: bool, prefix: str = "") -> Iterator[Executed]:
    """Every step that runs, in the order in which they end: a block after the steps inside it."""
    for step in graph.steps:
        if not step.idle and (training or not step.training_only):
            if step.body is not None:
                yield from execution(step.body, training, f"{prefix}{step.name}.")
            yield Executed(prefix + step.name, step)


@contextmanager
def observed(
    graph: Graph, module: nn.Module, see: Callable[[tuple[Tensor | None, ...]], None]
) -> Iterator[None]:
    """Calls `see` with the outputs of each step that `module` runs, in the order of `execution`.

    `module` was emitted from `graph`, whose sizes may be symbols. Each of its blocks gets, for as
    long as this lasts, a `forward` of the same generated code with a call after every step.
    """

    def observe(position: int, value: Tensor | tuple[Tensor | None, ...]) -> None:
        see(value if isinstance(value, tuple) else (value,))

    changed: list[nn.Module] = []
    try:
        plans = Plans()
        for block, graphs in _blocks((graph,), module, {}).items():
            kinds = kinds_of(graphs[0], children_of(block, graphs[0]))
            source = forward_source(graphs[0], kinds, plans.of(graphs), observe=True)
            variables = {**vars(namespace), "observe": observe}
            function = make_function(source, "<archspec observed>", variables)
            vars(block)["forward"] = types.MethodType(function, block)  # past a child of that name
            changed.append(block)
        yield
    finally:
        for block in changed:
            del vars(block)["forward"]


def _blocks(
    graphs: Graphs, module: nn.Module, found: dict[nn.Module, Graphs]
) -> dict[nn.Module, Graphs]:
    """The modules emitted for graphs and for those in them; a shared one occurs once."""
    found[module] = graphs
    for position, step in enumerate(graphs[0].steps):
        if step.body is not None:
            child = child_of(module, owner(graphs[0], step).name)
            if isinstance(child, nn.Module) and child not in found:
                _blocks(bodies_of(graphs, position), child, found)
    return found
