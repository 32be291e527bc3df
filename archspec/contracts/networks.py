"""Graphs with symbols for sizes: at given sizes, and where two of them are one network."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from archspec.contracts.regions import Values
from archspec.ir.graph import Graph, Step
from archspec.ir.op import Op
from archspec.record import Record
from archspec.sizes.formula import Condition, Formula
from archspec.sizes.size import Size, depends, everywhere, known


def graph_at(graph: Graph, values: Values) -> Graph:
    """The graph with plain numbers at these values of the symbols, which must be in its cell."""
    return _Changed(lambda size: size.at(values)).graph(graph)


def with_formulas(graph: Graph, formulas: Mapping[str, Formula]) -> Graph:
    """The graph with other formulas, of equal value, in place of its symbols."""

    def replaced(size: Size) -> Any:
        formula = size.formula
        for name in size.formula.symbols:
            formula = formula.replaced(name, formulas[name])
        return size.value if formula.is_constant else Size(size.path, size.value, formula)

    return _Changed(replaced).graph(graph)


class _Changed:
    """Makes graphs in which each size that depends on symbols is replaced."""

    def __init__(self, change: Callable[[Size], Any]) -> None:
        self.change = change
        self._graphs: dict[Graph, Graph] = {}
        self._ops: dict[int, Op] = {}

    def number(self, value: Any) -> Any:
        return self.change(value) if depends(value) else value

    def shapes(self, shapes: Any) -> Any:
        return everywhere(self.number, shapes)

    def graph(self, graph: Graph) -> Graph:
        if graph not in self._graphs:
            made = self._graphs[graph] = Graph(
                graph.block,
                graph.input_names,
                self.shapes(graph.inputs),
                graph.input_types,
                tuple([self._step(step) for step in graph.steps]),
                graph.outputs,
                graph.output_names,
                graph.always_named,
                graph.taken,
            )
            made.params, made.doc = graph.params, graph.doc
        return self._graphs[graph]

    def _step(self, step: Step) -> Step:
        return step.changed(
            op=step.op and self._op(step.op),
            body=step.body and self.graph(step.body),
            input_shapes=self.shapes(step.input_shapes),
            outputs=self.shapes(step.outputs),
        )

    def _op(self, op: Op) -> Op:
        if id(op) not in self._ops:
            self._ops[id(op)] = op.changed(everywhere(self.number, vars(op)))
        return self._ops[id(op)]


# --- one network or two --------------------------------------------------------------------------


class Need(Record):
    """A condition on a size for two networks to be one, and the node that it comes from."""

    condition: Condition
    number: int
    path: str
    step: Step
    what: str


class _Other(Exception):
    """Two networks differ at all sizes; holds the path of the first node that differs."""


def needs(main: Graph, other: Graph) -> list[Need] | str:
    """The conditions under which a module made from `main`, at its sizes, is that of `other`.

    Weights must have exactly their sizes. The same is true of the arguments of an op that owns
    weights, or whose arguments generated code does not compute. All other arguments must depend on
    the sizes in the same way. Where more differs, the result is a text: the path of the node.
    """
    found: dict[Condition, Need] = {}
    seen: set[tuple[Graph, Graph]] = set()
    try:
        for need in _needs(main, other, "", seen):
            found.setdefault(need.condition, need)
    except _Other as difference:
        return str(difference)
    return list(found.values())


def _needs(
    main: Graph, other: Graph, prefix: str, seen: set[tuple[Graph, Graph]]
) -> Iterator[Need]:
    if (main, other) in seen:
        return
    seen.add((main, other))
    for ours, theirs in zip(main.steps, other.steps, strict=False):
        path = prefix + ours.name
        if _place(ours) != _place(theirs):
            raise _Other(path)
        if ours.body is not None and theirs.body is not None:
            yield from _needs(ours.body, theirs.body, f"{path}.", seen)
        elif ours.op is not None and theirs.op is not None:
            yield from _needs_of_op(ours, theirs, ours.op, theirs.op, path)
    if len(main.steps) != len(other.steps) or main.outputs != other.outputs:
        later = max(main.steps, other.steps, key=len)[-1]
        raise _Other(prefix + later.name)


def _place(step: Step) -> Hashable:
    """The parts of a step that are the same at all sizes of its cell."""
    return (
        *(
            step.name,
            step.inputs,
            step.shares,
            step.training_only,
            step.idle,
            step.frozen,
            step.ties,
            step.both_keys,
            len(step.outputs),
        ),
        type(step.op),
    )


def _needs_of_op(ours: Step, theirs: Step, op: Op, other: Op, path: str) -> Iterator[Need]:
    weights, others = op.weights(*ours.input_shapes), other.weights(*theirs.input_shapes)
    pairs = zip(weights, others, strict=False)
    if len(weights) != len(others) or any(a.name != b.name for a, b in pairs):
        raise _Other(path)
    for weight, same in zip(weights, others, strict=True):
        what = f"the {weight.name or 'tensor'} of {path}"
        for condition, number in _equal(weight.shape, same.shape, path, fixed=True):
            yield Need(condition, number, path, ours, what)
    what = f"the {op.op_name} {path}"
    keys = op.module_key(*ours.input_shapes), other.module_key(*theirs.input_shapes)
    for condition, number in _equal(*keys, path, fixed=True):
        yield Need(condition, number, path, ours, what)
    fixed = bool(weights) or not op.follows
    for condition, number in _equal(
        tuple(vars(op).values()), tuple(vars(other).values()), path, fixed
    ):
        yield Need(condition, number, path, ours, what)


def _equal(a: Any, b: Any, path: str, fixed: bool) -> Iterator[tuple[Condition, int]]:
    """The condition under which two values are equal, and the number compared with.

    If `fixed`, the present value of `a` counts.
    """
    if isinstance(a, tuple) and isinstance(b, tuple):
        if len(a) != len(b):
            raise _Other(path)
        for one, two in zip(a, b, strict=True):
            yield from _equal(one, two, path, fixed)
    elif depends(a) or depends(b):
        size: Size = b if depends(b) else a
        ring = size.path.ring
        formulas = [each.formula if depends(each) else ring.constant(each) for each in (a, b)]
        first = ring.constant(known(a)) if fixed else formulas[0]
        difference = formulas[1] - first
        if not difference.is_constant:
            yield Condition(difference, "="), first.constant
        elif difference.constant:
            raise _Other(path)
    elif type(a) is not type(b) or a != b:
        raise _Other(path)
