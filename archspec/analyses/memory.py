"""The memory of a forward pass: storages that its nodes fill, and those that autograd saves.

`Op.record` replays the pass on a tape of shapes alone, for one batch size and precision. So views
and copies are as in torch, and a tensor that is saved twice counts once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from archspec.diagnostics.diagnostic import Diagnostic, Refusal, SpecError
from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.ir.shape import concrete, is_batched
from archspec.ir.tape import Storage, Tape, Tensor, contiguous_strides, parameter
from archspec.ir.types import PRECISION, ValueType
from archspec.record import Record


class Memory(Record):
    """Bytes of distinct storages of one forward pass with grad enabled.

    `activation_bytes` hold the outputs of the nodes, without the network's inputs and parameters.
    `saved_bytes` are what autograd keeps for the backward pass. Inputs are among them if the
    gradient of a weight needs them; parameters and buffers never are.
    """

    activation_bytes: int
    saved_bytes: int


def memory(
    graph: Graph,
    batch: int,
    training: bool = True,
    precision: str = PRECISION,
    recompute: str | None = None,
) -> Memory:
    """Memory of one forward pass in train() or eval() on a batch of `batch` samples.

    `recompute` says what a module is built to compute again: "concat", "norms" or nothing.
    """
    tape = Tape(training, precision, recompute)
    inputs = [
        _input(concrete(x, batch), t, precision)
        for x, t in zip(graph.inputs, graph.input_types, strict=True)
    ]
    replay = _Replay(tape)
    replay.run(graph, inputs)
    for tensor in inputs:
        replay.filled.pop(tensor.storage, None)
    return Memory(sum(storage.nbytes for storage in replay.filled), tape.saved_bytes)


def saved_bytes(
    graph: Graph,
    batch: int,
    training: bool = True,
    precision: str = PRECISION,
    recompute: str | None = None,
) -> int:
    """Bytes of the distinct storages that autograd keeps for the backward pass."""
    return memory(graph, batch, training, precision, recompute).saved_bytes


def _input(shape: tuple[int, ...], kind: ValueType, precision: str) -> Tensor:
    storage = Storage(math.prod(shape) * kind.itemsize(precision))
    return Tensor(shape, contiguous_strides(shape), storage, requires_grad=False, type=kind)


class _Replay:
    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.filled: dict[Storage, None] = {}

    def run(
        self, graph: Graph, inputs: Sequence[Tensor], frozen: bool = False
    ) -> dict[Ref, Tensor]:
        """The values of the graph, without those of steps that do not run."""
        values = {Ref(INPUT, position): tensor for position, tensor in enumerate(inputs)}
        for position, step in enumerate(graph.steps):
            if step.idle or (step.training_only and not self.tape.training):
                continue
            arguments = [values[ref] for ref in step.inputs]
            self.tape.given = {
                tie.name: parameter(not (frozen or graph.steps[tie.owner].frozen))
                for tie in step.ties
            }
            outputs = self._outputs(step, arguments, frozen or step.frozen)
            for output, tensor in outputs.items():
                values[Ref(position, output)] = tensor
        return values

    def _outputs(self, step: Step, inputs: Sequence[Tensor], frozen: bool) -> dict[int, Tensor]:
        if step.body is not None:
            values = self.run(step.body, inputs, frozen)
            refs = enumerate(step.body.outputs)
            return {position: values[ref] for position, ref in refs if ref in values}
        assert step.op is not None
        self.tape.frozen = frozen
        try:
            result = step.op.record(self.tape, *inputs)
        except Refusal as refusal:  # code of another package, which fails at this batch size
            raise SpecError([Diagnostic.of(refusal, step.span)]) from None
        tensors = result if isinstance(result, list) else [result]
        for position, tensor in enumerate(tensors):
            if not tensor.storage.is_weight:
                self.filled[tensor.storage] = None
            if not is_batched(step.outputs[position]):
                tensors[position] = tensor._replace(batched=False)
        return dict(enumerate(tensors))
