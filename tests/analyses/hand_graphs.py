"""Small graphs made by hand, of ops whose figures are plain to see."""

from collections.abc import Sequence

from archspec.diagnostics.diagnostic import Source, Span
from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.ir.op import Op, Weight, Weights
from archspec.ir.shape import N, Shape
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import FLOAT, INT64

SPAN = Span(Source("net.yaml", "layers: []\n"), 1, 1, 1, 7)


class Affine(Op):
    """A linear layer that saves its input, as `torch.nn.Linear` does."""

    op_name = "affine"
    primary = "out_features"
    out_features: int
    bias: bool = True
    scale: float = 1.0

    def infer(self, x: Shape) -> Shape:
        return (*x[:-1], self.out_features)

    def weights(self, x: Shape) -> Weights:
        weight = Weight("weight", (self.out_features, x[-1]))
        return (weight, Weight("bias", (self.out_features,))) if self.bias else (weight,)

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        return inputs[0][-1] * self.out_features

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        tape.save(x)
        return tape.new((*x.shape[:-1], self.out_features), requires_grad=True)


class Frozen(Op):
    """A fixed table of 10 elements, one float buffer of 3 and an int64 counter."""

    op_name = "frozen"

    def infer(self, x: Shape) -> Shape:
        return x

    def weights(self, x: Shape) -> Weights:
        return (
            Weight("table", (2, 5), trainable=False),
            Weight("mean", (3,), buffer=True),
            Weight("count", (), buffer=True, type=INT64),
        )

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        return 0

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        return tape.new(x.shape, requires_grad=x.requires_grad)


class Rectify(Op):
    """A relu: saves its output."""

    op_name = "rectify"

    def infer(self, x: Shape) -> Shape:
        return x

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        return 0

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        y = tape.new(x.shape, requires_grad=x.requires_grad)
        if x.requires_grad:
            tape.save(y)
        return y


class Halves(Op):
    """Two views of its input."""

    op_name = "halves"

    def infer(self, x: Shape) -> list[Shape]:
        return [(*x[:-1], x[-1] // 2)] * 2

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        return 0

    def record(self, tape: Tape, x: Tensor) -> list[Tensor]:
        shape = (*x.shape[:-1], x.shape[-1] // 2)
        return [Tensor(shape, x.strides, x.storage, x.requires_grad) for _ in range(2)]


class Learned(Op):
    """A learned tensor: a parameter, so its storage counts nowhere."""

    op_name = "learned"
    num_inputs = 0
    features: int

    def infer(self) -> Shape:
        return (1, self.features)

    def weights(self) -> Weights:
        return (Weight("", (1, self.features)),)

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        return 0

    def record(self, tape: Tape) -> Tensor:
        return tape.parameter((1, self.features))


class Join(Op):
    """A product of two: saves both."""

    op_name = "join"
    variadic = True

    def infer(self, *inputs: Shape) -> Shape:
        return max(inputs, key=lambda shape: shape[0] is N)

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        return 0

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        tape.save(*inputs)
        widest = max(inputs, key=lambda tensor: tensor.numel)
        return tape.new(widest.shape, requires_grad=True)


class Builder:
    """Adds steps to one list; by default each reads the one before it."""

    def __init__(self, *inputs: Shape, block: str | None = None) -> None:
        self.inputs, self.block = inputs, block
        self.steps: list[Step] = []

    def add(
        self,
        node: Op | Graph,
        *sources: Ref,
        name: str | None = None,
        shares: int | None = None,
        training_only: bool = False,
    ) -> Ref:
        takes = node.num_inputs if isinstance(node, Op) else len(node.inputs)
        last = Ref(len(self.steps) - 1 if self.steps else INPUT)
        refs = sources or ((last,) if takes else ())
        shapes = tuple(self.shape(ref) for ref in refs)
        if isinstance(node, Graph):
            op, body, outputs, types = None, node, node.output_shapes, node.output_types
        else:
            result = node.infer(*shapes)
            outputs = tuple(result) if isinstance(result, list) else (result,)
            op, body, types = node, None, (FLOAT,) * len(outputs)
        step = Step(
            name=name or str(len(self.steps)),
            op=op,
            body=body,
            inputs=refs,
            input_shapes=shapes,
            input_types=(FLOAT,) * len(refs),
            outputs=outputs,
            types=types,
            span=SPAN,
            named=name is not None,
            training_only=training_only,
            shares=shares,
        )
        self.steps.append(step)
        return Ref(len(self.steps) - 1)

    def shape(self, ref: Ref) -> Shape:
        return (
            self.inputs[ref.output]
            if ref.step == INPUT
            else self.steps[ref.step].outputs[ref.output]
        )

    def graph(self, *outputs: Ref, names: tuple[str, ...] | None = None) -> Graph:
        last = Ref(len(self.steps) - 1 if self.steps else INPUT)
        inputs = tuple("input" if i == 0 else f"input{i}" for i in range(len(self.inputs)))
        types = (FLOAT,) * len(self.inputs)
        steps = tuple(self.steps)
        return Graph(self.block, inputs, self.inputs, types, steps, outputs or (last,), names)


def mlp_block(features: int, out_features: int) -> Graph:
    """affine then rectify, as a block named `mlp`."""
    block = Builder((N, features), block="mlp")
    block.add(Affine(out_features=out_features), name="fc")
    block.add(Rectify())
    return block.graph()
