"""Graph → the smallest graph that gives the values of chosen nodes, wherever they are.

A detector reads the stages of its backbone, a probe some layer in the middle. Nodes that those
values do not need are left out. All others keep their names, so weights keep their keys. A value
inside a group or block becomes one more output of it.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence

from archspec.diagnostics.diagnostic import Code, Diagnostic, Span, SpecError
from archspec.diagnostics.suggestions import did_you_mean
from archspec.ir.graph import INPUT, Graph, Ref, Step, Visit, walk
from archspec.ir.shape import is_batched, show
from archspec.record import Record

Path = tuple[str, ...]

_TAP = re.compile(r"(?P<path>[^\[\]]+)(?:\[(?P<output>[0-9]{1,9})\])?")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class Tap(Record):
    """An output of the node at `path` within a graph."""

    path: Path
    output: int


class Request(Record):
    """What is wanted from a graph: some of its outputs, by position, and values inside it."""

    outputs: tuple[int, ...]
    taps: tuple[Tap, ...]


class Cut(Record):
    """A graph after cutting, with the positions of the `inputs` that it still reads.

    `outputs` and `taps` say at which of its outputs the wanted values are."""

    graph: Graph
    inputs: tuple[int, ...]
    outputs: dict[int, int]
    taps: dict[Tap, int]


def tapped(graph: Graph, outputs: Sequence[str] | Mapping[str, str]) -> Graph:
    """The graph whose outputs are the values of the nodes at these paths, by name.

    Paths are those of the summary: `layer2`, `layer2.0.conv1`, `halves[1]` for one of several
    outputs. A list names each output by its path, a mapping by its key.

    Raises `SpecError` for a path without a node, and for a node that is absent in `eval()`, has
    several outputs, or is a learned tensor, which depends on no input.
    """
    if isinstance(outputs, str) or not outputs:
        raise _refusal(Code.OUTPUTS, "`outputs` is a list of paths of nodes", None)
    wanted = dict(outputs) if isinstance(outputs, Mapping) else {path: path for path in outputs}
    for name in wanted if isinstance(outputs, Mapping) else ():
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise _refusal(Code.NAME, f"{name!r} cannot be the name of an output", None)
    nodes = {visit.path: visit for visit in walk(graph)}
    found = {name: _find(graph, nodes, path) for name, path in wanted.items()}
    cut = _Cutter().cut(graph, Request((), tuple(dict.fromkeys(found.values()))))
    refs = tuple(cut.graph.outputs[cut.taps[tap]] for tap in found.values())
    # All inputs of the network stay: its caller passes them all, whatever is read.
    steps = tuple(
        step.changed(inputs=tuple(_moved(ref, cut.inputs) for ref in step.inputs))
        for step in cut.graph.steps
    )
    return Graph(
        graph.block,
        graph.input_names,
        graph.inputs,
        graph.input_types,
        steps,
        refs,
        tuple(found),
        always_named=True,
    )


def _moved(ref: Ref, inputs: tuple[int, ...]) -> Ref:
    return Ref(INPUT, inputs[ref.output]) if ref.step == INPUT else ref


# --- paths ---------------------------------------------------------------------------------------


def _find(graph: Graph, nodes: Mapping[str, Visit], text: str) -> Tap:
    """The tap that a path means. Raises `SpecError`."""
    match = _TAP.fullmatch(text)
    path = _meant(match["path"], nodes) if match else ""
    visit = nodes.get(path)
    if match is None or visit is None:
        raise _refusal(
            Code.UNKNOWN_NODE,
            f"no node is at {text!r}",
            None,
            expected="a path as the summary prints it",
            help=_near(text, nodes),
        )
    step = visit.step
    count = len(step.outputs) - (step.body.taken if step.body else 0)
    if not count:
        raise _refusal(Code.UNKNOWN_NODE, f"nobody reads what {text!r} gives", step.span)
    if visit.training_only:
        raise _refusal(
            Code.TRAINING_ONLY, f"{text!r} is training_only: it is not there in eval()", step.span
        )
    if match["output"] is None and count > 1:
        each = ", ".join(f"{text}[{index}]" for index in range(count))
        raise _refusal(Code.OUTPUT_INDEX, f"{text!r} has {count} outputs", step.span, expected=each)
    if visit.idle:
        raise _refusal(Code.UNKNOWN_NODE, f"{text!r} does not run: nobody reads it", step.span)
    output = int(match["output"] or 0)
    if output >= count:
        raise _refusal(
            Code.OUTPUT_INDEX,
            f"{match['path']!r} has {count} outputs, counted from 0",
            step.span,
            found=str(output),
        )
    if not is_batched(step.outputs[output]):
        raise _refusal(
            Code.UNBATCHED,
            f"{text!r} is a learned tensor, which does not depend on the input",
            step.span,
            found=show(step.outputs[output]),
        )
    return Tap(_names(graph, path), output)


def _meant(path: str, nodes: Mapping[str, Visit]) -> str:
    """The path of the node whose value an edge of this path names.

    Where a loop applies one module, `loop` is the value of the last iteration, and `loop.1` that of
    iteration 1, whose own path is `loop-1`. Raises `SpecError` where there are several values.
    """
    outer, _, number = path.rpartition(".")
    loop = nodes.get(outer)
    if path not in nodes and loop is not None and loop.step.means and number.isdecimal():
        return outer if number == "0" else f"{outer}-{number}"
    visit = nodes.get(path)
    if visit is None or not visit.step.means:
        return path
    means = [path.removesuffix(visit.step.name) + name for name in visit.step.means]
    if len(means) > 1:
        each = ", ".join([f"{path}.{number}" for number in range(len(means))])
        message = f"{path!r} has {len(means)} outputs"
        raise _refusal(Code.OUTPUT_INDEX, message, visit.step.span, expected=each)
    return means[0]


def _names(graph: Graph, path: str) -> Path:
    """The names on the way to a node. They may have dots, and none is another's beginning."""
    for step in graph.steps:
        if step.name == path:
            return (path,)
        if step.body is not None and path.startswith(f"{step.name}."):
            return (step.name, *_names(step.body, path[len(step.name) + 1 :]))
    raise KeyError(path)


def _near(text: str, known: Mapping[str, Visit]) -> str:
    """The help that names the likely node, or the nodes where the path goes wrong."""
    for path in known:
        if path.endswith(f".{text}"):
            return f"did you mean {path!r}?"
    parent = text
    while parent and parent not in known:
        parent = parent.rpartition(".")[0]
    start = f"{parent}." if parent else ""
    depth = known[parent].depth + 1 if parent else 0
    nodes = [(path, visit) for path, visit in known.items() if visit.depth == depth]
    there = [visit.step.name for path, visit in nodes if path.startswith(start)]
    inside = f" in {parent}" if parent else ""
    if parent and not there:
        return f"no node is inside {parent}"
    listed = f"there are {', '.join(there[:12])}{', …' if len(there) > 12 else ''}{inside}"
    rest = text[len(start) :]
    return did_you_mean(rest, there) or did_you_mean(rest.partition(".")[0], there) or listed


def _refusal(
    code: Code,
    message: str,
    span: Span | None,
    *,
    expected: str | None = None,
    found: str | None = None,
    help: str | None = None,
) -> SpecError:
    return SpecError([Diagnostic(code, message, span, expected=expected, found=found, help=help)])


# --- cutting -------------------------------------------------------------------------------------


class _Cutter:
    """Cuts each distinct graph once for each request, so that equal blocks stay one object."""

    def __init__(self) -> None:
        self.known: dict[tuple[Graph, Request], Cut] = {}

    def cut(self, graph: Graph, request: Request) -> Cut:
        """The part of `graph` that the request needs."""
        every = tuple(range(len(graph.outputs)))
        if request == Request(every, ()):
            return Cut(graph, tuple(range(len(graph.inputs))), {i: i for i in every}, {})
        key = graph, request
        if key not in self.known:
            self.known[key] = _GraphCut(self, graph, request).result()
        return self.known[key]


class _GraphCut:
    """One graph and one request; the steps are visited from the last to the first."""

    def __init__(self, cutter: _Cutter, graph: Graph, request: Request) -> None:
        self.cutter, self.graph, self.request = cutter, graph, request
        self.named = {step.name: index for index, step in enumerate(graph.steps)}
        self.kept = [False] * len(graph.steps)
        self.owners: set[int] = set()
        self.wanted: list[set[int]] = [set() for _ in graph.steps]
        self.inside: list[list[Tap]] = [[] for _ in graph.steps]
        self.bodies: dict[int, Cut] = {}
        owners = [step.shares for step in graph.steps if step.shares is not None]
        self.families = {
            owner: [owner, *(i for i, s in enumerate(graph.steps) if s.shares == owner)]
            for owner in owners
        }

    def result(self) -> Cut:
        for position in self.request.outputs:
            self._want(self.graph.outputs[position])
        for tap in self.request.taps:
            self._want_tap(tap)
        for index in reversed(range(len(self.graph.steps))):
            if self.kept[index] or index in self.owners:
                self._settle(index)
        return self._assemble()

    def _want(self, ref: Ref) -> None:
        if ref.step != INPUT:
            self.kept[ref.step] = True
            self.wanted[ref.step].add(ref.output)

    def _want_tap(self, tap: Tap) -> None:
        index = self.named[tap.path[0]]
        self.kept[index] = True
        if len(tap.path) == 1:
            self.wanted[index].add(tap.output)
        else:
            self.inside[index].append(Tap(tap.path[1:], tap.output))

    def _settle(self, index: int) -> None:
        """Cuts a step whose readers are all known, and marks what it reads as wanted."""
        step = self.graph.steps[index]
        if step.shares is not None:
            self.owners.add(step.shares)
        self.owners.update([tie.owner for tie in step.ties])
        if step.body is not None:
            self.bodies[index] = self.cutter.cut(step.body, self._request(index))
        for ref in self._reads(index):
            self._want(ref)

    def _request(self, index: int) -> Request:
        step = self.graph.steps[index]
        family = self.families.get(index if step.shares is None else step.shares)
        if family is None:
            return Request(tuple(sorted(self.wanted[index])), tuple(self.inside[index]))
        # They share one module, which must give the values wanted from any of them.
        taps = dict.fromkeys(tap for member in family for tap in self.inside[member])
        return Request(tuple(range(len(step.outputs))), tuple(taps))

    def _reads(self, index: int) -> tuple[Ref, ...]:
        if not self.kept[index]:
            return ()  # it only owns a module
        inputs, body = self.graph.steps[index].inputs, self.bodies.get(index)
        return inputs if body is None else tuple(inputs[position] for position in body.inputs)

    # What is left

    def _assemble(self) -> Cut:
        graph = self.graph
        alive = [i for i, kept in enumerate(self.kept) if kept or i in self.owners]
        self.places = {index: place for place, index in enumerate(alive)}
        own = [graph.outputs[position] for position in self.request.outputs]
        read = {ref.output for i in alive for ref in self._reads(i) if ref.step == INPUT}
        read.update(ref.output for ref in own if ref.step == INPUT)
        self.inputs = tuple(sorted(read))
        outputs = {p: self._moved(graph.outputs[p]) for p in self.request.outputs}
        taps = {tap: self._moved_tap(tap) for tap in self.request.taps}
        refs = tuple(dict.fromkeys([*outputs.values(), *taps.values()]))
        cut = Graph(
            graph.block,
            tuple(name for i, name in enumerate(graph.input_names) if i in read),
            tuple(graph.inputs[position] for position in self.inputs),
            tuple(graph.input_types[position] for position in self.inputs),
            tuple(map(self._step, alive)),
            refs,
        )
        return Cut(
            cut,
            self.inputs,
            {position: refs.index(ref) for position, ref in outputs.items()},
            {tap: refs.index(ref) for tap, ref in taps.items()},
        )

    def _moved(self, ref: Ref) -> Ref:
        if ref.step == INPUT:
            return Ref(INPUT, self.inputs.index(ref.output))
        body = self.bodies.get(ref.step)
        output = ref.output if body is None else body.outputs[ref.output]
        return Ref(self.places[ref.step], output)

    def _moved_tap(self, tap: Tap) -> Ref:
        index = self.named[tap.path[0]]
        if len(tap.path) == 1:
            return self._moved(Ref(index, tap.output))
        inner = Tap(tap.path[1:], tap.output)
        return Ref(self.places[index], self.bodies[index].taps[inner])

    def _step(self, index: int) -> Step:
        step, body = self.graph.steps[index], self.bodies.get(index)
        shares = step.shares if step.shares is None else self.places[step.shares]
        inputs, idle = tuple(map(self._moved, self._reads(index))), not self.kept[index]
        if body is None:
            ties = tuple([tie._replace(owner=self.places[tie.owner]) for tie in step.ties])
            return step.changed(inputs=inputs, shares=shares, idle=idle, ties=ties)
        return step.changed(
            body=body.graph,
            inputs=inputs,
            input_shapes=tuple(step.input_shapes[position] for position in body.inputs),
            input_types=tuple(step.input_types[position] for position in body.inputs),
            outputs=body.graph.output_shapes,
            types=body.graph.output_types,
            shares=shares,
            idle=idle,
        )
