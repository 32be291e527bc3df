"""Writes a graph as a spec with nothing left to evaluate. Read again, it is the same graph.

Repeats are unrolled, conditions decided, expressions replaced by their values. Each distinct block
becomes an entry of `blocks:` without parameters. Nodes that were left out leave gaps in the
numbering, so a node behind one bears its number as a name: paths stay as they were. An idle node
reads nothing; it is given something of the right shape to read, and stays idle.

Where the spec declares sizes, a number that follows them is written as an expression over those of
earlier values of its list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from archspec.document.keys import KEYS
from archspec.document.listed import Listed, edge
from archspec.document.node_keys import KEYS as NODE
from archspec.expand.program import Program
from archspec.ir.graph import INPUT, Graph, Ref, is_following
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import Shape, is_batched
from archspec.ir.spelling import source_of, spelled
from archspec.ir.types import FLOAT, ValueType
from archspec.sizes.size import depends, everywhere, known

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_KEYWORDS = frozenset(("true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL"))


def write(program: Program, followed: Graph | None = None) -> str:
    """The resolved spec of a compiled program as YAML text.

    `followed` is its graph with formulas for the numbers that follow sizes which it declares. Where
    one of them is no formula of values of its own list, the text declares no sizes.
    """
    if followed is not None:
        try:
            return "\n".join(_SpecWriter(program, followed).lines()) + "\n"
        except Unwritten:
            said = {**program.said, "sizes": {}, "input_sizes": None}
            program = program._replace(said=said)
    return "\n".join(_SpecWriter(program, program.graph).lines()) + "\n"


class Unwritten(Exception):
    """A number follows sizes that its node cannot name."""


def scalar(value: Any) -> str:
    """A value in YAML's flow form, quoted where it would be read as something else."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        plain = _WORD.match(value) and value not in _KEYWORDS
        return value if plain else _quoted(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(scalar, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(k)}: {scalar(v)}" for k, v in value.items()) + "}"
    return repr(value)


_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON leaves as they are, and YAML refuses or takes for a line's end."""


def _quoted(text: str) -> str:
    """Between quotation marks, with the escapes that JSON and YAML share."""
    written = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def verbatim(value: Any) -> Any:
    """An argument of an op. Its texts are quoted where they could be expressions."""
    if isinstance(value, str):
        return f"$({value!r})" if value.startswith("$") else value
    if isinstance(value, tuple):
        return tuple(map(verbatim, value))
    if isinstance(value, dict):
        return {key: verbatim(item) for key, item in value.items()}
    return value


def _stand_in(name: str, shape: Shape, kind: ValueType, graph: Graph) -> Iterator[str]:
    """Nodes that make a value of the shape and type from the input, for idle nodes to read."""
    if not kind.is_float:
        yield from _stand_in(f"{name}_float", shape, FLOAT, graph)
        yield f"{{name: {name}, to: {kind.name}}}"
        return
    if not is_batched(shape):
        yield f"{{name: {name}, parameter: {scalar(shape)}}}"
        return
    ones = [1] * (len(shape) - 1)
    read = f", from: {edge(graph, Ref(INPUT))}"
    if len(graph.inputs[0]) > 1:
        yield f"{{name: {name}_flat, flatten: {read}}}"
        yield f"{{name: {name}_one, slice: {{dim: 1, end: 1}}}}"
        read = ""
    yield f"{{name: {name}_ones, reshape: {ones}{read}}}"
    yield f"{{name: {name}_sizes, parameter: {scalar([1, *shape[1:]])}}}"
    yield f"{{name: {name}, mul: [{name}_ones, {name}_sizes]}}"


def _unused(graph: Graph) -> str:
    """A name for values that excludes no name of the list."""
    name = "outputs"
    while any(each.split(".")[0] == name for each in (s.name for s in graph.steps)):
        name += "_"
    return name


class _SpecWriter:
    def __init__(self, program: Program, graph: Graph) -> None:
        self.program, self.graph = program, graph
        self.blocks: dict[Graph, str] = {}
        self.taken: set[str] = set(REGISTRY)

    def lines(self) -> Iterator[str]:
        graph = self.graph
        self._collect(graph)
        yield from self._said(late=False)
        if self.blocks:
            yield "blocks:"
            for body, name in self.blocks.items():
                yield f"  {name}:"
                if body.input_names != ("input",):
                    yield f"    inputs: {scalar(body.input_names)}"
                yield from self._outputs(body, "    ")
                yield from self._list(body, "    ")
        yield from self._list(graph, "")
        yield from self._outputs(graph, "")
        yield from self._said(late=True)

    def _said(self, *, late: bool) -> Iterator[str]:
        """The keys of one line each, before the layers or behind them."""
        for key in sorted(KEYS, key=lambda key: key.behind_layers):
            if bool(key.behind_layers) is late:
                value = key.written(self.program.said, self.program.graph)
                if value is not None:
                    yield f"{key.name}: {scalar(value)}"

    def _collect(self, graph: Graph) -> None:
        """Names for all blocks, those inside a block before it."""
        for step in graph.steps:
            if step.body is None or step.body in self.blocks or step.shares is not None:
                continue
            self._collect(step.body)
            block = step.body.block
            if block is None and len(step.body.inputs) != 1:
                block = "scope"  # a group says nothing of several inputs
            if block is not None:
                name, number = block, 1
                while name in self.taken:
                    number += 1
                    name = f"{block}_{number}"
                self.taken.add(name)
                self.blocks[step.body] = name

    def _outputs(self, graph: Graph, indent: str) -> Iterator[str]:
        if graph.output_names is not None:
            named = zip(graph.output_names, graph.outputs, strict=True)
            yield f"{indent}outputs:"
            for name, ref in named:
                yield f"{indent}  {name}: {scalar(edge(graph, ref))}"
        elif graph.outputs != self._all_of_last(graph):
            refs = [edge(graph, ref) for ref in graph.outputs]
            yield f"{indent}outputs: {scalar(refs)}"

    def _all_of_last(self, graph: Graph) -> tuple[Ref, ...]:
        """What a list returns by default: all outputs of its last node."""
        if not graph.steps:
            return (Ref(INPUT, 0),)
        last = len(graph.steps) - 1
        return tuple(Ref(last, i) for i in range(len(graph.steps[last].outputs)))

    def _list(self, graph: Graph, indent: str) -> Iterator[str]:
        if not graph.steps:
            yield f"{indent}layers: []"
            return
        yield f"{indent}layers:"
        previous: tuple[Ref, ...] = (Ref(INPUT, 0),)
        written = 0  # a node without a name has the number of those before it
        for index, step in enumerate(graph.steps):
            reads = [edge(graph, ref) for ref in step.inputs]
            own = step.inputs if step.op is None else step.op.own_inputs(step.inputs)
            in_turn = own == previous
            if step.idle:
                reads, stand_ins = self._idle_reads(graph, index)
                yield from (f"{indent}  - {line}" for line in stand_ins)
                written += len(stand_ins)
                in_turn = False
            listed = Listed(graph, step, written, tuple(reads), in_turn)
            keys = {key.name: said for key in NODE if (said := key.written(listed)) is not None}
            yield from self._node(listed, keys, indent + "  ")
            written += 1
            previous = tuple(Ref(index, i) for i in range(len(step.outputs)))
        is_group = graph is not self.graph and graph not in self.blocks
        if is_group and graph.outputs != previous:
            # A group has no `outputs:`, and gives what its last entry names.
            given = [edge(graph, ref) for ref in graph.outputs]
            yield f"{indent}  - {{name: {_unused(graph)}, from: {scalar(given)}}}"

    def _idle_reads(self, graph: Graph, index: int) -> tuple[list[str], list[str]]:
        """Values that idle nodes may read, and the nodes that make missing ones."""
        inputs = zip(graph.inputs, graph.input_types, strict=True)
        there = {each: Ref(INPUT, i) for i, each in enumerate(inputs)}
        for position, step in enumerate(graph.steps[:index]):
            if not step.idle and not step.training_only:
                for output, each in enumerate(zip(step.outputs, step.types, strict=True)):
                    there.setdefault(each, Ref(position, output))
        names = {*graph.input_names, *(step.name for step in graph.steps)}
        reads: list[str] = []
        lines: list[str] = []
        idle = graph.steps[index]
        for shape, kind in zip(idle.input_shapes, idle.input_types, strict=True):
            if (shape, kind) in there:
                reads.append(edge(graph, there[shape, kind]))
                continue
            name = f"shaped_{index}_{len(reads)}"
            while any(taken.startswith(name) for taken in names):
                name = f"{name}_"
            lines += _stand_in(name, shape, kind, graph)
            reads.append(name)
        return reads, lines

    def _node(self, listed: Listed, keys: dict[str, Any], indent: str) -> Iterator[str]:
        step = listed.step
        entries = [f"{key}: {scalar(value)}" for key, value in keys.items()]
        body: Graph | None = None
        if step.shares is not None:
            pass  # the owner says what the node is
        elif step.op is not None:
            entries.append(self._op(step.op, listed))
        elif step.body in self.blocks:
            entries.append(f"{self.blocks[step.body]}:")
        else:
            body = step.body
        if len(entries) == 1 and entries[0].endswith(":"):
            entries[0] = entries[0][:-1]
        lead = f"{indent}- "
        for entry in entries:
            yield lead + entry
            lead = f"{indent}  "
        if body is not None:
            lines = self._list(body, f"{indent}  ")
            first = next(lines)
            yield lead + first.lstrip()
            yield from lines

    def _op(self, op: Op, listed: Listed) -> str:
        reads = listed.reads
        args = {
            name: verbatim(everywhere(partial(number, listed), value))
            for name, value in op.arguments().items()
        }
        if op.variadic:
            if not args:
                return f"{op.op_name}: {scalar(reads)}"
            return f"{op.op_name}: {scalar({'inputs': reads, **args})}"
        if not args:
            return f"{op.op_name}:"
        if op.primary is not None and list(args) == [op.primary]:
            return f"{op.op_name}: {scalar(args[op.primary])}"
        return f"{op.op_name}: {scalar(args)}"


def number(listed: Listed, value: Any) -> Any:
    """A number of an op's arguments; one that follows sizes as an expression over earlier values.

    Raises `Unwritten` where there is none.
    """
    if not depends(value):
        return value
    if not is_following(listed.step):
        return known(value)
    graph, step = listed.graph, listed.step
    own = [(edge(graph, Ref(INPUT, i)), shape) for i, shape in enumerate(graph.inputs)]
    for values in (list(zip(listed.reads, step.input_shapes, strict=True)), own):
        found = spelled(value, [shape for _, shape in values])
        if found is not None:
            text = source_of(found, [f"v{place}" for place in range(len(values))])
            for place, (name, _) in enumerate(values):
                quoted = name if _NAME.match(name) else repr(name)
                text = re.sub(rf"\bv{place}\.shape\[(\d+)\]", rf"size({quoted}, \1)", text)
            return text
    raise Unwritten


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
