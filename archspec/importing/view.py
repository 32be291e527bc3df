"""A graph as `folding` sees it, in the terms of a spec: kinds are ops, values their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from archspec.document.listed import Listed, edge
from archspec.document.node_keys import KEYS
from archspec.expand.write import number, verbatim
from archspec.folding.tree import Edge, Formula, Leaf, List, Node, Value
from archspec.ir.graph import INPUT, Graph, Ref
from archspec.ir.op import Op
from archspec.ir.shape import Shape, is_batched
from archspec.sizes.size import depends, everywhere, known

SHARE = "share"
"""The kind of a node that applies the module of another."""
WEIGHTS = "weights"
"""The mark of an op that is given weights: their names, whose values it reads last."""
INPUTS = "from"
"""The mark of an op that reads its inputs by names."""

_MARKS = tuple([key for key in KEYS if key.name not in ("name", "from", SHARE, WEIGHTS)])


class Unseen(Exception):
    """A graph has what no list of nodes can say in other words than `expand`."""


def seen(
    graph: Graph,
    known: Mapping[Graph, Mapping[str, Value]] | None = None,
    notes: Mapping[Graph, tuple[str, ...]] | None = None,
) -> dict[Graph, List]:
    """The trees of a compiled graph and of all its lists. `known` and `notes` are those of lists.

    Raises `Unseen`.
    """
    viewer = _Viewer(known or {}, notes or {})
    viewer.list(graph)
    return viewer.lists


class _Viewer:
    def __init__(
        self,
        known: Mapping[Graph, Mapping[str, Value]],
        notes: Mapping[Graph, tuple[str, ...]],
    ) -> None:
        self.known, self.notes = known, notes
        self.lists: dict[Graph, List] = {}

    def list(self, graph: Graph) -> List:
        if graph not in self.lists:
            of = graph.block
            if of is None and len(graph.inputs) != 1:
                of = "scope"  # a group says nothing of several inputs
            self.lists[graph] = List(
                of,
                graph.input_names,
                tuple([self._node(graph, index) for index in range(len(graph.steps))]),
                tuple(map(_edge, graph.outputs)),
                graph.output_names,
                self.known.get(graph),
                sizes_of(graph.inputs[0]) if graph.inputs else {},
                self.notes.get(graph, ()),
                sizes_of(graph.shape(graph.outputs[0])) if graph.outputs else {},
            )
        return self.lists[graph]

    def _node(self, graph: Graph, index: int) -> Node:
        step = graph.steps[index]
        reads = tuple(map(_edge, _reads(graph, index)))
        names = tuple([edge(graph, ref) for ref in _reads(graph, index)])
        listed = Listed(graph, step, index, names, False)
        marks = {key.name: said for key in _MARKS if (said := key.written(listed)) is not None}
        links = [(f"{WEIGHTS}.{tie.name}.{tie.key}", tie.owner) for tie in step.ties]
        content: Leaf | List
        if step.shares is not None:
            content = Leaf(SHARE, {})
            links = [(SHARE, step.shares)]
        elif step.op is not None:
            content = Leaf(step.op.op_name, arguments(step.op, listed), _defaults(step.op))
            if weights := getattr(step.op, "given", ()):
                marks[WEIGHTS] = tuple(weights)
            if step.op.given_names:
                marks[INPUTS] = tuple(step.op.given_names)
        else:
            assert step.body is not None
            content = self.list(step.body)
        return Node(
            step.name,
            step.name != str(index),
            content,
            reads,
            len(step.outputs),
            tuple(links),
            marks,
            sizes_of(step.input_shapes[0]) if step.input_shapes else {},
        )


def _reads(graph: Graph, index: int) -> tuple[Ref, ...]:
    """What a step reads. An idle one is given earlier values of the same shapes."""
    step = graph.steps[index]
    if not step.idle:
        return step.inputs
    found = []
    for shape, kind in zip(step.input_shapes, step.input_types, strict=True):
        there = _value_like(graph, index, (shape, kind))
        if there is None:
            raise Unseen(f"no value has the shape that {step.name} was made for")
        found.append(there)
    return tuple(found)


def _value_like(graph: Graph, index: int, wanted: Any) -> Ref | None:
    for i, each in enumerate(zip(graph.inputs, graph.input_types, strict=True)):
        if each == wanted:
            return Ref(INPUT, i)
    for position, step in enumerate(graph.steps[:index]):
        if not step.idle and not step.training_only:
            for output, each in enumerate(zip(step.outputs, step.types, strict=True)):
                if each == wanted:
                    return Ref(position, output)
    return None


def _edge(ref: Ref) -> Edge:
    return Edge(ref.step, ref.output)


def arguments(op: Op, listed: Listed) -> dict[str, Value]:
    """The arguments that differ from their defaults. What follows sizes becomes a formula."""
    return {
        name: everywhere(partial(_argument, listed), value)
        for name, value in op.arguments().items()
    }


def _defaults(op: Op) -> dict[str, Value]:
    return {name: f.default for name, f in op.fields().items() if not f.is_required}


def _argument(listed: Listed, value: Any) -> Any:
    if not depends(value):
        return verbatim(value)
    found = number(listed, value)
    if not isinstance(found, str):
        return found
    own = listed.step.input_shapes[:1]
    if own:
        found = _of_own_input(found, listed.reads[0], len(own[0]))
    return Formula(found)


def _of_own_input(text: str, edge: str, rank: int) -> str:
    """An expression in which the sizes of what the node reads have the names that a node has."""
    quoted = edge if edge.isidentifier() else repr(edge)
    for axis in range(1, rank):
        name = f"in_shape[{axis - 1}]"
        if rank == 4 and axis > 1:
            name = ("in_height", "in_width")[axis - 2]
        text = text.replace(f"size({quoted}, {axis})", name)
    return text


def sizes_of(shape: Shape) -> dict[str, Value]:
    """The names that a spec has for the sizes of a value, each with its number.

    Of an image they are those of its channels and sides. Of all else the last axis has the
    features; where an image has them there too, as its two equal sides show, it has no channels.
    """
    if not is_batched(shape) or len(shape) < 2:
        return {}
    axes = {"in_features": len(shape) - 1}
    if len(shape) == 4 and same(shape[2], shape[3]):
        axes = {"in_channels": 1, "in_height": 2, "in_width": 3}
    elif len(shape) > 3 and not same(shape[1], shape[2]):
        axes = {"in_channels": 1, **axes}
    return {n: known(shape[axis]) for n, axis in axes.items() if not depends(shape[axis])}


def same(one: Any, other: Any) -> bool:
    """Whether two sizes are one number here."""
    return bool(known(one) == known(other))
