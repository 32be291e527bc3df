"""How generated code computes numbers that follow the sizes of values.

The graph of a network whose input sizes are symbols holds a `Size` wherever a number depends on
them. A *plan* says for each such argument of one graph how its `forward` gets it: from the shapes
of what the node reads, from those of its own inputs, or as an argument of its own, an integer that
the caller computes. It is always the very formula, so the number is right at every size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

from archspec.contracts.followed import is_symbolic
from archspec.ir.computed import parts
from archspec.ir.graph import Graph, Step, is_following
from archspec.ir.op import Op
from archspec.ir.shape import Shape
from archspec.ir.spelling import Sum, evaluated, spelled
from archspec.record import Record
from archspec.sizes.size import depends, everywhere, known

Graphs: TypeAlias = tuple[Graph, ...]
"""The graphs that one module computes: of the node that owns it, and of those that share it."""

Numbers: TypeAlias = tuple[Any, ...]
"""What one number is in each graph: a `Size`, or a plain number."""


class Given(Record):
    """A number that stands in a variable: an argument of `forward`, or computed at its start.

    `position` counts the arguments, or what is computed.
    """

    position: int
    is_argument: bool


class Plan:
    """How the code of one module gets its numbers.

    `arguments` are those that it takes from its caller, and `made` those that it computes first,
    from the shapes of its inputs. `numbers` are by the position of a step, and then by the position
    among the parts of its op's arguments, or among the arguments of its module. What is no `Given`
    is computed from the shapes of what the step reads.
    """

    def __init__(self) -> None:
        self.arguments: list[Numbers] = []
        self.made: list[Sum] = []
        self.numbers: dict[int, dict[int, Sum | Given]] = {}


class Plans:
    """Plans of all modules of one network, each made once."""

    def __init__(self) -> None:
        self._known: dict[Graphs, Plan] = {}

    def of(self, graphs: Graphs) -> Plan:
        """The plan of the module that computes these graphs."""
        plan = self._known.get(graphs)
        if plan is None:
            plan = self._known[graphs] = Plan()
            for position, step in enumerate(graphs[0].steps):
                if step.idle:
                    continue
                twins = [graph.steps[position] for graph in graphs]
                wanted = list(self._wanted(graphs, position, twins))
                if wanted:
                    placed = {part: _placed(plan, each, graphs, twins) for part, each in wanted}
                    plan.numbers[position] = placed
        return plan

    def _wanted(
        self, graphs: Graphs, position: int, twins: Sequence[Step]
    ) -> Iterator[tuple[int, Numbers]]:
        """The numbers that a step needs, each with its position."""
        if twins[0].op is None:
            bodies = bodies_of(graphs, position)
            for part, numbers in enumerate(self.of(bodies).arguments):
                yield part, tuple([numbers[bodies.index(twin.body)] for twin in twins if twin.body])
        elif is_following(twins[0]):
            columns = [parts(vars(twin.op)) for twin in twins]
            for part, numbers in enumerate(zip(*columns, strict=True)):
                if any(map(depends, numbers)):
                    yield part, numbers


def bodies_of(graphs: Graphs, position: int) -> Graphs:
    """The graphs of the module that a step calls: its own, and those of all that share it."""
    bodies: dict[Graph, None] = {}
    for graph in graphs:
        owner = _owner(graph, position)
        for other, step in enumerate(graph.steps):
            if step.body is not None and _owner(graph, other) == owner:
                bodies[step.body] = None
    return tuple(bodies)


def _owner(graph: Graph, position: int) -> int:
    while (shared := graph.steps[position].shares) is not None:
        position = shared
    return position


def with_numbers(op: Op, numbers: Mapping[int, Any]) -> Op:
    """The op with other numbers at positions among all parts of its arguments."""
    left = count()

    def changed(value: Any) -> Any:
        if value.__class__ is tuple:
            return tuple([changed(item) for item in value])
        if isinstance(value, Mapping):
            return {key: changed(item) for key, item in value.items()}
        return numbers.get(next(left), value)

    return op.changed({key: changed(value) for key, value in vars(op).items()}) if numbers else op


def plain_op(op: Op) -> Op:
    """The op with the values at hand of its arguments."""
    return op.changed(everywhere(known, dict(vars(op)))) if is_symbolic(op) else op


def _placed(plan: Plan, numbers: Numbers, graphs: Graphs, twins: Sequence[Step]) -> Sum | Given:
    """How a step gets a number, which its plan notes."""
    read = _spelled(numbers, [twin.input_shapes for twin in twins])
    if read is not None:
        return read
    own = _spelled(numbers, [graph.inputs for graph in graphs])
    if own is not None:
        if own not in plan.made:
            plan.made.append(own)
        return Given(plan.made.index(own), False)
    for position, taken in enumerate(plan.arguments):
        if all(map(_is_same, taken, numbers)):
            return Given(position, True)
    plan.arguments.append(numbers)
    return Given(len(plan.arguments) - 1, True)


def _spelled(numbers: Numbers, shapes: Sequence[Sequence[Shape]]) -> Sum | None:
    """The number over the sizes of these values, if it is that in each of the graphs."""
    base = next(index for index, number in enumerate(numbers) if depends(number))
    found = spelled(numbers[base], shapes[base])
    if found is None:
        return None
    same = [
        _is_same(number, evaluated(found, given))
        for number, given in zip(numbers, shapes, strict=True)
    ]
    return found if all(same) else None


def _is_same(a: Any, b: Any) -> bool:
    if depends(a) or depends(b):
        return depends(a) and depends(b) and a.formula is b.formula
    return bool(a == b)
