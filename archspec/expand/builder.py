"""One graph while it is built: its steps, what its names stand for, which steps are read."""

from __future__ import annotations

import math
from typing import Any, TypeAlias, cast

from archspec.diagnostics.diagnostic import Code, Note, Refusal, Span
from archspec.diagnostics.suggestions import certain_word, did_you_mean
from archspec.document.records import Inputs, Node
from archspec.expand.names import Edge, PatchTree, beginnings, iteration, number_after, split_edge
from archspec.expressions.evaluate import Env
from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.ir.op import REGISTRY
from archspec.ir.shape import Shape, is_batched, product, show
from archspec.ir.types import ValueType, typed
from archspec.record import Record

Refs: TypeAlias = tuple[Ref, ...]


class HandedOn(tuple[Ref, ...]):
    """The first input of `node`, which is not there; empty where that is not there either.

    `before` is what the node before it gives.
    """

    node: Node
    before: Refs

    @classmethod
    def by(cls, node: Node, passed: Refs, before: Refs) -> HandedOn:
        made = cls(passed)
        made.node, made.before = node, before
        return made


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


class Builder:
    """Collects the steps of one list. `parent` is where it is called, and what it was given."""

    __slots__ = (
        "applied",
        "before",
        "counters",
        "dead_names",
        "frozen",
        "has_trained",
        "holders",
        "input_names",
        "input_types",
        "inputs",
        "iterations",
        "labels",
        "levels",
        "lists",
        "loop",
        "loops",
        "modules",
        "names",
        "own",
        "parent",
        "position",
        "recipes",
        "rest",
        "steps",
        "taken",
        "training_only",
        "uncertain",
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
        self.inputs, self.input_types = inputs, types
        # The rest of the inputs, behind those that have names of their own, has one name.
        self.input_names, self.rest = named.names, named.rest
        self.steps: list[Step] = []
        # What the node before the one that is placed gives: `-1` stands for it.
        self.before: Refs | None = None
        # None where the node failed: its readers are not reported.
        self.names: dict[str, Refs | None] = {}
        self.dead_names: dict[str, Refs | None] = {}
        # What names with dots begin with: there the module has holders, and no room for a node.
        self.holders: dict[str, str] = {}
        # What each step was made of: for `share`, and for messages about it.
        self.recipes: list[Live] = []
        self.position = 0
        self.levels = levels if any(levels) else ()
        self.counters = [0] * len(self.levels)
        # What names and numbers mean in the patches of each level.
        self.labels: list[dict[str, Refs | None]] = [{} for _ in self.levels]
        # Which step a name or number means as a module: for each level, and for the result.
        self.modules: list[dict[str, int]] = [{} for _ in range(len(self.levels) + 1)]
        self.parent = parent
        # The lists of nodes that are placed here, to recognise a name that comes later.
        self.lists: list[tuple[Node, ...]] = []
        # Numbers from this one on are uncertain: a node failed that would have taken some.
        self.uncertain: float = math.inf
        # Whether there is a step that eval() skips.
        self.has_trained = False
        # Set while the nodes of a training_only repeat or branches join the list.
        self.training_only = False
        # Set while the nodes of a repeat or branches that nothing trains join the list.
        self.frozen = False
        # Whether this is the scope of a named repeat: its node keys belong to the scope.
        self.loop = False
        # What each iteration of that scope gives, and what the whole of it does.
        self.iterations: list[Refs] = []
        self.own: Refs = ()
        # Scopes of named repeats by their steps, and which of their iterations are read from here:
        # number and output, with the position among all that are.
        self.loops: dict[int, Builder] = {}
        self.taken: dict[int, dict[tuple[int, int], int]] = {}
        # What each iteration gives of a loop that has one module, by the step of the first.
        self.applied: dict[int, list[Refs]] = {}
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

    def shape(self, ref: Ref) -> Shape:
        if ref.step == INPUT:
            return self.inputs[ref.output]
        return self.steps[ref.step].outputs[ref.output]

    def type(self, ref: Ref) -> ValueType:
        if ref.step == INPUT:
            return self.input_types[ref.output]
        return self.steps[ref.step].types[ref.output]

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

    def _elsewhere(self, name: str) -> str | None:
        """Help for a name of another list: one inside a node of this list, or one around it."""
        for step in self.steps:
            if step.body is not None and any(inner.name == name for inner in step.body.steps):
                return f"it stands inside {step.name!r}, and only {step.name!r} can be read here"
        outer = self.parent[0] if self.parent else None
        while outer is not None:
            if name in outer.names:
                return (
                    "it stands in the list around this one, whose nodes cannot be read here: "
                    "make this a block with `inputs:`"
                )
            outer = outer.parent[0] if outer.parent else None
        return None

    def find(self, path: str, level: int) -> Refs | None:
        """What an edge names, without an output; None where its node failed. Raises `Refusal`.

        That is a node, an iteration of a loop (`layer.2`), or all of them (`layer.*`); `y.*` also
        stands for the nodes y.0, y.1, ….
        """
        if "." not in path or self.is_name(path, level):
            return self.look_up(path, level)
        edge = split_edge(path, lambda name: self.is_name(name, level))
        loop = self.modules[level].get(edge.name, INPUT)
        if loop in self.applied or loop in self.loops:
            return self._iterations(loop, edge)
        if self.names.get(edge.name, ()) is None:
            return None
        if self.uncertain < math.inf and self._may_be_numbered(path.rpartition(".")[0]):
            return None  # the loop that would have made it is wrong, or stands behind what is
        if path.endswith(".*"):
            return self._numbered(path[:-2], level)
        return self.look_up(path, level)

    def is_name(self, name: str, level: int) -> bool:
        """Whether a value of the list is called so, as the readers of a level see it."""
        names = self.labels[level] if level < len(self.labels) else self.names
        known = (names, self.names, self.dead_names, self.input_names)
        return any(name in each for each in known)

    def _iterations(self, loop: int, edge: Edge) -> Refs | None:
        """What one iteration of a loop gives, or all do in order."""
        given, chosen = self.applied.get(loop), iteration(edge.rest)
        made = self.loops[loop].iterations if given is None else given
        count = len(made)
        if edge.rest != "*" and (chosen is None or chosen >= count):
            inside = edge.rest.partition(".")[0]
            raise Refusal(
                f"{edge.rest!r} is no iteration of the loop {edge.name!r}",
                code=Code.UNKNOWN_NODE,
                expected=f"a number from 0 to {count - 1}, or * for all of them",
                help=f"{edge.name}.{inside} can be read here, and no node inside it"
                if inside != edge.rest
                else None,
            )
        numbers = range(count) if chosen is None else (chosen,)
        if given is not None:
            return tuple([ref for number in numbers for ref in given[number]])
        return tuple(
            [
                self._taken(loop, number, output)
                for number in numbers
                for output in range(len(made[number]))
            ]
        )

    def _taken(self, loop: int, number: int, output: int) -> Ref:
        """A value that an iteration gives, as one more output of its loop unless it is one."""
        scope, step = self.loops[loop], self.steps[loop]
        inner = scope.iterations[number][output]
        if inner.step == INPUT:
            return step.inputs[inner.output]
        if inner in scope.own:
            return Ref(loop, scope.own.index(inner))
        if scope.steps[inner.step].training_only:
            raise Refusal(
                f"{step.name}.{number} is training_only, and a loop gives no such value",
                code=Code.TRAINING_ONLY,
            )
        taken = self.taken.setdefault(loop, {})
        if (number, output) not in taken:
            taken[number, output] = len(taken)
            step.outputs = (*step.outputs, scope.shape(inner))
            step.types = (*step.types, scope.type(inner))
        return Ref(loop, len(scope.own) + taken[number, output])

    def numbers(self, start: str, level: int) -> list[int]:
        """The iterations of a loop, or the numbers of the nodes start.0, start.1, …."""
        loop = self.modules[level].get(start, INPUT)
        if loop in self.applied or loop in self.loops:
            given = self.applied.get(loop)
            return list(range(len(self.loops[loop].iterations if given is None else given)))
        names = self.labels[level] if level < len(self.labels) else self.names
        return sorted(n for name in names if (n := number_after(start, name)) is not None)

    def _numbered(self, start: str, level: int) -> Refs | None:
        """What the nodes start.0, start.1, … give that are there."""
        names = self.labels[level] if level < len(self.labels) else self.names
        numbers = self.numbers(start, level)
        found = [names[f"{start}.{number}"] for number in numbers]
        if any(refs is None for refs in found) or self.names.get(start, ()) is None:
            return None
        if not found and not self._may_be_numbered(start):
            starts = {name.rpartition(".")[0] for name in names if "." in name}
            starts |= {self.steps[loop].name for loop in self.loops}
            near = did_you_mean(start, starts)
            raise Refusal(
                f"no nodes before this one are called {start}.0, {start}.1, …",
                code=Code.UNKNOWN_NODE,
                expected="a loop with a name, or nodes whose names are numbered by `.{index}`",
                help=f"{start!r} is one node, and no loop" if start in names else near,
            )
        return tuple([ref for refs in found if refs for ref in refs])

    def _may_be_numbered(self, start: str) -> bool:
        """Whether the text has such nodes, or a loop, that are not there."""
        if start in self.dead_names:
            return True
        waiting = [node for nodes in self.lists for node in nodes]
        while waiting:
            node = waiting.pop()
            if node.name is None:
                waiting += node.form.joining()
            elif not node.name.is_fixed and node.name.text.startswith(f"{start}."):
                return True
        return False

    def look_up(self, name: str, level: int) -> Refs | None:
        """What a name stands for; None where its node failed. Raises `Refusal`.

        `level` is the first level of patches that applies to the reader. Its writer saw the
        numbers that nodes have below those patches.
        """
        names = self.labels[level] if level < len(self.labels) else self.names
        if self.uncertain < math.inf and name.isdecimal() and int(name) >= self.uncertain:
            return None
        if name in names:
            return names[name]
        if self.names.get(name, ()) is None:
            return None
        if name in self.dead_names:
            return _found(name, self.dead_names[name])
        if name in self.input_names:
            return (Ref(INPUT, self.input_names.index(name)),)
        if name == self.rest:
            return tuple([Ref(INPUT, i) for i in range(len(self.input_names), len(self.inputs))])
        for node in (node for nodes in self.lists for node in nodes):
            later = node.name.text if node.name is not None else ""
            is_inside = later and name.startswith(f"{later}.") and not self.is_name(later, level)
            if later == name or is_inside:
                raise Refusal(
                    f"{later!r} stands after the node that reads it",
                    code=Code.FORWARD_REFERENCE,
                    expected="a node before this one: a graph has no cycles",
                    help=f"move {later!r}, at {place(node.span)}, before its reader",
                )
        rest = [self.rest] if self.rest else []
        known = [*dict.fromkeys((*names, *self.dead_names, *self.input_names, *rest))]
        elsewhere = self._elsewhere(name)
        if "input" not in known:
            known.append("input")
        raise Refusal(
            f"no node before this one is called {name!r}",
            code=Code.UNKNOWN_NODE,
            expected=f"one of {', '.join(known[-12:])}",
            help=elsewhere
            or self._counted_back(name)
            or did_you_mean(name, known)
            or self._called(name),
            replacement=None if elsewhere else certain_word(name, known),
        )

    def _counted_back(self, name: str) -> str | None:
        """Help for `-1`, which counts from the node that reads."""
        back = int(name[1:]) if name[:1] == "-" and name[1:].isdecimal() else 0
        if not 1 <= back <= len(self.steps):
            return None
        step = self.steps[-back]
        where = f"the {step.kind} at {place(step.span)}"
        return f"nodes are counted from the first: {where} is {step.name!r}"

    def _called(self, name: str) -> str | None:
        """Help where a node is named by its op, its position or its path."""
        outer = split_edge(name, self.names.__contains__).name
        if outer and outer != name:
            return f"only {outer!r} itself can be read here, and no node inside it"
        if name.isdigit() and int(name) < len(self.steps) == self.position:
            return f"the node at that position is called {self.steps[int(name)].name!r}"
        of_kind = [step for step in self.steps if step.kind == name]
        if of_kind:
            step = of_kind[-1]
            return f"the {name} at {place(step.span)} is called {step.name!r} here"
        if name in REGISTRY:
            return f"{name} is an op, and edges name nodes; for parallel paths write `branches:`"
        return None

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


def _found(name: str, refs: Refs | None) -> Refs | None:
    """What the name of a node stands for that is not there. Raises `Refusal` for nothing."""
    if refs.__class__ is HandedOn and not refs:
        node = refs.node
        wanted = node.inputs[0].text if node.inputs else "input"
        raise Refusal(
            f"{name!r} is not there, and {wanted!r}, which it would read, is not there either",
            code=Code.ABSENT,
            help=f"say with `else:` at {place(node.span)} what stands there",
        )
    return refs


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


def place(span: Span) -> str:
    """`line 12`, for messages that name a second place of the same file."""
    return f"line {span.line}"
