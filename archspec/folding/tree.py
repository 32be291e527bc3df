"""What is folded: nested lists of nodes, each with its numbers by name.

A writer makes the tree from a graph, in the terms of what it writes: the arguments of ops for YAML,
those of constructors for Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from archspec.record import Record

Value: TypeAlias = "int | float | bool | str | tuple[Value, ...] | Leaf | None"
"""A value of an argument. Numbers are told apart by type too: 1 is not 1.0 and not true. A leaf is
a layer that a block is given.
"""


class Formula(str):
    """A text that is an expression, which the writer takes as it is. It is no parameter's value."""

    __slots__ = ()


INPUT = -1
"""`Edge.node` of the list's own inputs."""


class Edge(Record):
    """A value within one list: output `output` of node `node`, or input `output` at `INPUT`."""

    node: int
    output: int = 0


class Leaf(Record):
    """What a node without nodes of its own is: nodes of different kinds are never one.

    `values` are its arguments, those that differ from their defaults or may. `defaults` are those
    of arguments that are left out.
    """

    kind: str
    values: Mapping[str, Value]
    defaults: Mapping[str, Value] = {}


class Node(Record):
    """One node of a list: a leaf, or a list of its own.

    `name` is the last part of its path; it is not `named` where the name is its position.
    `links` are nodes of the same list that it names without reading their value, by a word for
    each: the node whose module it shares, the owner of a tied weight.
    `marks` are all other facts of it. Nodes whose marks differ are never one.
    `given` are names for values that its own arguments know, and nobody passes. They go before
    those of its list.
    """

    name: str
    named: bool
    content: Leaf | List
    reads: tuple[Edge, ...]
    outputs: int = 1
    links: tuple[tuple[str, int], ...] = ()
    marks: Mapping[str, Value] = {}
    given: Mapping[str, Value] = {}


class List:
    """A list of nodes. One that is used twice is one object, and is compared by identity.

    `of` names what it is an instance of, a class or a block: lists that are instances of one
    thing are folded together. None is a group, which belongs to the list around it.
    `known` are values that an instance knows by name, the most telling first: parameters that its
    author named, and what `given` says.
    `given` are names for values that a list always knows and nobody passes: `in_channels`. `gives`
    are the same names with what the next list would know: the sizes of what this one gives.
    `notes` are lines for a reader about what it is an instance of.
    """

    __slots__ = (
        "given",
        "gives",
        "inputs",
        "known",
        "nodes",
        "notes",
        "of",
        "output_names",
        "outputs",
    )

    def __init__(
        self,
        of: str | None,
        inputs: tuple[str, ...],
        nodes: tuple[Node, ...],
        outputs: tuple[Edge, ...],
        output_names: tuple[str, ...] | None = None,
        known: Mapping[str, Value] | None = None,
        given: Mapping[str, Value] | None = None,
        notes: tuple[str, ...] = (),
        gives: Mapping[str, Value] | None = None,
    ) -> None:
        self.of, self.inputs, self.nodes, self.outputs = of, inputs, nodes, outputs
        self.output_names = output_names
        self.known, self.given, self.notes = known or {}, given or {}, notes
        self.gives = gives or {}


class Known(Record):
    """A list as a call of a block that its writer has anyway.

    `values` are what the parameters of the block are here, `usual` those that it has by itself;
    `kinds` are their types.
    """

    block: str
    values: Mapping[str, Value]
    usual: frozenset[str]
    kinds: Mapping[str, str]
