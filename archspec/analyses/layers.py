"""The nodes of a graph in order, each with its path, what it reads, its outputs and costs."""

from __future__ import annotations

from typing import Any

from archspec.analyses.cost import Cost, Costs
from archspec.diagnostics.diagnostic import Span
from archspec.ir.graph import INPUT, Graph, Ref, Step, Visit, walk
from archspec.ir.op import Op
from archspec.ir.shape import Shape
from archspec.record import Record


class Layer(Record):
    """One node: an op, or a group or block with the totals of what is inside it.

    `name` is the last part of its path, what its own list calls it: it may have dots. `depth` is 0
    in the spec's own list, 1 in a block or group of that list, and so on.

    `op` is the name of its op or block, or `group`. `operation` is the op with its arguments, and
    None for a group or block.

    `reads` says what it reads, in order: paths of layers, and names of the network's inputs.
    `halves[1]` is the second output of the layer `halves`. A value from inside a block has the path
    of the layer that made it, unless the block is one row.

    `output_dtypes` are the types of its outputs: float (the network's working precision), int64,
    int32 or bool.

    `share` is the node's part of the network's MACs, from 0 to 1; of its parameters if the network
    has no MACs. `shares` is the path of the node whose module it uses again, so that it owns no
    parameters. An `idle` node does not run: it owns a module for the nodes that share it. The
    parameters of a `frozen` one are not trained.
    """

    path: str
    name: str
    depth: int
    op: str
    operation: Op | None
    reads: tuple[str, ...]
    output_shapes: tuple[Shape, ...]
    output_dtypes: tuple[str, ...]
    cost: Cost
    share: float
    shares: str | None
    training_only: bool
    idle: bool
    span: Span
    frozen: bool = False

    @property
    def parent(self) -> str:
        """The path of the group or block around it, empty in the spec's own list."""
        return self.path[: -len(self.name) - 1]

    @property
    def is_block(self) -> bool:
        """Whether it is a group or block."""
        return self.operation is None

    @property
    def arguments(self) -> dict[str, Any]:
        """The op's arguments that differ from their defaults."""
        return self.operation.arguments() if self.operation else {}

    @property
    def output_shape(self) -> Shape:
        """The shape of its output, or of the first if it has several."""
        return self.output_shapes[0]

    @property
    def num_parameters(self) -> int:
        return self.cost.num_parameters

    @property
    def num_buffers(self) -> int:
        return self.cost.num_buffers

    @property
    def macs(self) -> int | None:
        """For one sample in eval(). None if torch's counter does not know an op of the module."""
        return self.cost.known_macs

    @property
    def training_macs(self) -> int | None:
        """`macs`, in train()."""
        return self.cost.known_training_macs

    def as_dict(self) -> dict[str, Any]:
        """The layer as plain data for JSON output."""
        source, line, column, *_ = self.span
        said = {key: getattr(self, key) for key in _SAID}
        return said | {"span": {"file": source.name, "line": line, "column": column}}


_SAID = (
    *("path", "depth", "op", "is_block", "arguments", "reads"),
    *("output_shape", "output_shapes", "output_dtypes"),
    *("num_parameters", "num_buffers", "macs", "training_macs", "share"),
    *("training_only", "shares", "idle", "frozen"),
)
"""What JSON output says of a layer, besides its place."""


def layers(graph: Graph, costs: Costs | None = None, depth: int | None = None) -> list[Layer]:
    """The nodes in order, a block before those inside it. Nodes `depth` levels down are left out.

    A caller that has the `costs` already gives them.
    """
    costs = costs or Costs(graph)
    reads: dict[str, tuple[str, ...]] = {}
    _trace(graph, "", graph.input_names, depth, reads)
    return [
        _layer(visit, costs, reads[visit.path])
        for visit in walk(graph)
        if depth is None or visit.depth < depth
    ]


def _trace(
    graph: Graph,
    prefix: str,
    inputs: tuple[str, ...],
    depth: int | None,
    reads: dict[str, tuple[str, ...]],
) -> list[str]:
    """Note in `reads` what each step reads, down to `depth` levels. Returns the outputs' names."""
    values = {Ref(INPUT, position): name for position, name in enumerate(inputs)}
    below = None if depth is None else depth - 1
    for index, step in enumerate(graph.steps):
        path = prefix + step.name
        # What is inside an idle block has no inputs.
        read = reads[path] = tuple([values[ref] for ref in step.inputs if ref in values])
        if step.body is not None and (below is None or below > 0):
            names = _trace(step.body, f"{path}.", read, below, reads)
        else:
            names = _outputs(path, step)
        values.update({Ref(index, output): name for output, name in enumerate(names)})
    return [values.get(ref, "") for ref in graph.outputs]


def _outputs(path: str, step: Step) -> list[str]:
    """What the outputs of a row are called."""
    taken = step.body.outputs[len(step.outputs) - step.body.taken :] if step.body else ()
    own = len(step.outputs) - len(taken)
    names = [path] if own == 1 else [f"{path}[{output}]" for output in range(own)]
    assert step.body is not None or not taken
    return names + [f"{path}.{step.body.steps[ref.step].name}" for ref in taken if step.body]


def _layer(visit: Visit, costs: Costs, reads: tuple[str, ...]) -> Layer:
    step, total = visit.step, costs.total
    cost = costs.of_step(step)
    # The marks of a step hold for everything inside it.
    if visit.shared:
        cost = cost.unowned()
    if visit.frozen:
        cost = cost.frozen()
    if visit.idle:
        cost = cost.idle()
    if visit.training_only:
        cost = cost.only_in_training()
    part, whole = (
        (cost.macs, total.macs) if total.macs else (cost.num_parameters, total.num_parameters)
    )
    return Layer(
        path=visit.path,
        name=step.name,
        depth=visit.depth,
        op=step.kind,
        operation=step.op,
        reads=() if visit.idle else reads,
        output_shapes=step.outputs,
        output_dtypes=tuple([each.name for each in step.types]),
        cost=cost,
        share=part / whole if whole else 0.0,
        shares=visit.module_path if step.shares is not None else None,
        training_only=visit.training_only,
        idle=visit.idle,
        frozen=visit.frozen,
        span=step.span,
    )
