"""The checked document: nodes, blocks, parameters and specs, linked and compiled once.

These are plain records. `document.py` makes them from values, `expand.py` turns them into graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archspec.errors import Diagnostic, Span
from archspec.ir.op import Op
from archspec.language.arguments import Argument
from archspec.language.expressions import Expression, Template
from archspec.language.operations import Env
from archspec.language.source import Mapping, Value


class Reference(NamedTuple):
    """An edge as written: `stem`, `halves[1]`, `conv{index}`."""

    name: Template
    output: Expression | None
    span: Span


class Repeat(NamedTuple):
    """A loop: over a count (`repeat: 3`) or over lists walked together."""

    times: Argument | None
    variables: tuple[tuple[str, Argument], ...]
    span: Span


class Condition(NamedTuple):
    """A `when:`."""

    argument: Argument
    span: Span


class Branch(NamedTuple):
    """One of several parallel paths; `name` is None in a list of branches."""

    name: Template | None
    nodes: tuple[Node, ...]
    span: Span


@dataclass(slots=True, eq=False)
class Node:
    """One entry of a `layers:` list.

    `form` says which of the other fields matter: `op` and `block` have a `target` and `args`;
    `group` has `body`; `branches` has `branches` and `merge`; `insert` stands for the layers
    parameter called `key`, with `raw` holding added arguments; `share` uses a module again.
    """

    form: str
    key: str
    span: Span
    target: type[Op] | Block | None = None
    args: dict[str, Argument] = field(default_factory=dict)
    inputs: tuple[Reference, ...] | None = None
    name: Template | None = None
    name_span: Span | None = None
    when: Condition | None = None
    repeat: Repeat | None = None
    share: Reference | None = None
    training_only: bool = False
    body: tuple[Node, ...] = ()
    branches: tuple[Branch, ...] = ()
    merge: Node | None = None
    raw: Value | None = None
    compile_raw: (
        Callable[[type[Op] | Block], tuple[dict[str, Argument], list[Diagnostic]]] | None
    ) = None
    """Compiles `raw` for the op that the layers parameter turns out to hold."""
    ready: Op | None = None
    """The validated op, where no argument depends on anything."""


class Layers:
    """A value of a layers parameter: nodes, and the environment they were written in.

    Equal when the nodes are the same and every name they read has the same value, so that a block
    called again with the same layers is recognised; a bare op's name compares equal to its text.
    """

    __slots__ = ("env", "is_one", "key", "nodes", "text")

    def __init__(
        self,
        nodes: tuple[Node, ...],
        env: Env,
        names: frozenset[str],
        text: str | None,
        is_one: bool,
    ) -> None:
        self.nodes, self.env, self.text = nodes, env, text
        # One node stands in the place of the parameter; a list, even of one, is a group there.
        self.is_one = is_one and len(nodes) == 1
        values = tuple(sorted((n, id(v)) for n, v in env.names.items() if n in names))
        self.key = (tuple(map(id, nodes)), values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.text == other
        return isinstance(other, Layers) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text or "[…]"


@dataclass(slots=True, eq=False)
class Parameter:
    """A declared parameter: its type, and its default unless it is required.

    `type` is one of int, float, bool, str, list, layers, mapping, or any (a null default, or a
    computed one, whose type shows when it is evaluated).
    """

    name: str
    type: str
    span: Span
    default: Argument | None
    required: bool
    value: Value | None = None


@dataclass(slots=True, eq=False)
class Output:
    """One entry of `outputs:`; `name` is None in a list of them."""

    name: str | None
    reference: Reference


@dataclass(slots=True, eq=False)
class Block:
    """A named graph with parameters. `in_library` blocks come with archspec or a package."""

    name: str
    span: Span
    raw: Mapping
    in_library: bool
    doc: str = ""
    params: dict[str, Parameter] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("input",)
    body: tuple[Node, ...] = ()
    outputs: tuple[Output, ...] | None = None
    calls: set[Block] = field(default_factory=set)
    """The blocks that its text calls."""

    def reaches(self, other: Block) -> bool:
        """Whether its text, or that of a block it calls, calls the other."""
        seen: set[Block] = set()
        ahead = [self]
        while ahead:
            for called in ahead.pop().calls - seen:
                seen.add(called)
                ahead.append(called)
        return other in seen


@dataclass(slots=True, eq=False)
class PatchItem:
    """One change to a base spec: replace, insert_before, insert_after or remove at `path`."""

    action: str
    path: str
    span: Span
    nodes: tuple[Node, ...]


@dataclass(slots=True, eq=False)
class Spec:
    """One file's network, or its changes to the one that it extends."""

    name: str
    doc: str
    span: Span
    inputs: dict[str, tuple[Any, Span]]
    params: dict[str, Parameter]
    body: tuple[Node, ...] | None
    outputs: tuple[Output, ...] | None
    init: str | None
    train: dict[str, Any]
    ignore: tuple[str, ...]
    """Codes of warnings that the file silences."""
    base: Spec | None
    overrides: dict[str, Parameter]
    """Values given to the base's parameters: `extends` specs only."""
    patch: tuple[PatchItem, ...]
    parse_override: Callable[[str, Value, bool], Parameter]
    """Reads a value given for a parameter (name, value, is it layers?) as this file would."""
    reads: set[str] = field(default_factory=set)
