"""What the names of one list stand for, as the nodes that read them see it."""

from __future__ import annotations

import math
from typing import Self, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal, Span
from archspec.diagnostics.suggestions import certain_word, did_you_mean
from archspec.document.records import Inputs, Node
from archspec.expand.names import Edge, iteration, number_after, split_edge
from archspec.ir.graph import INPUT, Ref, Step
from archspec.ir.op import REGISTRY
from archspec.ir.shape import Shape
from archspec.ir.types import ValueType

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


class Lookup:
    """One list: its inputs, its steps, and what its names stand for.

    `parent` is the list where it is called, with the values that it was given there.
    """

    __slots__ = (
        "applied",
        "dead_names",
        "input_names",
        "input_types",
        "inputs",
        "iterations",
        "labels",
        "lists",
        "loops",
        "modules",
        "names",
        "own",
        "parent",
        "position",
        "rest",
        "steps",
        "taken",
        "uncertain",
    )

    def __init__(
        self,
        inputs: tuple[Shape, ...],
        types: tuple[ValueType, ...],
        named: Inputs,
        levels: int,
        parent: tuple[Self, Refs] | None,
    ) -> None:
        self.inputs, self.input_types = inputs, types
        # The rest of the inputs, behind those that have names of their own, has one name.
        self.input_names, self.rest = named.names, named.rest
        self.steps: list[Step] = []
        # None where the node failed: its readers are not reported.
        self.names: dict[str, Refs | None] = {}
        self.dead_names: dict[str, Refs | None] = {}
        self.position = 0
        # What names and numbers mean in the patches of each level.
        self.labels: list[dict[str, Refs | None]] = [{} for _ in range(levels)]
        # Which step a name or number means as a module: for each level, and for the result.
        self.modules: list[dict[str, int]] = [{} for _ in range(levels + 1)]
        self.parent = parent
        # The lists of nodes that are placed here, to recognise a name that comes later.
        self.lists: list[tuple[Node, ...]] = []
        # Numbers from this one on are uncertain: a node failed that would have taken some.
        self.uncertain: float = math.inf
        # Of the scope of a named repeat: what each iteration gives, and what the whole of it does.
        self.iterations: list[Refs] = []
        self.own: Refs = ()
        # Scopes of named repeats by their steps, and which of their iterations are read from here:
        # number and output, with the position among all that are.
        self.loops: dict[int, Self] = {}
        self.taken: dict[int, dict[tuple[int, int], int]] = {}
        # What each iteration gives of a loop that has one module, by the step of the first.
        self.applied: dict[int, list[Refs]] = {}

    def shape(self, ref: Ref) -> Shape:
        if ref.step == INPUT:
            return self.inputs[ref.output]
        return self.steps[ref.step].outputs[ref.output]

    def type(self, ref: Ref) -> ValueType:
        if ref.step == INPUT:
            return self.input_types[ref.output]
        return self.steps[ref.step].types[ref.output]

    def _seen(self, level: int) -> dict[str, Refs | None]:
        """What names stand for to the readers of a level."""
        return self.labels[level] if level < len(self.labels) else self.names

    def is_name(self, name: str, level: int) -> bool:
        """Whether a value of the list is called so, as the readers of a level see it."""
        names = self._seen(level)
        known = (names, self.names, self.dead_names, self.input_names)
        return any(name in each for each in known)

    def find(self, path: str, level: int) -> Refs | None:
        """What an edge names, without an output; None where its node failed. Raises `Refusal`.

        That is a node, an iteration of a loop (`layer.2`), or all of them (`layer.*`); `y.*` also
        stands for the nodes y.0, y.1, ….
        """
        if "." not in path or self.is_name(path, level):
            return self.look_up(path, level)
        edge = split_edge(path, lambda name: self.is_name(name, level))
        loop = self.modules[level].get(edge.name, INPUT)
        if (made := self._made(loop)) is not None:
            return self._iterations(loop, edge, made)
        if self.names.get(edge.name, ()) is None:
            return None
        if self.uncertain < math.inf and self._may_be_numbered(path.rpartition(".")[0]):
            return None  # the loop that would have made it is wrong, or stands behind what is
        if path.endswith(".*"):
            return self._numbered(path[:-2], level)
        return self.look_up(path, level)

    def _made(self, loop: int) -> list[Refs] | None:
        """What each iteration of a loop gives; None where the step is no loop."""
        if loop in self.applied:
            return self.applied[loop]
        return self.loops[loop].iterations if loop in self.loops else None

    def _iterations(self, loop: int, edge: Edge, made: list[Refs]) -> Refs:
        """What one iteration of a loop gives, or all do in order."""
        chosen, count = iteration(edge.rest), len(made)
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
        if loop in self.applied:
            return tuple([ref for number in numbers for ref in made[number]])
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
        if (made := self._made(loop)) is not None:
            return list(range(len(made)))
        names = self._seen(level)
        return sorted(n for name in names if (n := number_after(start, name)) is not None)

    def _numbered(self, start: str, level: int) -> Refs | None:
        """What the nodes start.0, start.1, … give that are there."""
        names = self._seen(level)
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
        names = self._seen(level)
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


def place(span: Span) -> str:
    """`line 12`, for messages that name a second place of the same file."""
    return f"line {span.line}"
