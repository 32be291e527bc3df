"""What folding gives: lists with parameters, calls, conditions and loops."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.folding.terms import Term
from archspec.folding.tree import Edge, Value
from archspec.record import Record


class Parameter(Record):
    """A parameter of a template. Without a default each call gives it.

    A `derived` one has a default that no call ever changes: it names an expression that is used
    several times.
    """

    name: str
    default: Term | None = None
    derived: bool = False
    kind: str = "int"


class Template(Record):
    """A list with parameters, in the order in which their defaults can be computed.

    `given` are the names that it uses and nobody passes, `in_channels` for one. A `standard` one is
    known to the writer by its name, and need not be written.
    """

    name: str
    parameters: tuple[Parameter, ...]
    given: tuple[str, ...]
    inputs: tuple[str, ...]
    parts: tuple[Part, ...]
    outputs: tuple[Edge, ...]
    output_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()
    standard: bool = False


class Op(Record):
    """A leaf with its arguments."""

    kind: str
    arguments: Mapping[str, Term]


class Call(Record):
    """A call of a template with those arguments that differ from its defaults."""

    template: Template
    arguments: Mapping[str, Term]


class Group(Record):
    """A list of its own that sees the names of the list around it."""

    parts: tuple[Part, ...]
    outputs: tuple[Edge, ...]


class Entry(Record):
    """One node. `Edge.node` counts the parts of its list.

    It is unnamed where its name is its position. Where `when` is false it is not there, and hands
    on the first value that it reads, or that of its reads which `passes` counts.
    """

    name: Term | None
    content: Op | Call | Group
    reads: tuple[Edge, ...]
    outputs: int = 1
    when: Term | None = None
    links: tuple[tuple[str, int], ...] = ()
    marks: Mapping[str, Value] = {}
    passes: int = 0


class Loop(Record):
    """Parts that run several times, each time on what the time before gave.

    It walks `lists` of equal length together, by the name of each element, or runs `times` times.
    `counter` counts the iterations. A loop with a `name` is a list of its own, whose nodes are the
    iterations 0, 1, …; a name with the counter in it names each iteration; without one, the parts
    of all iterations are nodes of the list around the loop.
    """

    name: Term | None
    times: Term | None
    lists: Mapping[str, Term]
    counter: str
    parts: tuple[Part, ...]
    outputs: tuple[Edge, ...]
    reads: tuple[Edge, ...]
    when: Term | None = None


Part = Entry | Loop
