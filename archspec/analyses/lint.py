"""Warnings about graphs that compile and yet look like slips. What an op does, `Op` says.

The graph is walked once as it runs: each value knows its producer and its readers, through blocks
and groups, so that two nodes are neighbours wherever they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from archspec.analyses.orientation import turned_around, turned_help
from archspec.diagnostics.call_sites import CallSite, located
from archspec.diagnostics.diagnostic import Code, Diagnostic, Span
from archspec.ir.fields import once
from archspec.ir.graph import INPUT, Graph, Ref, Step, count_runs
from archspec.ir.op import Op
from archspec.record import Record

MAX_USES = 20_000
"""Runs of ops that are looked at one by one: few lines can call a block millions of times."""


class OpUse:
    """One run of an op: what it reads, and who reads it. `calls` lead to its list.

    `reader` is the op that reads it first; `unfelt` says that all its readers are blind to offsets.
    `is_image` says whether its result has the form that a convolution or pool gave it, and is None
    until somebody asks.
    """

    __slots__ = ("calls", "inputs", "is_image", "op", "reader", "shared", "step", "unfelt")

    def __init__(
        self, op: Op, step: Step, calls: tuple[CallSite, ...], inputs: tuple[Value, ...]
    ) -> None:
        self.op, self.step, self.calls, self.inputs = op, step, calls, inputs
        self.reader: Op | None = None
        self.unfelt = True
        self.shared = False
        self.is_image: bool | None = None


class Value(Record):
    """One output of a producer; without a producer, an input of the network."""

    producer: OpUse | None
    output: int


MAX_RUNS = 200_000
"""Runs of ops that are examined: one graph used by many steps runs at each of them."""


def warnings(graph: Graph, spans: Mapping[str, Span]) -> list[Diagnostic]:
    """All of them, each once, in the order in which the network runs; none of a giant.

    `spans` are the places of the inputs that the spec states; others the caller gives.
    """
    if count_runs(graph) > MAX_RUNS:
        return []
    walk = _Walk()
    outputs = walk.graph(graph, [Value(None, i) for i in range(len(graph.inputs))], ())
    found = [diagnostic for use in walk.uses for diagnostic in _of(use)]
    found += [located(d, use.calls) for use, d in _at_the_end(outputs)]
    found += _turned_inputs(graph, walk.uses, spans)
    return list(dict.fromkeys(found))


class _Walk:
    def __init__(self) -> None:
        self.uses: list[OpUse] = []
        self.seen: dict[Graph, tuple[Value, ...]] = {}

    def graph(
        self, graph: Graph, inputs: Sequence[Value], calls: tuple[CallSite, ...]
    ) -> tuple[Value, ...]:
        """The values that a list gives for these inputs."""
        if len(self.uses) > MAX_USES and graph in self.seen:
            return self.again(graph, inputs)
        values: list[tuple[Value, ...]] = []
        shared = {step.shares for step in graph.steps if step.shares is not None}

        def read(refs: tuple[Ref, ...]) -> tuple[Value, ...]:
            if len(refs) == 1 and refs[0].step != INPUT:
                given = values[refs[0].step]
                if len(given) == 1:  # most nodes read all that the node before them gives
                    return given
            return tuple([inputs[i] if step == INPUT else values[step][i] for step, i in refs])

        for index, step in enumerate(graph.steps):
            if step.idle:
                values.append(())
                continue
            given = read(step.inputs)
            if step.body is not None:
                call = CallSite(step.span, step.body.block)
                values.append(self.graph(step.body, given, (*calls, call)))
                continue
            assert step.op is not None
            if step.op.passes_through:
                values.append(given)
                continue
            use = OpUse(step.op, step, calls, given)
            use.shared = index in shared or step.shares is not None
            self.uses.append(use)
            for value in given:
                if (producer := value.producer) is not None:
                    producer.reader = producer.reader or use.op
                    producer.unfelt &= use.op.blind_to_offsets
            count = len(step.outputs)
            made = (Value(use, 0),) if count == 1 else tuple([Value(use, i) for i in range(count)])
            values.append(made)
        outputs = read(graph.outputs)
        self.seen[graph] = outputs
        return outputs

    def again(self, graph: Graph, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """As `graph`, for a block that was walked before: nothing is said of it a second time."""
        for read in inputs:
            if read.producer is not None:
                read.producer.shared = True  # its readers are not all known
        found = zip(graph.outputs, self.seen[graph], strict=True)
        return tuple([inputs[ref.output] if ref.step == INPUT else before for ref, before in found])


def _of(use: OpUse) -> Iterator[Diagnostic]:
    for check in _checks(type(use.op)):
        diagnostic = check(use)
        if diagnostic is not None:
            yield located(diagnostic, use.calls)


@once
def _checks(kind: type[Op]) -> list[Callable[[OpUse], Diagnostic | None]]:
    """The checks of what ops of a class may be doubted for."""
    checks = {
        _bias: kind.bias_axis is not None,
        _activation: kind.is_activation,
        _repeated: kind.variadic and not kind.squares,
        _on_image: kind.doubt_of_image is not Op.doubt_of_image,
        _degenerate: kind.doubt is not Op.doubt,
    }
    return [check for check, applies in checks.items() if applies]


def _bias(use: OpUse) -> Diagnostic | None:
    """A bias that the normalisation behind it takes away again."""
    axis, reader = use.op.bias_axis, use.reader
    if axis is None or use.shared or not getattr(use.op, "bias", False) or reader is None:
        return None
    if axis % len(use.step.outputs[0]) != 1 or not use.unfelt:
        return None
    return _warning(
        Code.BIAS_BEFORE_NORM,
        f"the bias of {use.op.op_name} has no effect: {reader.op_name} subtracts the mean after it",
        use,
        help="write `bias: false` here",
    )


def _activation(use: OpUse) -> Diagnostic | None:
    """Two activations with nothing between them."""
    before = use.inputs[0].producer
    if before is None or not before.op.is_activation:
        return None
    if before.op == use.op:
        message = f"{use.op.op_name} stands twice in a row"
    else:
        message = f"{use.op.op_name} follows {before.op.op_name} with nothing between them"
    return _warning(Code.REPEATED_ACTIVATION, message, use, help="remove one of the two")


def _repeated(use: OpUse) -> Diagnostic | None:
    """A merge that reads one value twice, as where two branches are the identity."""
    if len(set(use.inputs)) == len(use.inputs):
        return None
    twice = next(value for value in use.inputs if use.inputs.count(value) > 1)
    what = f"the output of {twice.producer.op.op_name}" if twice.producer else "the input"
    help_ = "an empty branch and `identity` both stand for what they read: keep one of the two"
    kind = use.step.input_types[0]
    same = use.op.of_one_value(len(use.inputs), kind) if len(set(use.inputs)) == 1 else None
    if same is not None:
        node = f"{{{same}, from: {origin}}}" if (origin := _edge_to(twice, use)) else same
        help_ = f"if that is meant, write `{node}`; else read another value in one of its places"
    return _warning(
        Code.REPEATED_INPUT, f"{use.op.op_name} reads the same value twice: {what}", use, help_
    )


def _edge_to(value: Value, use: OpUse) -> str | None:
    """What `from` names to read a value where `use` stands; None from another list."""
    if value.producer is None:
        return None if use.calls or value.output else "input"
    if value.producer.calls != use.calls or len(value.producer.step.outputs) > 1:
        return None
    return value.producer.step.name


def _gives_image(use: OpUse) -> bool:
    """Whether its result has the form of an image, which activations, norms and merges pass on.

    Few ask, and a chain may be longer than calls may nest.
    """
    asked = [use]
    while asked:
        last = asked[-1]
        if last.is_image is None and last.op.gives_images:
            last.is_image = True
        if last.is_image is not None:
            asked.pop()
            continue
        made = _of_its_form(last)
        unknown = [each for each in made if each.is_image is None]
        if unknown:
            asked += unknown
        else:
            last.is_image = bool(made) and all(each.is_image for each in made)
    return bool(use.is_image)


def _of_its_form(use: OpUse) -> list[OpUse]:
    """Those that it reads whose results have its own sizes after the channels."""
    if use.op.moves_axes:
        return []
    sizes = {y[2:] for y in use.step.outputs}
    read = zip(use.inputs, use.step.input_shapes, strict=True)
    return [value.producer for value, x in read if {x[2:]} == sizes and value.producer is not None]


def _on_image(use: OpUse) -> Diagnostic | None:
    """What works on the width of each row alone, behind a convolution or a pool."""
    before = use.inputs[0].producer if use.inputs else None
    if before is None or len(use.step.input_shapes[0]) != 4 or not _gives_image(before):
        return None
    doubt = use.op.doubt_of_image(*use.step.input_shapes)
    return doubt and _warning(Code.LINEAR_ON_IMAGE, doubt.message, use, doubt.help)


def _degenerate(use: OpUse) -> Diagnostic | None:
    """What the op itself finds strange in its input's sizes."""
    doubt = use.op.doubt(*use.step.input_shapes)
    if doubt is None:
        return None
    return _warning(Code.ONE_VALUE_NORMALISED, doubt.message, use, doubt.help)


def _turned_inputs(
    graph: Graph, uses: Sequence[OpUse], spans: Mapping[str, Span]
) -> Iterator[Diagnostic]:
    """Images whose channels seem to stand last, and that a convolution reads."""
    if not any(map(turned_around, graph.inputs)):
        return
    convolved = {_origin(use.inputs[0]) for use in uses if use.op.gives_images and use.op.kernels}
    for number, (name, shape) in enumerate(zip(graph.input_names, graph.inputs, strict=True)):
        turned = turned_around(shape)
        if turned is not None and Value(None, number) in convolved:
            key = name if graph.input_types[number].is_float else "shape"
            yield Diagnostic(
                Code.CHANNELS_LAST,
                f"the input {name!r} has {shape[1]} channels, of {shape[2]} x {shape[3]} pixels",
                spans.get(name),
                severity="warning",
                help=turned_help(name, turned, key if name in spans else None),
            )


def _origin(value: Value) -> Value:
    """The value before all that keeps its shape, as activations and norms do."""
    while value.producer is not None:
        step = value.producer.step
        if value.producer.op.moves_axes or step.input_shapes != step.outputs:
            break
        value = value.producer.inputs[0]
    return value


def unread_inputs(graph: Graph, spans: Mapping[str, Span]) -> Iterator[Diagnostic]:
    """Inputs of the network that nothing in it reads."""
    read = {ref.output for step in graph.steps for ref in step.inputs if ref.step == INPUT}
    read |= {ref.output for ref in graph.outputs if ref.step == INPUT}
    for number, name in enumerate(graph.input_names):
        if number not in read:
            yield Diagnostic(
                Code.UNREAD_INPUT,
                f"nobody reads the input {name!r}",
                spans.get(name),
                severity="warning",
                help=f"read it with `from: {name}`, or remove it",
            )


def _at_the_end(outputs: Sequence[Value]) -> Iterator[tuple[OpUse, Diagnostic]]:
    """Dropout behind the last layer that has weights."""
    seen: set[OpUse] = set()
    for output in outputs:
        use = output.producer
        while use not in seen and use and not use.op.weights(*use.step.input_shapes):
            seen.add(use)
            if use.op.drops:
                message = (
                    f"{use.op.op_name} stands after the last layer: in training it zeroes outputs "
                    "of the network"
                )
                help_ = "put it before the last layer, or remove it"
                yield use, _warning(Code.DROPOUT_AT_END, message, use, help_)
            use = use.inputs[0].producer if len(use.inputs) == 1 else None


def _warning(code: Code, message: str, use: OpUse, help: str) -> Diagnostic:
    return Diagnostic(code, message, use.step.span, severity="warning", help=help)
