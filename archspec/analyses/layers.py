"""Every node of a graph in order, with its path, its output and its costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from archspec.analyses.cost import Costs
from archspec.diagnostics.diagnostic import Span
from archspec.ir.graph import Graph, Visit, walk
from archspec.ir.op import Op
from archspec.ir.shape import Shape


class Layer(NamedTuple):
    """One node: an op, or a group or block with the totals of what is inside.

    `depth` is 0 in the spec's own list. `arguments` are those that were given and differ from
    their defaults; the first `num_bare` of them read well without their names. MACs are for one
    sample, `macs` in eval(), `training_macs` in train(), and None where they are not counted (of
    a `module` whose ops torch's counter does not know). `share` is the node's part of the
    network's MACs, or of its parameters where it has no MACs, from 0 to 1. `shares` is the path
    of the node whose module is used again; such a node owns no parameters. An `idle` node does
    not run: it owns a module for those that share it.
    """

    path: str
    depth: int
    op: str
    is_block: bool
    arguments: dict[str, Any]
    num_bare: int
    output_shapes: tuple[Shape, ...]
    num_parameters: int
    num_buffers: int
    macs: int | None
    training_macs: int | None
    share: float
    training_only: bool
    shares: str | None
    span: Span
    idle: bool = False

    def __hash__(self) -> int:
        return hash((self.path, self.op))  # its arguments are a dict

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def output_shape(self) -> Shape:
        """Shape of its output, the first one where it has several."""
        return self.output_shapes[0]

    def as_dict(self) -> dict[str, Any]:
        """The layer as plain data for JSON output."""
        return {
            "path": self.path,
            "depth": self.depth,
            "op": self.op,
            "is_block": self.is_block,
            "arguments": self.arguments,
            "output_shape": self.output_shape,
            "output_shapes": self.output_shapes,
            "num_parameters": self.num_parameters,
            "num_buffers": self.num_buffers,
            "macs": self.macs,
            "training_macs": self.training_macs,
            "share": self.share,
            "training_only": self.training_only,
            "shares": self.shares,
            "idle": self.idle,
            "span": {
                "file": self.span.source.name,
                "line": self.span.line,
                "column": self.span.column,
            },
        }


def layers(graph: Graph, costs: Costs | None = None, depth: int | None = None) -> list[Layer]:
    """The nodes in order, a block before those inside it; below `depth` levels they are left out.

    `costs` saves counting again where the caller has them.
    """
    costs = costs or Costs(graph)
    return [_layer(visit, costs) for visit in walk(graph) if depth is None or visit.depth < depth]


def _layer(visit: Visit, costs: Costs) -> Layer:
    step = visit.step
    cost = costs.of_step(step)
    # The marks of an enclosing step hold for all inside it.
    if visit.shared:
        cost = cost.unowned()
    if visit.idle:
        cost = cost.idle()
    if visit.training_only:
        cost = cost.only_in_training()
    arguments = step.op.arguments() if step.op else {}
    total = costs.total
    part, whole = (
        (cost.macs, total.macs) if total.macs else (cost.num_parameters, total.num_parameters)
    )
    return Layer(
        path=visit.path,
        depth=visit.depth,
        op=step.kind,
        is_block=step.body is not None,
        arguments=arguments,
        num_bare=_num_bare(step.op, arguments) if step.op else 0,
        output_shapes=step.outputs,
        num_parameters=cost.num_parameters,
        num_buffers=cost.num_buffers,
        macs=cost.known_macs,
        training_macs=cost.known_training_macs,
        share=part / whole if whole else 0.0,
        training_only=visit.training_only,
        shares=visit.module_path if step.shares is not None else None,
        span=step.span,
        idle=visit.idle,
    )


def _num_bare(op: Op, arguments: Iterable[str]) -> int:
    """How many leading arguments are required, or the primary one: `conv2d(64, 3, padding=1)`."""
    fields = op.fields()
    count = 0
    for key in arguments:
        if not (fields[key].is_required or key == op.primary):
            break
        count += 1
    return count
