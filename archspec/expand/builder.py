"""One graph while it is built: its steps, what its names stand for, which steps are read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Code, Note, Refusal, Span
from archspec.diagnostics.suggestions import certain_word, did_you_mean
from archspec.document.records import Node, PatchItem
from archspec.expressions.evaluate import Env
from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.ir.op import REGISTRY
from archspec.ir.shape import Shape, is_batched, product, show
from archspec.ir.types import ValueType, typed
from archspec.record import Record

Refs: TypeAlias = tuple[Ref, ...]
Bindings: TypeAlias = list[dict[str, Any]]
"""What a repeat binds, an iteration an entry."""

_EDGE = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<index>[0-9]{1,9})\])?")
"""An edge as `size` names it."""

MAX_TRAIL = 6
"""Producers shown with a shape error."""
MAX_WAY = 100
"""Producers that are followed back to where a value took its form."""


class Stop(Exception):
    """The expansion is too large to go on."""


class PatchTree:
    """The patches below one path: those of the path itself, and by label those below it."""

    def __init__(self) -> None:
        self.items: list[PatchItem] = []
        self.children: dict[str, PatchTree] = {}

    @classmethod
    def of(cls, items: Iterable[PatchItem]) -> PatchTree:
        root = cls()
        for item in items:
            tree = root
            for label in item.path.split("."):
                tree = tree.children.setdefault(label, cls())
            tree.items.append(item)
        return root


Levels = tuple[PatchTree | None, ...]
"""One tree for each spec of an `extends` chain, the base's child first; None where it has none."""


class Builder:
    """Collects the steps of one list. `parent` is where it is called, and what it was given."""

    __slots__ = (
        "counters",
        "dead_names",
        "frozen",
        "has_trained",
        "input_names",
        "input_types",
        "inputs",
        "labels",
        "levels",
        "lists",
        "loop",
        "modules",
        "names",
        "parent",
        "position",
        "recipes",
        "steps",
        "training_only",
        "uncertain",
    )

    def __init__(
        self,
        inputs: tuple[Shape, ...],
        types: tuple[ValueType, ...],
        input_names: tuple[str, ...],
        levels: Levels,
        parent: tuple[Builder, Refs] | None,
    ) -> None:
        self.inputs, self.input_types, self.input_names = inputs, types, input_names
        self.steps: list[Step] = []
        # None where the node failed: its readers are not reported.
        self.names: dict[str, Refs | None] = {}
        self.dead_names: dict[str, Refs | None] = {}
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
        """Give a live node its name. Raises `Refusal` where the list has that name already."""
        if name in self.names:
            raise Refusal(
                f"the name {name!r} stands twice in this list",
                code=Code.DUPLICATE_NAME,
                expected="each name once",
                found=self._first(name),
            )
        if name in self.input_names:
            raise Refusal(f"{name!r} is an input of this list", code=Code.DUPLICATE_NAME)
        self.names[name] = refs

    def _first(self, name: str) -> str | None:
        """Where the first node of that name stands."""
        refs = self.names[name]
        if not refs or refs[0].step == INPUT:
            return None
        step = self.steps[refs[0].step]
        line = place(step.span)
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
            return self.dead_names[name]
        if name in self.input_names:
            return (Ref(INPUT, self.input_names.index(name)),)
        for node in (node for nodes in self.lists for node in nodes):
            if node.name is not None and node.name.text == name:
                raise Refusal(
                    f"{name!r} stands after the node that reads it",
                    code=Code.FORWARD_REFERENCE,
                    expected="a node before this one: a graph has no cycles",
                    help=f"move {name!r}, at {place(node.span)}, before its reader",
                )
        known = [*names, *self.dead_names, *self.input_names]
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
        outer = name.partition(".")[0]
        if outer != name and outer in self.names:
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

    def finish(
        self, block: str | None, outputs: Refs, output_names: tuple[str, ...] | None
    ) -> tuple[Graph, list[Step]]:
        """The graph of the steps that are read, and the steps that nobody reads.

        A step whose module others share stays as its owner, and does not run.
        """
        read = [False] * len(self.steps)
        owners: set[int] = set()
        for ref in outputs:
            if ref.step != INPUT:
                read[ref.step] = True
        for index in range(len(self.steps) - 1, -1, -1):
            step = self.steps[index]
            if read[index]:
                for ref in step.inputs:
                    if ref.step != INPUT:
                        read[ref.step] = True
                if step.shares is not None:
                    owners.add(step.shares)
            elif index in owners:
                step.idle, step.inputs = True, ()
            if read[index] or index in owners:
                owners.update([tie.owner for tie in step.ties])
        steps: Sequence[Step] = self.steps
        unread: list[Step] = []
        if not all(read):
            unread = [step for step, keep in zip(steps, read, strict=True) if not keep]
            used = [keep or index in owners for index, keep in enumerate(read)]
            moved = {INPUT: INPUT}
            for index, keep in enumerate(used):
                if keep:
                    moved[index] = len(moved) - 1
            steps = [step for step, keep in zip(self.steps, used, strict=True) if keep]
            for step in steps:
                step.inputs = tuple(Ref(moved[ref.step], ref.output) for ref in step.inputs)
                if step.shares is not None:
                    step.shares = moved[step.shares]
                step.ties = tuple([tie._replace(owner=moved[tie.owner]) for tie in step.ties])
            outputs = tuple(Ref(moved[ref.step], ref.output) for ref in outputs)
        graph = Graph(
            *(block, self.input_names, self.inputs, self.input_types),
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


class Live:
    """A node that is there: its name, rendered, and what a named repeat binds in its iterations.

    `level` is the first level of patches that applies to it. `step` is the index of the step made
    of it, and `levels` are the patches for the nodes inside.
    """

    __slots__ = ("bindings", "env", "level", "levels", "name", "node", "step")

    def __init__(
        self, node: Node, name: str | None, bindings: Bindings | None, env: Env, level: int
    ) -> None:
        self.node, self.name, self.bindings = node, name, bindings
        self.env, self.level = env, level
        self.levels: Levels = ()
        self.step: int | None = None


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

    def shape(self, edge: str) -> Shape:
        """The shape of an earlier value of the list. Raises `Refusal`."""
        found = _EDGE.fullmatch(edge)
        name, index = (found["name"], int(found["index"] or 0)) if found else (edge, 0)
        is_input = name == "input" and "input" not in self.builder.names
        refs = self.start if is_input else self.builder.look_up(name, self.level)
        if refs is None:
            raise Refusal(f"the size of {edge!r} is not known: its node is wrong")
        if index >= len(refs) or (len(refs) > 1 and not (found and found["index"])):
            raise Refusal(
                f"{name!r} has {len(refs)} outputs, counted from 0",
                code=Code.OUTPUT_INDEX,
                expected=f"one of them: '{name}[0]'",
            )
        return self.builder.shape(refs[index])


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
