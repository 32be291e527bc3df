"""What a graph owns and what it computes: parameters, buffers, bytes and multiply-accumulates."""

from __future__ import annotations

from archspec.ir.graph import Graph, Step
from archspec.ir.op import Weights
from archspec.ir.shape import Shape, product, total
from archspec.ir.types import PRECISION
from archspec.record import Record


class Cost(Record):
    """Figures of one step, or of a whole graph.

    Parameters and buffers are numbers of elements. `state_dict_bytes` are bytes of tensor data.
    MACs are for one sample: `macs` in eval(), and `training_macs` in train(), where steps marked
    `training_only` run too. `uncounted` and `training_uncounted` are the numbers of ops whose MACs
    are not known, and these MACs are left out.
    """

    num_trainable_parameters: int = 0
    num_frozen_parameters: int = 0
    num_buffers: int = 0
    state_dict_bytes: int = 0
    macs: int = 0
    training_macs: int = 0
    uncounted: int = 0
    training_uncounted: int = 0

    @property
    def known_macs(self) -> int | None:
        """`macs`, or None if some are not counted."""
        return None if self.uncounted else self.macs

    @property
    def known_training_macs(self) -> int | None:
        """`training_macs`, or None if some are not counted."""
        return None if self.training_uncounted else self.training_macs

    @property
    def num_parameters(self) -> int:
        return self.num_trainable_parameters + self.num_frozen_parameters

    def unowned(self) -> Cost:
        """The same work with the weights of another step: the MACs stay, and it owns nothing."""
        return self._replace(
            num_trainable_parameters=0, num_frozen_parameters=0, num_buffers=0, state_dict_bytes=0
        )

    def frozen(self) -> Cost:
        """The same step, whose parameters nothing trains."""
        return self._replace(num_trainable_parameters=0, num_frozen_parameters=self.num_parameters)

    def idle(self) -> Cost:
        """The same weights, which nothing runs."""
        return self._replace(macs=0, training_macs=0, uncounted=0, training_uncounted=0)

    def only_in_training(self) -> Cost:
        """The same step, which eval() leaves out."""
        return self._replace(macs=0, uncounted=0)


NOTHING = Cost()


class Costs:
    """The costs of a graph, of the graphs inside it, and of their steps.

    Calls of a block with equal arguments and shapes have one `Graph` in common, which is added up
    once. So the time is linear in the number of distinct steps. Bytes are those of a network of
    `precision`.
    """

    def __init__(self, graph: Graph, precision: str = PRECISION) -> None:
        self.precision = precision
        self._graphs: dict[Graph, Cost] = {}
        # Equal ops of a graph are mostly one object, which the graph keeps alive.
        self._ops: dict[tuple[int, tuple[Shape, ...]], Cost] = {}
        self.total = self.of_graph(graph)

    def of_graph(self, graph: Graph) -> Cost:
        """The sum over the steps of `graph`."""
        known = self._graphs.get(graph)
        if known is None:
            costs = [self.of_step(step) for step in graph.steps]
            known = Cost(*map(total, zip(*costs, strict=True))) if costs else NOTHING
            self._graphs[graph] = known
        return known

    def of_step(self, step: Step) -> Cost:
        """What `step` adds to the cost of its own graph.

        Only its own marks count, such as `training_only`. Those of the steps around its graph are
        in `archspec.ir.graph.Visit`.
        """
        cost = self._of_op(step) if step.body is None else self.of_graph(step.body)
        if step.shares is not None:
            cost = cost.unowned()
        if step.frozen:
            cost = cost.frozen()
        if step.idle:
            cost = cost.idle()
        if step.training_only:
            cost = cost.only_in_training()
        return cost

    def _of_op(self, step: Step) -> Cost:
        key = id(step.op), step.input_shapes
        known = self._ops.get(key)
        if known is None:
            known = self._ops[key] = _of_op(step, self.precision)
        return known


def _of_op(step: Step, precision: str) -> Cost:
    assert step.op is not None
    macs = step.op.macs(step.input_shapes, step.outputs)
    weights = step.op.weights(*step.input_shapes)
    owned = _of_weights(weights, precision) if weights else NOTHING
    if macs is None:
        return Cost(*owned[:4], uncounted=1, training_uncounted=1)
    return Cost(*owned[:4], macs, macs) if macs else owned


def _of_weights(weights: Weights, precision: str) -> Cost:
    trainable = frozen = buffers = nbytes = 0
    for weight in weights:
        elements = product(weight.shape)
        nbytes += elements * weight.type.itemsize(precision)
        if weight.buffer:
            buffers += elements
        elif weight.trainable:
            trainable += elements
        else:
            frozen += elements
    return Cost(trainable, frozen, buffers, nbytes)
