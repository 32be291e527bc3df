"""Graph → the tree that is folded, in terms of Python: constructors, and code that applies them.

What emitted code computes from sizes is a node here, and the integers that a module is given are
values like others.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import count
from typing import Any

from archspec.contracts.followed import is_symbolic
from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, SpecError
from archspec.ejecting.channels import IN_CHANNELS, follows
from archspec.ejecting.phrases import Phrase, place, with_places
from archspec.emit.following import Given, Graphs, Plan, Plans, bodies_of, plain_op, with_numbers
from archspec.folding.tree import INPUT, Edge, Leaf, List, Node, Value
from archspec.ir.computed import Computed, parts
from archspec.ir.given import GivenWeights
from archspec.ir.graph import Graph, Ref, Step, is_following
from archspec.ir.op import Made, Op
from archspec.ir.parametrized import Parametrized
from archspec.ir.shape import Shape, is_batched, show
from archspec.ir.spelling import Sum, source_of
from archspec.sizes.size import depends, everywhere, known

OWNER = "module"
"""The link of a node to the one whose module it calls."""


class View:
    """The tree of one network, and what the printer wants to know of its nodes beside it.

    `shapes` are those of nodes, by the name of their class and their own: the shape where all
    instances agree, else an empty text. Classes that are `untracked` are given `in_channels` as
    another number; `lost` are those that must be, and `gives` says of which lists the channels of
    the result follow from those of its input.
    """

    def __init__(self, graph: Graph, name: str, untracked: frozenset[str] = frozenset()) -> None:
        self.untracked = untracked
        self.lost: set[str] = set()
        self.gives: dict[List, bool] = {}
        self.plans = Plans()
        self.shapes: dict[tuple[str, str], str] = {}
        self.lists: dict[tuple[Graphs, str | None, bool], List] = {}
        self.start = (graph,)
        self.root = self.list(self.start, name)

    def list(self, graphs: Graphs, name: str | None, tracked: bool = True) -> List:
        """The list of the module that computes these graphs; None names a plain chain.

        It is `tracked` where the channels of its input follow. Those of a class are told to it.
        """
        tracked = (tracked or name is not None) and name not in self.untracked
        key = graphs, name, tracked
        if key not in self.lists:
            self.lists[key] = _Lister(self, graphs, name, tracked).made()
        return self.lists[key]

    def is_chain(self, graphs: Graphs) -> bool:
        """Whether a plain chain of modules computes these graphs."""
        from archspec.emit.source import StepPart, is_chain

        kinds = {"module": StepPart.MODULE, "tensor": StepPart.TENSOR}
        steps = graphs[0].steps
        if not all(map(_is_simple, steps)):
            return False
        found = [kinds.get(kind_of(step), StepPart.EXPRESSION) for step in steps]
        return is_chain(graphs[0], found, self.plans.of(graphs))


class _Lister:
    """Makes one list: the nodes of a graph, and those that compute sizes."""

    def __init__(self, view: View, graphs: Graphs, name: str | None, tracked: bool) -> None:
        self.view, self.graphs, self.graph, self.name = view, graphs, graphs[0], name
        self.plan: Plan = view.plans.of(graphs)
        self.nodes: list[Node] = []
        self.node_of: dict[int, int] = {}
        self.sizes: list[Edge] = []
        self.kinds = list(map(kind_of, self.graph.steps))
        self.tracked: set[Edge] = set()
        if tracked and _channels(self.graph.inputs[:1]):
            self.tracked.add(Edge(INPUT))
        # A chain is numbered by position. Other classes name their children.
        is_class = name is not None and graphs is not view.start
        self.keeps_positions = (name is None or is_class) and view.is_chain(graphs)

    def made(self) -> List:
        graph = self.graph
        inputs = [Edge(INPUT, number) for number in range(len(graph.inputs))]
        self.sizes = [self._size(each, inputs) for each in self.plan.made]
        for position, step in enumerate(graph.steps):
            try:
                self._step(position, step)
            except Refusal as refusal:
                raise SpecError([Diagnostic.of(refusal, step.span)]) from None
        names = graph.input_names or ("x",)
        free = (f"size_{n}" if n else "size" for n in count())
        sizes = [next(n for n in free if n not in names) for _ in self.plan.arguments]
        outputs = tuple(map(self._edge, graph.outputs))
        made = List(
            self.name,
            (*names, *sizes),
            tuple(self.nodes),
            outputs,
            graph.output_names,
            _known(graph),
            _channels(graph.inputs[:1]) if Edge(INPUT) in self.tracked else None,
            (graph.doc,) if graph.doc else (),
        )
        self.view.gives[made] = len(outputs) == 1 and outputs[0] in self.tracked
        return made

    def _edge(self, ref: Ref) -> Edge:
        return (
            Edge(ref.step, ref.output) if ref.step < 0 else Edge(self.node_of[ref.step], ref.output)
        )

    def _size(self, size: Sum, reads: Sequence[Edge]) -> Edge:
        """The value of a node that computes a size."""
        source = source_of(size, [place(number) for number in range(len(reads))])
        call, numbers = with_places(source, {})
        used = [number for number in range(len(reads)) if f"{{{number}}}" in call]
        for position, number in enumerate(used):
            call = call.replace(f"{{{number}}}", f"{{{position}}}")
        leaf, read = Leaf(Phrase("", "", call).kind, numbers), tuple([reads[n] for n in used])
        self.nodes.append(Node("size", False, leaf, read, marks={"size": True}))
        return Edge(len(self.nodes) - 1)

    def _step(self, position: int, step: Step) -> None:
        reads = list(map(self._edge, step.inputs))
        links = [(OWNER, self.node_of[step.shares])] if step.shares is not None else []
        links += [(f"{tie.name} {tie.key}", self.node_of[tie.owner]) for tie in step.ties]
        content: Leaf | List
        marks: dict[str, Value]
        if step.op is None:
            reads += [self._number(each, reads) for each in self._numbers(position)]
            is_known = bool(reads) and reads[0] in self.tracked
            content, marks = self._body(position, step, len(reads), is_known), {}
        else:
            content, marks = self._leaf(position, step, reads)
        for name in ("training_only", "idle", "frozen", "both_keys"):
            if getattr(step, name):
                marks[name] = True
        self.node_of[position] = len(self.nodes)
        is_child = self.kinds[position] != "expression"
        if is_child and _is_weightless(step):
            marks["weightless"] = True
        named = step.named or step.name != str(position)
        named |= is_child and not self.keeps_positions and "weightless" not in marks
        self._note_shape(step)
        node = Node(
            *(step.name, named, content, tuple(reads), len(step.outputs), tuple(links), marks),
            _channels(step.input_shapes[:1]) if reads and reads[0] in self.tracked else {},
        )
        self._track(step, node)
        self.nodes.append(node)

    def _track(self, step: Step, node: Node) -> None:
        """Notes whether the channels of what a node gives follow."""
        is_known = bool(node.reads) and node.reads[0] in self.tracked
        content = node.content
        if isinstance(content, List):
            if content.of is not None and content.given and not is_known:
                self.view.lost.add(content.of)
            follows_on = is_known and self.view.gives[content]
        else:
            how = follows(content.kind, content.values)
            follows_on = is_known and how is not None
            if how == "sum":
                follows_on = all(edge in self.tracked for edge in node.reads)
        if follows_on and len(step.outputs) == 1 and _channels(step.outputs):
            self.tracked.add(Edge(len(self.nodes)))

    def _note_shape(self, step: Step) -> None:
        if self.name is None:
            return
        shape = ", ".join([show(everywhere(known, each)) for each in step.outputs])
        key = self.name, step.name
        self.view.shapes[key] = shape if self.view.shapes.get(key, shape) == shape else ""

    def _numbers(self, position: int) -> Sequence[Sum | Given]:
        return list(self.plan.numbers.get(position, {}).values())

    def _number(self, number: Sum | Given, reads: Sequence[Edge]) -> Edge:
        """The value that is a number of a step."""
        if isinstance(number, Sum):
            return self._size(number, reads)
        if number.is_argument:
            return Edge(INPUT, len(self.graph.inputs) + number.position)
        return self.sizes[number.position]

    def _body(self, position: int, step: Step, count: int, tracked: bool) -> Leaf | List:
        assert step.body is not None
        if step.shares is not None:
            values = ", ".join([f"{{{number}}}" for number in range(count)])
            return Leaf(Phrase("", "", f"{{own}}({values})").kind, {})
        bodies = bodies_of(self.graphs, position)
        name = step.body.block
        if name is None and not self.view.is_chain(bodies):
            own = step.name.rpartition(".")[2]
            name = (
                f"{self.name or 'part'}.{own}"
                if not own.isdigit()
                else f"{self.name or 'part'}.part"
            )
        return self.view.list(bodies, name, tracked)

    def _leaf(self, position: int, step: Step, reads: list[Edge]) -> tuple[Leaf, dict[str, Value]]:
        """An op as a leaf, with its marks. What it needs of sizes is added to what it reads."""
        assert step.op is not None
        marks: dict[str, Value] = {}
        op, shapes = plain_op(step.op), everywhere(known, step.input_shapes)
        path, tensor, values = "", "", {}
        if step.shares is None and kind_of(step) != "expression":
            made = op.made(*shapes)
            if made is not None:
                path, values = made.path, _arguments(made)
            else:
                tensor, values = with_places(op.tensor_source() or "", {})
        if isinstance(op, GivenWeights) and op.given and kind_of(step) != "expression":
            marks["without"] = tuple(op.given)
        if isinstance(op, Parametrized):
            for name, how in op.computed:
                said = {**vars(how), **how.inferred_for(op.plain_class)}
                marks[f"computed {name}"] = (how.attaches, *[f"{k}={v!r}" for k, v in said.items()])
        if op.keyless:
            marks["keyless"] = True
        call, numbers = self._call(position, step, reads, shapes, values)
        kind = tensor.partition("dtype=")[2][:-1]
        if tensor.startswith("torch.empty({size}, dtype=torch.") and "default" not in kind:
            # A tensor of no elements is there for its type and device. Only floats may change it.
            like = f"{{{len(reads)}}}"
            reads.append(Edge(INPUT, 0))
            call = call.replace("{own}.dtype", kind).replace("{own}.device", f"{like}.device")
            path, tensor, values = "", "", {}
        return Leaf(Phrase(path, tensor, call).kind, {**values, **numbers}), marks

    def _call(
        self,
        position: int,
        step: Step,
        reads: list[Edge],
        shapes: Sequence[Shape],
        taken: Mapping[str, Value],
    ) -> tuple[str, dict[str, Value]]:
        """The code that applies an op, with places."""
        op = step.op
        assert op is not None
        if op.gives_own:
            return "{own}", {}
        given = tuple(reads)
        variables = [place(number) for number in range(len(given))]
        sources: dict[int, str] = {}
        for part, each in self.plan.numbers.get(position, {}).items():
            if isinstance(each, Sum) and " " not in (text := source_of(each, variables)):
                sources[part] = text
            else:
                sources[part] = place(len(reads))
                reads.append(self._number(each, given))
        every = dict(enumerate(parts(vars(op)))) if sources else {}
        computed = {i: Computed(known(every[i]), text) for i, text in sources.items()}
        said = with_numbers(plain_op(op) if not sources else op, computed)
        text = said.source("own_", variables, shapes).replace("torch.nn.functional.", "F.")
        return with_places(text, taken)


def _is_simple(step: Step) -> bool:
    """Whether nothing but its call makes a module what it is."""
    special = isinstance(step.op, Parametrized | GivenWeights)
    return not (special or step.frozen or step.ties or step.both_keys)


def _is_weightless(step: Step) -> bool:
    """Whether a module has no key in the state dict."""
    if step.body is not None:
        return all(map(_is_weightless, step.body.steps))
    op = step.op
    return op is not None and step.shares is None and not op.weights(*step.input_shapes)


def kind_of(step: Step) -> str:
    """What a step is in its module: "module", "tensor", or "expression" where it is no child.

    Raises `SpecError` for an op that makes its module in a way that cannot be written out.
    """
    if step.op is None:
        return "module"
    try:
        return _kind_of_op(step)
    except Refusal as refusal:
        raise SpecError([Diagnostic.of(refusal, step.span)]) from None


def _kind_of_op(step: Step) -> str:
    assert step.op is not None
    op, shapes = plain_op(step.op), everywhere(known, step.input_shapes)
    if op.function is not None and is_symbolic(step.op) and is_following(step):
        return "expression"
    made = op.made(*shapes)
    if made is None:
        return "tensor" if op.tensor_source() else _check_expression(op)
    return "module" if inspect.isclass(imported(made.path)) else "tensor"


def _check_expression(op: Op) -> str:
    if type(op).build not in (Op.build, GivenWeights.build):
        raise Refusal(
            f"{op.op_name} builds its module by code of its own, which cannot be written out",
            code=Code.MODULE,
            help="let the class of the op say the call: `Op.made`",
        )
    return "expression"


def imported(path: str) -> Any:
    """What stands at a path of Python."""
    package, _, name = path.rpartition(".")
    return getattr(import_module(package), name)


def _arguments(made: Made) -> dict[str, Value]:
    """The arguments of a call, those by position by their names too."""
    found = dict(made.arguments)
    if made.positional:
        names = inspect.signature(imported(made.path)).bind(*made.positional).arguments
        found = {**names, **found}
    return {name: _value(name, each) for name, each in found.items()}


_ONE_FOR_ALL = frozenset(
    (
        *("kernel_size", "stride", "padding", "dilation", "output_padding", "output_size"),
        *("size", "scale_factor", "normalized_shape"),
    )
)
"""Arguments of torch's classes where a number stands for a tuple of it."""


def _value(name: str, value: Any) -> Value:
    if isinstance(value, tuple | list):
        made: tuple[Value, ...] = tuple([_value("", each) for each in value])
        same = name in _ONE_FOR_ALL and made and all(each == made[0] for each in made)
        if same and (name != "normalized_shape" or len(made) == 1):
            return made[0]
        return made
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _channels(shapes: Sequence[Shape]) -> dict[str, Value]:
    """The channels of the first of these values, where it is an image or a volume."""
    if not shapes or len(shapes[0]) < 4 or not is_batched(shapes[0]) or depends(shapes[0][1]):
        return {}
    return {IN_CHANNELS: known(shapes[0][1])}


def _known(graph: Graph) -> dict[str, Value]:
    """The values that an instance of a block knows by name."""
    found: dict[str, Value] = {}
    for name, value in graph.params.items():
        number: Any = everywhere(known, value)
        if name.isidentifier() and isinstance(number, bool | int | float | str | tuple):
            found[name] = number
    if graph.inputs:
        sizes = [known(each) for each in graph.inputs[0]]
        if len(sizes) > 1 and isinstance(sizes[1], int):
            found.setdefault("in_channels", sizes[1])
        if len(sizes) > 2 and isinstance(sizes[-1], int):
            found.setdefault("in_features", sizes[-1])
    return found


def iterate(root: List) -> Iterator[List]:
    """Every list below, each once, those inside a list before it."""
    seen: dict[int, List] = {}

    def visit(each: List) -> Iterator[List]:
        if id(each) in seen:
            return
        seen[id(each)] = each
        for node in each.nodes:
            if isinstance(node.content, List):
                yield from visit(node.content)
        yield each

    return visit(root)
