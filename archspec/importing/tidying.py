"""What a careful person changes last: numbers that a user of the spec would set are parameters."""

from __future__ import annotations

from archspec.folding.template import Entry, Group, Op, Parameter, Part, Template
from archspec.folding.terms import Constant, Name
from archspec.folding.tree import Edge
from archspec.ir.graph import Graph

CLASSES = "num_classes"


def with_classes(root: Template, graph: Graph) -> Template:
    """The template with a parameter for the number of classes, if its first output is of some.

    It is where a linear layer gives one vector a sample.
    """
    if not root.outputs or len(graph.shape(graph.outputs[0])) != 2 or root.parameters:
        return root
    found = _replaced(root.parts, root.outputs[0])
    if found is None:
        return root
    parts, classes = found
    return root._replace(parts=parts, parameters=(Parameter(CLASSES, classes),))


def _replaced(parts: tuple[Part, ...], edge: Edge) -> tuple[tuple[Part, ...], Constant] | None:
    """The parts with the parameter in the layer behind an edge, and its number."""
    if edge.node < 0:
        return None
    part = parts[edge.node]
    if not isinstance(part, Entry):
        return None
    content: Op | Group
    if isinstance(part.content, Group):
        inner = _replaced(part.content.parts, part.content.outputs[edge.output])
        if inner is None:
            return None
        content, classes = part.content._replace(parts=inner[0]), inner[1]
    elif isinstance(part.content, Op) and part.content.kind == "linear":
        number = part.content.arguments["out_features"]
        if not isinstance(number, Constant):
            return None
        classes = number
        content = part.content._replace(
            arguments={**part.content.arguments, "out_features": Name(CLASSES)}
        )
    else:
        return None
    changed = part._replace(content=content)
    return (*parts[: edge.node], changed, *parts[edge.node + 1 :]), classes
