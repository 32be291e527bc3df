"""Graphs written by hand, as `expand` would make them: `Draft` adds one step after another."""

from __future__ import annotations

from typing import Any

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.diagnostics.diagnostic import Source, Span
from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.ir.infer import infer, infer_types
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N, Shape
from archspec.ir.types import FLOAT, ValueType

SPAN = Span(Source("draft.yaml", "draft"), 1, 1, 1, 6)


def image(*dims: int) -> Shape:
    return (N, *dims)


class Draft:
    """A graph in the making. Every step reads the one before it unless `reads` says otherwise."""

    def __init__(
        self,
        *inputs: Shape,
        names: tuple[str, ...] = ("input",),
        block: str | None = None,
        types: tuple[ValueType, ...] = (),
    ) -> None:
        self.inputs, self.names, self.block = inputs, names, block
        self.types = types or (FLOAT,) * len(inputs)
        self.steps: list[Step] = []
        self.last = Ref(INPUT)

    def shape(self, ref: Ref) -> Shape:
        if ref.step == INPUT:
            return self.inputs[ref.output]
        return self.steps[ref.step].outputs[ref.output]

    def type(self, ref: Ref) -> ValueType:
        if ref.step == INPUT:
            return self.types[ref.output]
        return self.steps[ref.step].types[ref.output]

    def op(self, kind: str, *, reads: tuple[Ref, ...] | None = None, **more: Any) -> Ref:
        """Adds an op; node facts are `name`, `training_only`, `shares`, the rest its arguments."""
        node = {key: more.pop(key) for key in ("name", "training_only", "shares") if key in more}
        made = REGISTRY[kind](**more)
        reads = (self.last,) if reads is None else reads
        inputs = [self.shape(r) for r in reads]
        shapes = infer(made, inputs)
        types = infer_types(made, inputs, [self.type(r) for r in reads], len(shapes))
        return self._add(made, None, reads, shapes, types, **node)

    def body(self, graph: Graph, *, reads: tuple[Ref, ...] | None = None, **node: Any) -> Ref:
        reads = (self.last,) if reads is None else reads
        return self._add(None, graph, reads, graph.output_shapes, graph.output_types, **node)

    def _add(
        self,
        op: Any,
        body: Graph | None,
        reads: tuple[Ref, ...],
        outputs: tuple[Shape, ...],
        types: tuple[ValueType, ...],
        name: str | None = None,
        training_only: bool = False,
        shares: Ref | None = None,
    ) -> Ref:
        position = len(self.steps)
        self.steps.append(
            Step(
                name=str(position) if name is None else name,
                op=op,
                body=body,
                inputs=reads,
                input_shapes=tuple(map(self.shape, reads)),
                input_types=tuple(map(self.type, reads)),
                outputs=outputs,
                types=types,
                span=SPAN,
                named=name is not None,
                training_only=training_only,
                shares=None if shares is None else shares.step,
            )
        )
        self.last = Ref(position)
        return self.last

    def graph(self, *outputs: Ref, names: tuple[str, ...] | None = None) -> Graph:
        return Graph(
            block=self.block,
            input_names=self.names,
            inputs=self.inputs,
            input_types=self.types,
            steps=tuple(self.steps),
            outputs=outputs or (self.last,),
            output_names=names,
        )


def residual(channels: int = 4, size: int = 6, out_channels: int = 4, stride: int = 1) -> Graph:
    """The residual block of the reference networks, with a 1x1 shortcut where it is needed."""
    draft = Draft(image(channels, size, size), block="residual")
    draft.op("conv2d", name="conv1", out_channels=out_channels, kernel_size=3, stride=stride,
             padding=1)  # fmt: skip
    draft.op("batch_norm", name="bn1")
    draft.op("relu")
    draft.op("conv2d", name="conv2", out_channels=out_channels, kernel_size=3, padding=1)
    main = draft.op("batch_norm", name="bn2")
    shortcut = Ref(INPUT)
    if stride != 1 or channels != out_channels:
        shortcut = draft.op("conv2d", name="conv3", reads=(shortcut,), out_channels=out_channels,
                            kernel_size=1, stride=stride)  # fmt: skip
    draft.op("add", reads=(main, shortcut))
    draft.op("relu")
    return draft.graph()


def network() -> Graph:
    """A small residual network: a stem, a group of two residuals, a head; 2x8x8 to 5."""
    draft = Draft(image(2, 8, 8))
    draft.op("conv2d", name="stem", out_channels=4, kernel_size=3, padding=1)
    group = Draft(image(4, 8, 8))
    group.body(residual(4, 8, 4))
    group.body(residual(4, 8, 6, 2))
    draft.body(group.graph(), name="layer1")
    draft.op("global_avg_pool2d")
    draft.op("flatten")
    draft.op("linear", name="fc", out_features=5)
    return draft.graph()
