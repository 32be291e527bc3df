"""Graphs of primitive ops, nested as the modules will be.

A `Graph` is one list of a spec after expansion: steps in order, each an op or a nested graph.
It holds no paths, so a block that is called twice with equal arguments and input shapes is one
`Graph` object used by two steps; paths come from walking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from archspec.diagnostics.diagnostic import Span
from archspec.ir.op import Op
from archspec.ir.shape import Shape
from archspec.ir.types import ValueType
from archspec.record import Record

T = TypeVar("T")

_NO_PARAMS: Mapping[str, Any] = {}

INPUT = -1
"""`Ref.step` of the graph's own inputs."""


class Ref(Record):
    """A value within one graph: output `output` of step `step`, or input `output` at `INPUT`."""

    step: int
    output: int = 0


class Tie(Record):
    """A weight of a step that is the parameter `key` of step `owner` in the same graph."""

    name: str
    owner: int
    key: str


class Step:
    """One node: exactly one of `op` and `body` is set.

    `outputs` are the shapes of its outputs, and `types` their types.
    `name` is the last part of its module path: the given name, or its position in its list.
    `shares` is the index of the step in the same graph whose module it reuses. With `both_keys`
    its name is a second name of that module.
    `training_only` steps are skipped in eval(); only such steps, and outputs, read them.
    `ties` are those of its weights that are parameters of earlier steps.
    `means` names the steps whose values its name stands for, where that is not only the step
    itself: it is then the first step of a loop whose iterations apply one module.
    `frozen` steps own parameters that nothing trains.
    `idle` steps never run and read nothing: they own a module that others share.
    """

    __slots__ = (
        *("name", "op", "body", "span"),
        *("inputs", "input_shapes", "input_types", "outputs", "types"),
        *("named", "training_only", "shares", "idle", "frozen", "ties", "both_keys", "means"),
    )

    def __init__(
        self,
        name: str,
        op: Op | None,
        body: Graph | None,
        inputs: tuple[Ref, ...],
        input_shapes: tuple[Shape, ...],
        input_types: tuple[ValueType, ...],
        outputs: tuple[Shape, ...],
        types: tuple[ValueType, ...],
        span: Span,
        named: bool = False,
        training_only: bool = False,
        shares: int | None = None,
        idle: bool = False,
        frozen: bool = False,
        ties: tuple[Tie, ...] = (),
        both_keys: bool = False,
        means: tuple[str, ...] = (),
    ) -> None:
        self.means = means
        self.frozen, self.ties, self.both_keys = frozen, ties, both_keys
        self.name, self.op, self.body, self.span, self.named = name, op, body, span, named
        self.inputs, self.input_shapes, self.input_types = inputs, input_shapes, input_types
        self.outputs, self.types = outputs, types
        self.training_only, self.shares, self.idle = training_only, shares, idle

    def changed(self, **changes: Any) -> Step:
        """A copy with other values of some attributes."""
        return Step(**{key: getattr(self, key) for key in self.__slots__} | changes)

    @property
    def kind(self) -> str:
        """The op's name, the block's name, or `group`."""
        if self.op is not None:
            return self.op.op_name
        return (self.body.block if self.body else None) or "group"


class Graph:
    """A list of steps with its inputs and outputs. `block` is the block's name, if it is one.

    `output_names` is None for an unnamed single output (a tensor is returned) and for a block's
    unnamed outputs (a tuple is returned); the root graph of a spec with `outputs:` has names and
    returns a dict, or a tensor where one output is left. With `always_named` it is always a dict.
    The last `taken` outputs of a loop are values of single iterations that other nodes read.
    Of a block `params` are the values of its parameters by name, and `doc` is its description.
    """

    __slots__ = (
        *("block", "input_names", "inputs", "input_types", "steps", "outputs"),
        *("output_names", "always_named", "taken", "params", "doc"),
    )

    params: Mapping[str, Any]
    doc: str

    def __init__(
        self,
        block: str | None,
        input_names: tuple[str, ...],
        inputs: tuple[Shape, ...],
        input_types: tuple[ValueType, ...],
        steps: tuple[Step, ...],
        outputs: tuple[Ref, ...],
        output_names: tuple[str, ...] | None = None,
        always_named: bool = False,
        taken: int = 0,
    ) -> None:
        self.block, self.input_names = block, input_names
        self.inputs, self.input_types = inputs, input_types
        self.steps, self.outputs = steps, outputs
        self.output_names, self.always_named, self.taken = output_names, always_named, taken
        self.params, self.doc = _NO_PARAMS, ""

    def shape(self, ref: Ref) -> Shape:
        """The shape of a value of this graph."""
        if ref.step == INPUT:
            return self.inputs[ref.output]
        return self.steps[ref.step].outputs[ref.output]

    def type(self, ref: Ref) -> ValueType:
        """The type of a value of this graph."""
        if ref.step == INPUT:
            return self.input_types[ref.output]
        return self.steps[ref.step].types[ref.output]

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        return tuple(map(self.shape, self.outputs))

    @property
    def output_types(self) -> tuple[ValueType, ...]:
        return tuple(map(self.type, self.outputs))


def trained_only(graph: Graph, ref: Ref) -> bool:
    """Whether a value of `graph` exists only in `train()`."""
    if ref.step == INPUT:
        return False
    step = graph.steps[ref.step]
    if step.training_only or step.body is None:
        return step.training_only
    return trained_only(step.body, step.body.outputs[ref.output])


def only(named: dict[str, T]) -> T | dict[str, T]:
    """The value where there is one, else all by name."""
    return next(iter(named.values())) if len(named) == 1 else named


def count_runs(graph: Graph) -> int:
    """How many ops one pass through the graph runs. A graph used twice is walked once."""
    return _count_runs(graph, {})


def _count_runs(graph: Graph, known: dict[Graph, int]) -> int:
    if graph not in known:
        runs = 0
        for step in graph.steps:
            if not step.idle:
                runs += 1 if step.body is None else _count_runs(step.body, known)
        known[graph] = runs
    return known[graph]


class Visit(Record):
    """A step met while walking: its full path, its depth (0 at the root's list), its graph.

    `shared` is True for a step that uses another's module, and for all below such a step: it
    runs, and costs, but owns nothing. `module_path` is where the module it calls really lives.
    `idle` is True for a step that does not run, and for all below it: it owns, and costs nothing.
    `frozen` is True for a step whose parameters nothing trains, and for all below it.
    """

    path: str
    depth: int
    step: Step
    graph: Graph
    shared: bool
    training_only: bool
    module_path: str
    idle: bool
    frozen: bool


def walk(graph: Graph) -> Iterator[Visit]:
    """Every step in order, a nested graph's step before the steps inside it."""
    return _walk(graph, "", "", 0, False, False, False, False)


def _walk(
    graph: Graph,
    prefix: str,
    module_prefix: str,
    depth: int,
    shared: bool,
    training_only: bool,
    idle: bool,
    frozen: bool,
) -> Iterator[Visit]:
    for step in graph.steps:
        path = prefix + step.name
        owner = step if step.shares is None else graph.steps[step.shares]
        module_path = module_prefix + owner.name
        step_shared = shared or step.shares is not None
        step_training = training_only or step.training_only
        step_idle, step_frozen = idle or step.idle, frozen or step.frozen
        marks = (step_shared, step_training, module_path, step_idle, step_frozen)
        yield Visit(path, depth, step, graph, *marks)
        if step.body is not None:
            yield from _walk(
                step.body,
                f"{path}.",
                f"{module_path}.",
                depth + 1,
                step_shared,
                step_training,
                step_idle,
                step_frozen,
            )


def is_following(step: Step) -> bool:
    """Whether code may compute the arguments of a step's op: the size of a weight never changes."""
    op = step.op
    return op is not None and op.follows and not op.weights(*step.input_shapes)
