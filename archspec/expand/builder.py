"""One graph while it is built: its steps, what its names stand for, which steps are read."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from archspec.diagnostics.diagnostic import Code, Note, Refusal
from archspec.document.records import Inputs, Node
from archspec.expand.lookup import Lookup, Refs, place
from archspec.expand.names import PatchTree, beginnings, iteration, split_edge
from archspec.expressions.evaluate import Env
from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.ir.shape import Shape, is_batched, product, show
from archspec.ir.types import ValueType, typed
from archspec.record import Record

Bindings: TypeAlias = list[dict[str, Any]]
"""What a repeat binds, an iteration an entry."""

BEFORE = "-1"
"""The edge that stands for what the node before gives."""

MAX_TRAIL = 6
"""Producers shown with a shape error."""
MAX_WAY = 100
"""Producers that are followed back to where a value took its form."""


class Stop(Exception):
    """The expansion is too large to go on."""


Levels = tuple[PatchTree | None, ...]
"""One tree for each spec of an `extends` chain, the base's child first; None where it has none."""


class Builder(Lookup):
    """Collects the steps of one list."""

    __slots__ = (
        "before",
        "counters",
        "frozen",
        "has_trained",
        "holders",
        "levels",
        "loop",
        "recipes",
        "training_only",
        "unread",
    )

    def __init__(
        self,
        inputs: tuple[Shape, ...],
        types: tuple[ValueType, ...],
        named: Inputs,
        levels: Levels,
        parent: tuple[Builder, Refs] | None,
    ) -> None:
        self.levels = levels if any(levels) else ()
        self.counters = [0] * len(self.levels)
        super().__init__(inputs, types, named, len(self.levels), parent)
        # What the node before the one that is placed gives: `-1` stands for it.
        self.before: Refs | None = None
        # What names with dots begin with: there the module has holders, and no room for a node.
        self.holders: dict[str, str] = {}
        # What each step was made of: for `share`, and for messages about it.
        self.recipes: list[Live] = []
        # Whether there is a step that eval() skips.
        self.has_trained = False
        # Set while the nodes of a training_only repeat or branches join the list.
        self.training_only = False
        # Set while the nodes of a repeat or branches that nothing trains join the list.
        self.frozen = False
        # Whether this is the scope of a named repeat: its node keys belong to the scope.
        self.loop = False
        # The steps that nobody reads, once the list is finished.
        self.unread: list[Step] = []

    @property
    def start(self) -> Refs:
        """What the first node reads: the first input."""
        return (Ref(INPUT, 0),) if self.inputs else ()

    def batch(self, kind: str) -> Ref:
        """An input of the list that has the batch axis, for an op to take its size from."""
        found = next((i for i, x in enumerate(self.inputs) if is_batched(x)), None)
        if found is None:
            raise Refusal(
                f"{kind}: `batch: true` needs a list one of whose inputs has the batch axis",
                code=Code.UNBATCHED,
                expected="an input whose first axis is N",
                found=", ".join(map(show, self.inputs)),
                help="leave `batch` out, or write it in the list around this one",
            )
        return Ref(INPUT, found)

    def read(self, refs: Refs) -> tuple[tuple[Shape, ...], tuple[ValueType, ...]]:
        """Shapes and types of the values."""
        if len(refs) == 1 and refs[0].step != INPUT:
            step = self.steps[refs[0].step]
            if len(step.outputs) == 1:  # most nodes read all that the node before them gives
                return step.outputs, step.types
        return tuple(map(self.shape, refs)), tuple(map(self.type, refs))

    def define(self, name: str, refs: Refs | None) -> None:
        """Give a live node its name. Raises `Refusal` where the list has no room for it."""
        if name in self.names:
            raise Refusal(
                f"the name {name!r} stands twice in this list",
                code=Code.DUPLICATE_NAME,
                expected="each name once",
                found=self._first(name),
            )
        if name in self.input_names or name == self.rest:
            raise Refusal(f"{name!r} is an input of this list", code=Code.DUPLICATE_NAME)
        if name in self.holders:
            self._refuse_beginning(name, self.holders[name], self.holders[name])
        if "." in name:
            for start in beginnings(name):
                if start in self.input_names:
                    self.names[name] = None
                    raise Refusal(
                        f"{name!r} begins with {start!r}, an input of this list",
                        code=Code.DUPLICATE_NAME,
                        help=f"call the input {start}_in",
                    )
                if self.names.get(start) is not None:
                    self._refuse_beginning(start, name, start)
            self.holders.update(dict.fromkeys(beginnings(name), name))
        self.names[name] = refs

    def _refuse_beginning(self, shorter: str, longer: str, other: str) -> None:
        """Refuses two names, of which `other` was there first: one would be inside the other."""
        first = self._first(other) or ""
        self.names[shorter] = self.names[longer] = None  # it is said once; no reader is reported
        raise Refusal(
            f"{shorter!r} is the beginning of {longer!r}, another name of this list",
            code=Code.DUPLICATE_NAME,
            expected="no name that begins another: its module would have to hold the other's",
            found=first.replace("the first", repr(other)),
            help="name the node that has no name, and is called by its number"
            if shorter.isdecimal()
            else f"give one of them another name, or put both into the `layers:` of {shorter!r}",
        )

    def _first(self, name: str) -> str | None:
        """Where the first node of that name stands."""
        refs = self.names[name]
        if not refs or refs[0].step == INPUT:
            return None
        step = self.steps[refs[0].step]
        line = place(step.span)
        if step.name != name:
            return None  # another name for its value
        if step.named:
            return f"the first is at {line}"
        return f"the node at {line}, which has no name, is called by its number"

    def input_edge(self, number: int) -> str:
        """An input as an edge names it."""
        if number < len(self.input_names):
            return self.input_names[number]
        return f"{self.rest}[{number - len(self.input_names)}]"

    def _graph_inputs(self) -> tuple[str, ...]:
        """A name for each input, which no other input and no node of the list has."""
        if self.rest is None:
            return self.input_names
        taken = {*self.input_names, *(step.name for step in self.steps)}
        names = [*self.input_names]
        for number in range(len(self.inputs) - len(names)):
            name = f"{self.rest}_{number}"
            while name in taken:
                name = f"{name}_"
            names.append(name)
        return tuple(names)

    def finish(
        self, block: str | None, outputs: Refs, output_names: tuple[str, ...] | None
    ) -> tuple[Graph, list[Step]]:
        """The graph of the steps that are read, and the steps that nobody reads.

        A step whose module others share stays as its owner, and does not run.
        """
        read = [False] * len(self.steps)
        owners: set[int] = set()
        steps = self.steps
        for ref in outputs:
            if ref.step != INPUT:
                read[ref.step] = True
        for index in range(len(steps) - 1, -1, -1):
            step = steps[index]
            if read[index]:
                for ref in step.inputs:
                    if ref.step != INPUT:
                        read[ref.step] = True
                if step.shares is not None:
                    owners.add(step.shares)
            if read[index] or index in owners:
                owners.update([tie.owner for tie in step.ties])
        unread: list[Step] = []
        if not all(read):
            # Copies: a loop is finished again where others read more of it.
            steps = [
                step if keep else step.changed(idle=True, inputs=()) if index in owners else step
                for index, (step, keep) in enumerate(zip(steps, read, strict=True))
            ]
            unread = [step for step, keep in zip(steps, read, strict=True) if not keep]
            used = [keep or index in owners for index, keep in enumerate(read)]
            moved = {INPUT: INPUT}
            for index, keep in enumerate(used):
                if keep:
                    moved[index] = len(moved) - 1
            steps = [
                step.changed(
                    inputs=tuple([Ref(moved[ref.step], ref.output) for ref in step.inputs]),
                    shares=step.shares if step.shares is None else moved[step.shares],
                    ties=tuple([tie._replace(owner=moved[tie.owner]) for tie in step.ties]),
                )
                for step, keep in zip(steps, used, strict=True)
                if keep
            ]
            outputs = tuple(Ref(moved[ref.step], ref.output) for ref in outputs)
        graph = Graph(
            *(block, self._graph_inputs(), self.inputs, self.input_types),
            *(tuple(steps), outputs, output_names),
        )
        return graph, unread

    def trail(self, refs: Refs) -> tuple[Note, ...]:
        """The producers of the values, back to where each took its present form."""
        notes: list[Note] = []
        most = max(MAX_TRAIL // len(refs), 1) if refs else 0
        for number, ref in enumerate(refs[:MAX_TRAIL], start=1):
            way: list[Note] = []
            self._follow(ref, way)
            if len(refs) > 1 and way:
                way[0] = way[0]._replace(message=f"input {number}: {way[0].message}")
            # The last one stays: there the value took its form.
            notes += way if len(way) <= most else [*way[: most - 1], way[-1]]
        return tuple(dict.fromkeys(notes))

    def _follow(self, ref: Ref, notes: list[Note]) -> None:
        builder: Builder = self
        for _ in range(MAX_WAY):
            while ref.step == INPUT:
                if builder.parent is None:
                    name = builder.input_names[ref.output]
                    shown = typed(builder.inputs[ref.output], builder.input_types[ref.output])
                    notes.append(Note(f"{name} {shown}"))
                    return
                shape = builder.inputs[ref.output]
                builder, refs = builder.parent
                ref = refs[ref.output]
                assert builder.shape(ref) == shape
            step = builder.steps[ref.step]
            title = step.kind if step.name.isdigit() else f"{step.name} ({step.kind})"
            given = typed(step.outputs[ref.output], step.types[ref.output])
            notes.append(Note(f"{title} gives {given}", step.span))
            if not step.inputs or typed(step.input_shapes[0], step.input_types[0]) != given:
                return
            ref = step.inputs[0]


class Choice(Record):
    """The node of a chain of `else` that stands there, or the last one where none does.

    `refs` is what its condition saw. `absent` are the others, with how many values each would give.
    """

    node: Node
    is_there: bool
    refs: Refs
    absent: list[tuple[Node, int | None]]


class Element(Record):
    """One element of a `parallel`: what it binds and reads, and the node that stands there.

    That is the node itself or what its `else` says; None where the first value is handed on.
    `choice` says why, where there is a `when`.
    """

    binding: dict[str, Any]
    reads: Refs
    node: Node | None
    choice: Choice | None


class Live:
    """A node that is there: its name, rendered, and what a named repeat binds in its iterations.

    `elements` are those of a named parallel, which read the inputs of its scope. `level` is the
    first level of patches that applies to it. `step` is the index of the step made of it, and
    `levels` are the patches for the nodes inside. `scope` is that of a named loop.
    """

    __slots__ = ("bindings", "elements", "env", "level", "levels", "name", "node", "scope", "step")

    def __init__(
        self,
        node: Node,
        name: str | None,
        bound: Bindings | list[Element] | None,
        env: Env,
        level: int,
    ) -> None:
        self.node, self.name = node, name
        self.bindings: Bindings | None = None
        self.elements: list[Element] | None = None
        if bound is not None and node.parallel is None:
            self.bindings = cast("Bindings", bound)
        elif bound is not None:
            self.elements = cast("list[Element]", bound)
        self.env, self.level = env, level
        self.levels: Levels = ()
        self.step: int | None = None
        self.scope: Builder | None = None


class Site(Record):
    """Where a node is placed: its list, the names in scope, and what the list's first node reads.

    `level` is the first level of patches that applies to the node.
    """

    builder: Builder
    env: Env
    start: Refs | None
    level: int = 0

    def over(self, refs: Refs) -> Env:
        """The environment of a node that reads `refs`: it sees the shape of the first of them."""
        env = self.env
        env.shape = self.builder.shape(refs[0]) if refs else None
        env.edge = self.shape
        return env

    def value(self, name: str) -> Refs | None:
        """The values that a name stands for; None where their node failed. Raises `Refusal`."""
        b = self.builder
        if name == BEFORE:
            return b.before
        if name == "input" and "input" not in b.names:
            return self.start
        return b.find(name, self.level)

    def shape(self, edge: str) -> Shape:
        """The shape of an earlier value of the list. Raises `Refusal`."""
        b, level = self.builder, self.level
        _, _, output = found = split_edge(edge, lambda name: b.is_name(name, level))
        index = iteration(output or "0")
        path = edge if index is None else found.path
        refs = self.value(path)
        if refs is None:
            raise Refusal(f"the size of {edge!r} is not known: its node is wrong")
        if index is None or index >= len(refs) or (len(refs) > 1 and output is None):
            count = f"{len(refs)} outputs, counted from 0"
            raise Refusal(
                f"{path!r} " + ("stands for several values" if "*" in path else f"has {count}"),
                code=Code.OUTPUT_INDEX,
                expected="one of them: '"
                + (path.replace("*", "0'") if "*" in path else f"{path}[0]'"),
            )
        return b.shape(refs[index])


def parameter_count(step: Step) -> int:
    """Parameters of a step and all below it, shared ones left out."""
    counted: dict[Graph, int] = {}  # one graph may stand in a step very many times

    def of_step(step: Step) -> int:
        if step.shares is not None:
            return 0
        if step.body is not None:
            if step.body not in counted:
                counted[step.body] = sum(map(of_step, step.body.steps))
            return counted[step.body]
        assert step.op is not None
        weights = step.op.weights(*step.input_shapes)
        return sum(product(weight.shape) for weight in weights if not weight.buffer)

    return of_step(step)
