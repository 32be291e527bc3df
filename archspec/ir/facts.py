"""What makes a graph the one it is, to compare two of them."""

from __future__ import annotations

from typing import Any

from archspec.ir.graph import Graph, Visit, walk


def facts(graph: Graph) -> list[Any]:
    """All that makes a graph the one it is: every node's path, op, edges, shapes and types."""
    inputs = (graph.input_names, graph.inputs, graph.input_types)
    return [*inputs, graph.outputs, graph.output_names, *map(_facts, walk(graph))]


def _facts(visit: Visit) -> tuple[Any, ...]:
    return (
        visit.path,
        visit.step.op,
        visit.step.inputs,
        visit.step.outputs,
        # The bound of whole numbers that an idle node reads is not written.
        [each.name for each in visit.step.types] if visit.idle else visit.step.types,
        visit.step.shares,
        visit.step.idle,
        visit.step.training_only,
        visit.step.frozen,
        visit.step.ties,
        visit.step.both_keys,
        visit.step.body and visit.step.body.outputs,
    )


def first_difference(one: Graph, other: Graph) -> Visit | None:
    """The first node of a graph that is another one in the other graph.

    The last node, where only what is around the nodes differs; None where nothing does.
    """
    visit = None
    for visit, theirs in zip(walk(one), walk(other), strict=False):
        if _facts(visit) != _facts(theirs):
            return visit
    return None if facts(one) == facts(other) else visit
