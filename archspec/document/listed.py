"""A step of a finished graph as `expand` writes it: where it stands in its list."""

from __future__ import annotations

from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.record import Record


class Listed(Record):
    """A step with its list: its number there, and the edges that it reads.

    `in_turn`: it reads what the node before it gives.
    """

    graph: Graph
    step: Step
    number: int
    reads: tuple[str, ...]
    in_turn: bool


def edge(graph: Graph, ref: Ref) -> str:
    """A value of a graph as an edge within it names it."""
    if ref.step == INPUT:
        return graph.input_names[ref.output] if len(graph.input_names) > 1 else "input"
    step = graph.steps[ref.step]
    return step.name if len(step.outputs) == 1 else f"{step.name}[{ref.output}]"
