"""Brings concatenations of all earlier values to where they grow by one value each time.

A dense layer in Python is given a list of all values before it and joins them itself: each is then
another class, with other inputs. The same network joins them outside, each time what was joined
before and one value more. The results have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

from archspec.ir.graph import INPUT, Graph, Ref, Step

MERGE = "concat"


def hoisted(graph: Graph) -> Graph:
    """The graph with concatenations outside of blocks that begin with one of all their inputs."""
    return _Hoister().graph(graph)


class _Hoister:
    def __init__(self) -> None:
        self.known: dict[Graph, Graph] = {}

    def graph(self, graph: Graph) -> Graph:
        if graph not in self.known:
            steps = [self._inside(step) for step in graph.steps]
            made = _rebuilt(graph, steps)
            self.known[graph] = made
        return self.known[graph]

    def _inside(self, step: Step) -> Step:
        return step if step.body is None else step.changed(body=self.graph(step.body))


def _rebuilt(graph: Graph, steps: list[Step]) -> Graph:
    """A graph of changed steps, with its concatenations hoisted out of them and shortened."""
    made: list[Step] = []
    place: dict[int, int] = {}

    def moved(ref: Ref) -> Ref:
        return ref if ref.step == INPUT else Ref(place[ref.step], ref.output)

    shared = {step.shares for step in steps}
    for number, step in enumerate(steps):
        inputs = tuple(map(moved, step.inputs))
        if number not in shared and step.shares is None and _joins_first(step):
            join = step.body.steps[0] if step.body is not None else step
            made.append(_joined(join, step, inputs))
            step, inputs = _without_join(step), (Ref(len(made) - 1),)
        place[number] = len(made)
        ties = tuple([tie._replace(owner=place[tie.owner]) for tie in step.ties])
        shares = None if step.shares is None else place[step.shares]
        made.append(step.changed(inputs=inputs, ties=ties, shares=shares))
    if len(made) == len(steps) and all(
        a.body is b.body for a, b in zip(made, graph.steps, strict=True)
    ):
        return graph
    steps = [_shortened(step, made[:number]) for number, step in enumerate(made)]
    return _with_steps(graph, _numbered(steps), moved)


def _joins_first(step: Step) -> bool:
    """Whether a block begins with the concatenation of all its inputs, and reads no other."""
    body = step.body
    if body is None or len(body.inputs) < 2 or not body.steps or step.idle:
        return False
    first = body.steps[0]
    if (
        first.op is None
        or first.op.op_name != MERGE
        or first.shares is not None
        or first.training_only
    ):
        return False
    if first.inputs != tuple([Ref(INPUT, i) for i in range(len(body.inputs))]):
        return False
    later = [ref for each in body.steps[1:] for ref in each.inputs]
    return all(ref.step != INPUT for ref in (*later, *body.outputs))


def _joined(join: Step, step: Step, inputs: tuple[Ref, ...]) -> Step:
    return join.changed(
        name="", named=False, inputs=inputs, training_only=step.training_only, span=step.span
    )


def _without_join(step: Step) -> Step:
    body = step.body
    assert body is not None
    join = body.steps[0]

    def moved(ref: Ref) -> Ref:
        return Ref(INPUT, 0) if ref.step == 0 else Ref(ref.step - 1, ref.output)

    steps = [
        each.changed(
            inputs=tuple(map(moved, each.inputs)),
            shares=None if each.shares is None else each.shares - 1,
            ties=tuple([tie._replace(owner=tie.owner - 1) for tie in each.ties]),
        )
        for each in body.steps[1:]
    ]
    inner = Graph(
        body.block,
        ("input",),
        join.outputs,
        join.types,
        tuple(_numbered(steps)),
        tuple(map(moved, body.outputs)),
        body.output_names,
        body.always_named,
        body.taken,
    )
    return step.changed(body=inner, input_shapes=join.outputs, input_types=join.types)


def _shortened(step: Step, before: list[Step]) -> Step:
    """A concatenation that begins with what an earlier one joins reads that one."""
    if step.op is None or step.op.op_name != MERGE or step.shares is not None:
        return step
    for number in range(len(before) - 1, -1, -1):
        other = before[number]
        count = len(other.inputs)
        if other.op != step.op or not 1 < count < len(step.inputs) or other.training_only:
            continue
        if step.inputs[:count] == other.inputs:
            return step.changed(
                inputs=(Ref(number), *step.inputs[count:]),
                input_shapes=(*other.outputs, *step.input_shapes[count:]),
                input_types=(*other.types, *step.input_types[count:]),
            )
    return step


def _numbered(steps: list[Step]) -> list[Step]:
    """Nodes that have no names by their new numbers. Those with weights keep the keys they had."""
    return [
        step if step.named or _owns(step) else step.changed(name=str(number))
        for number, step in enumerate(steps)
    ]


def _owns(step: Step) -> bool:
    return step.body is not None or bool(step.op and step.op.weights(*step.input_shapes))


def _with_steps(graph: Graph, steps: list[Step], moved: Callable[[Ref], Ref]) -> Graph:
    return Graph(
        graph.block,
        graph.input_names,
        graph.inputs,
        graph.input_types,
        tuple(steps),
        tuple(map(moved, graph.outputs)),
        graph.output_names,
        graph.always_named,
        graph.taken,
    )
