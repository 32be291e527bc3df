"""The checked document: nodes, blocks, parameters and specs, linked and compiled once.

The modules beside this one make these records from values; `archspec/expand` makes graphs of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

from archspec.diagnostics.diagnostic import Diagnostic, Note, Span
from archspec.expressions.arguments import Argument
from archspec.expressions.evaluate import Env
from archspec.expressions.parse import Expression
from archspec.expressions.templates import Template
from archspec.ir.graph import Step
from archspec.ir.op import Op
from archspec.ir.shape import Shape
from archspec.record import Record
from archspec.sizes.size import plain
from archspec.text.values import Mapping, Value

Arguments: TypeAlias = dict[str, Argument]


class Reference(Record):
    """An edge as written: `stem`, `halves[1]`, `conv{index}`."""

    name: Template
    output: Expression | None
    span: Span

    @property
    def is_written_out(self) -> bool:
        """Whether nothing in it is computed."""
        return self.name.is_fixed and not (self.output and self.output.names)

    @property
    def text(self) -> str:
        return self.name.text + (f"[{self.output.text}]" if self.output else "")

    @property
    def names(self) -> frozenset[str]:
        """What its expressions read."""
        return self.name.names | (self.output.names if self.output else frozenset())

    def render(self, env: Env) -> str:
        """The edge with its expressions evaluated. Raises `Refusal`."""
        name = self.name.render(env)
        return name if self.output is None else f"{name}[{plain(self.output.evaluate(env))}]"


class Inputs(Record):
    """The inputs of a block or op by name. `rest` takes any number of values behind the others.

    The last `optional` names may be left out. `names_of` are the names as which values of some
    shapes are read, where that may be others than they are given as. With `any_names` the code
    that reads them knows the names, and no text does.
    """

    names: tuple[str, ...]
    rest: str | None = None
    optional: int = 0
    names_of: Callable[[Sequence[Shape]], Sequence[str]] | None = None
    any_names: bool = False

    def __str__(self) -> str:
        return ", ".join([*self.names, *([f"{self.rest}..."] if self.rest else [])])


class NamedInput(Record):
    """One entry of `from: {x: h, memory: m}`; `values` counts the references that are its own."""

    name: str
    span: Span
    values: int


class Repeat(Record):
    """A loop: over a count (`repeat: 3`) or over lists walked together.

    `word` is `repeat`, or `parallel` where the iterations stand side by side.
    """

    times: Argument | None
    variables: tuple[tuple[str, Argument], ...]
    span: Span
    word: str = "repeat"


class Condition(Record):
    """A `when:`."""

    argument: Argument
    span: Span


class Place(Protocol):
    """Where a node stands while the graph is made: all that its form may ask for.

    `env` holds the names in scope there, and sees the shape of what the node reads; `span` is the
    place of the node in its text.
    """

    @property
    def env(self) -> Env: ...

    @property
    def span(self) -> Span: ...

    def within(self, env: Env, span: Span | None = None) -> Place:
        """The same place with other names in scope, for a node that stands at `span`."""

    def make(
        self,
        op: type[Op],
        args: Arguments,
        at: Span,
        added: Arguments | None = None,
        there: Env | None = None,
    ) -> Op:
        """A validated op; `added` arguments are evaluated `there`. Raises `LocatedError`."""

    def op(self, op: Op) -> Step | None:
        """The step of an op on what the node reads; None where that failed. Raises `Refusal`."""

    def call(self, block: Block, args: Arguments, written: Span) -> Step | None:
        """The step of a block, whose call is written at `written`. Raises `Refusal`."""

    def group(self, nodes: tuple[Node, ...]) -> Step | None:
        """The step of nodes in a scope of their own. Raises `Refusal`."""

    def branches(self, paths: tuple[Branch, ...], merge: Node | None) -> Step | None:
        """The step of parallel paths in a scope of their own. Raises `Refusal`."""

    def add(self, diagnostic: Diagnostic) -> None:
        """Reports a diagnostic."""

    def trail(self) -> tuple[Note, ...]:
        """The producers of what the node reads."""


class Branch(Record):
    """One of several paths: nodes that join the list, or one group with the branch's name.

    An empty branch passes its input on, under its name if it has one.
    """

    nodes: tuple[Node, ...]
    name: Template | None
    span: Span


class Form(ABC):
    """What a node is: an op, a call of a block, a group, …

    `word` is what it is written with; `inputs` are edges within it, as in `add: [a, b]`; `merge`
    joins the branches of one that has them.
    """

    __slots__ = ("inputs", "merge", "span", "word")

    joins_list: ClassVar[bool] = False
    """Whether its nodes join the list around it where it has no name."""
    joins_in_repeat: ClassVar[bool] = False
    """Whether its nodes join the list where it repeats and has no name."""

    def __init__(self, word: str, span: Span) -> None:
        self.word, self.span = word, span
        self.inputs: tuple[Reference, ...] | None = None
        self.merge: Node | None = None

    @abstractmethod
    def step(self, place: Place) -> Step | None:
        """The step that the node becomes; None (and diagnostics) where it fails.

        Raises `Refusal` and `LocatedError`.
        """

    @property
    def count(self) -> int | None:
        """How many values it gives; None where its text does not say."""
        return None

    def input_names(self, env: Env) -> Inputs | None:
        """The names of what it reads; None where these have none."""
        return None

    def output_names(self, env: Env) -> tuple[str | None, ...]:
        """The names of what it gives, where these have names."""
        return ()

    @property
    def members(self) -> tuple[Node, ...]:
        """Its own nodes, where they may stand in the list around it."""
        return ()

    def joining(self) -> Iterator[Node]:
        """The nodes that would join the list around it."""
        return iter(())


NO_WEIGHTS: dict[str, tuple[Span, Reference]] = {}
NO_PARAMETRIZE: dict[str, tuple[Span, Form]] = {}


class Node:
    """One entry of a `layers:` list: its form, and the keys that stand beside it.

    It has a `repeat` or is `parallel`, or neither. `merge` joins what the elements of a parallel
    give, or branches. With `shares_one` a loop has one module, which every iteration applies.
    `named` says which inputs its references are, where `from` gives them by name. A `plain` node
    has but a name, edges and `training_only` beside its form, and is one step: most are.
    """

    __slots__ = (
        *("form", "span", "inputs", "named", "name", "name_span"),
        *("when", "otherwise", "repeat", "parallel", "merge"),
        *("share", "shares_one", "training_only"),
        *("trainable", "weights", "parametrize", "both_keys", "plain"),
    )

    def __init__(
        self,
        form: Form,
        span: Span,
        inputs: tuple[Reference, ...] | None = None,
        name: Template | None = None,
        repeat: Repeat | None = None,
        parallel: Repeat | None = None,
    ) -> None:
        self.form, self.span, self.inputs = form, span, inputs
        self.named: tuple[NamedInput, ...] | None = None
        self.name, self.repeat, self.parallel = name, repeat, parallel
        self.merge: Node | None = None
        self.name_span = span if name is not None else None
        self.when: Condition | None = None
        self.otherwise: Node | None = None
        self.share: Reference | None = None
        self.shares_one = False
        self.both_keys = False
        self.training_only = False
        self.trainable: Condition | None = None
        # What stands in the place of the op's weights, by name, each with the place of the name.
        self.weights = NO_WEIGHTS
        # What computes weights of the op, by name, each with the place of the name.
        self.parametrize = NO_PARAMETRIZE
        self.plain = False

    def hand_down(self) -> None:
        """Gives the node under `else` the name and inputs of this one, unless it has inputs."""
        other = self.otherwise
        if other is None:
            return
        if self.repeat is None or (self.name is not None and self.name.is_fixed):
            other.name, other.name_span = self.name, self.name_span
        if other.inputs is None:
            other.inputs, other.named = self.inputs, self.named
        other.training_only |= self.training_only
        other.trainable = other.trainable or self.trainable
        other.plain = other.plain and other.trainable is None
        other.hand_down()

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which `from` gives its inputs, as written."""
        return tuple([each.name for each in self.named]) if self.named else ()

    @property
    def is_bare(self) -> bool:
        """Whether nothing stands beside its form, so that it can stand for a layers parameter."""
        return (
            self.name is None
            and self.inputs is None
            and self.when is None
            and self.repeat is None
            and self.parallel is None
            and self.merge is None
            and self.share is None
            and not self.training_only
            and self.trainable is None
            and not self.weights
            and not self.parametrize
        )


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


class Parameter(Record):
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


class StatedInput(Record):
    """One input as the text states it; `below` bounds whole numbers.

    `span` is the place of the whole, and `shape_span` that of its sizes, which may be the whole.
    """

    sizes: tuple[Argument, ...]
    dtype: str
    below: Argument | None
    span: Span
    shape_span: Span


class Output(Record):
    """One entry of `outputs:`; `name` is None in a list of them."""

    name: str | None
    reference: Reference


class Block:
    """A named graph with parameters. `in_library` blocks come with archspec or a package."""

    def __init__(self, name: str, span: Span, raw: Mapping, in_library: bool) -> None:
        self.name, self.span, self.raw, self.in_library = name, span, raw, in_library
        self.doc = ""
        self.params: dict[str, Parameter] = {}
        self.inputs = Inputs(("input",))
        self.body: tuple[Node, ...] = ()
        self.outputs: tuple[Output, ...] | None = None


class PatchItem(Record):
    """One change to a base spec: replace, insert_before, insert_after or remove at `path`."""

    action: str
    path: str
    span: Span
    nodes: tuple[Node, ...]


class Spec:
    """One file's network, or its changes to the one that it extends, its `base`.

    `said` is what it states beside the network, by key. `overrides` are values for the base's
    parameters. `parse_override` reads a value given for a parameter (name, value, is it layers?)
    as this file would. `reads` are the names that its text reads: in nodes, values, inputs and
    patches.
    """

    def __init__(
        self,
        span: Span,
        said: dict[str, Any],
        base: Spec | None,
        parse_override: Callable[[str, Value, bool], Parameter],
    ) -> None:
        self.span, self.said, self.base = span, said, base
        self.parse_override = parse_override
        self.inputs: dict[str, StatedInput] = {}
        self.params: dict[str, Parameter] = {}
        self.body: tuple[Node, ...] | None = None
        self.outputs: tuple[Output, ...] | None = None
        self.overrides: dict[str, Parameter] = {}
        self.patch: tuple[PatchItem, ...] = ()
        self.reads: set[str] = set()

    @property
    def name(self) -> str:
        name: str = self.said["name"]
        return name
