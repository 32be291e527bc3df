"""Activations: functions of each element alone, and softmax.

Every pointwise one keeps the shape, owns nothing (but `prelu`) and saves one tensor for backward:
its input, or its result where the derivative can be had from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from archspec.diagnostics.diagnostic import Refusal
from archspec.ir.fields import Problem
from archspec.ir.op import (
    Doubt,
    Example,
    Float,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ShapeKeeping,
    Weight,
    Weights,
)
from archspec.ir.shape import Shape, divide, own_axis, replaced, show
from archspec.ir.tape import CONSTANT, Tape, Tensor, elementwise, empty_like


class Activation(ShapeKeeping):
    """Base of the activations."""

    takes_unbatched = True
    is_activation = True
    any_rank = True
    saves: ClassVar[Literal["input", "output"]] = "input"
    examples: ClassVar[tuple[Example, ...]] = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example(inputs=[("N", 7)]),
    )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = self._made(tape, x)
        if y.requires_grad:
            tape.save(x if self.saves == "input" else y)
        return y

    def _made(self, tape: Tape, x: Tensor) -> Tensor:
        return elementwise(tape, x)


class ReLU(Activation, name="relu"):
    """The larger of the element and 0."""

    module = "torch.nn.ReLU"
    saves = "output"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = super().record(tape, x)
        tape.follows(y, x)
        return y


class ReLU6(Activation, name="relu6"):
    """The element, clipped to 0..6."""

    module = "torch.nn.ReLU6"

    def _made(self, tape: Tape, x: Tensor) -> Tensor:
        # torch's hardtanh writes into a tensor that is laid out like its input.
        return empty_like(tape, x, requires_grad=x.requires_grad)


class LeakyReLU(Activation, name="leaky_relu", primary="negative_slope"):
    """The element where it is positive, `negative_slope` times it elsewhere."""

    negative_slope: Float = 0.01

    module = "torch.nn.LeakyReLU"
    examples = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"negative_slope": 0.2}, inputs=[("N", 7)]),
    )


class PReLU(Activation, name="prelu"):
    """Leaky ReLU whose slope is learned: one for all, or one for each channel (axis 1)."""

    num_parameters: PositiveInt = 1
    init: Float = 0.25

    module = "torch.nn.PReLU"
    examples = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"num_parameters": 3, "init": 0.1}, inputs=[("N", 3, 4, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        channels = x[1] if len(x) > 1 else 1
        if self.num_parameters != 1 and self.num_parameters != channels:
            raise Refusal(
                f"num_parameters is {self.num_parameters}, and the input has {channels} channels",
                expected=f"1 or {channels}",
                found=str(self.num_parameters),
                help="write `num_parameters: in_channels` for one slope per channel",
            )
        return x

    def weights(self, *inputs: Shape) -> Weights:
        return (Weight("weight", (self.num_parameters,)),)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        weight = tape.weight()
        learns = x.requires_grad or weight.requires_grad
        if learns:
            tape.save(x, weight)
        return empty_like(tape, x, requires_grad=learns)


class Hardtanh(Activation, name="hardtanh"):
    """The element, clipped to `min_val`..`max_val`."""

    min_val: Float = -1.0
    max_val: Float = 1.0

    since = "0.2"
    module = "torch.nn.Hardtanh"
    examples = (
        *Activation.examples,
        Example({"min_val": -2.0, "max_val": 0.5}, inputs=[("N", 3, 4)]),
    )

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if self.min_val >= self.max_val:
            yield Problem(
                "rule", "", f"min_val is {self.min_val:g}, which is not below {self.max_val:g}"
            )

    def _made(self, tape: Tape, x: Tensor) -> Tensor:
        return empty_like(tape, x, requires_grad=x.requires_grad)


class Threshold(Activation, name="threshold"):
    """The element where it is above `threshold`, and `value` elsewhere."""

    threshold: Float
    value: Float

    since = "0.2"
    module = "torch.nn.Threshold"
    examples = (
        Example({"threshold": 0.1, "value": 20.0}, inputs=[("N", 3, 4, 5)]),
        Example({"threshold": 0.0, "value": 0.0}, inputs=[("N", 7)]),
    )


class Hardshrink(Activation, name="hardshrink", primary="lambd"):
    """The element, and 0 where its absolute value is at most `lambd`."""

    lambd: Float = 0.5

    since = "0.2"
    module = "torch.nn.Hardshrink"


class Softshrink(Activation, name="softshrink", primary="lambd"):
    """The element, `lambd` nearer to 0, and 0 where it is not as far from 0 as that."""

    lambd: NonNegativeFloat = 0.5

    since = "0.2"
    module = "torch.nn.Softshrink"


class Tanhshrink(Activation, name="tanhshrink"):
    """The element less its hyperbolic tangent."""

    since = "0.2"
    module = "torch.nn.Tanhshrink"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        squashed = elementwise(tape, x)
        if x.requires_grad:
            tape.save(squashed)
        return elementwise(tape, x, squashed)


class RReLU(Activation, name="rrelu"):
    """Leaky ReLU whose slope is drawn for each element in training, from `lower` to `upper`.

    In evaluation the slope is the mean of the two (Xu et al., 2015).
    """

    lower: Float = 1 / 8
    upper: Float = 1 / 3

    since = "0.2"
    module = "torch.nn.RReLU"
    examples = (
        *Activation.examples,
        Example({"lower": 0.1, "upper": 0.1}, inputs=[("N", 3, 4)]),
    )

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if self.lower > self.upper:
            yield Problem("rule", "", f"lower is {self.lower:g}, above upper, {self.upper:g}")

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        noise = empty_like(tape, x, requires_grad=False)
        if x.requires_grad:
            tape.save(x, noise)
        return tape.new(x.shape, requires_grad=x.requires_grad)


class ELU(Activation, name="elu"):
    """The element where it is positive, `alpha * (exp(x) - 1)` elsewhere."""

    alpha: Float = 1.0

    module = "torch.nn.ELU"


class CELU(Activation, name="celu", primary="alpha"):
    """The element where it is positive, `alpha * (exp(x / alpha) - 1)` elsewhere (Barron, 2017)."""

    alpha: Float = 1.0

    since = "0.2"
    module = "torch.nn.CELU"
    examples = (*Activation.examples, Example({"alpha": 0.5}, inputs=[("N", 3, 4)]))

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if self.alpha == 0:
            yield Problem("rule", "alpha", "it divides by 0")


class SELU(Activation, name="selu"):
    """ELU scaled so that layers keep mean 0 and deviation 1 (Klambauer et al., 2017)."""

    since = "0.2"
    module = "torch.nn.SELU"


class GELU(Activation, name="gelu"):
    """The element times the normal distribution function of it, exact or by `tanh`.

    Hendrycks and Gimpel, 2016.
    """

    approximate: Literal["none", "tanh"] = "none"

    module = "torch.nn.GELU"
    examples = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"approximate": "tanh"}, inputs=[("N", 7)]),
    )


class SiLU(Activation, name="silu"):
    """The element times its sigmoid, also called swish."""

    module = "torch.nn.SiLU"


class Mish(Activation, name="mish"):
    """The element times the hyperbolic tangent of its softplus (Misra, 2019)."""

    since = "0.2"
    module = "torch.nn.Mish"


class Sigmoid(Activation, name="sigmoid"):
    """`1 / (1 + exp(-x))`."""

    module = "torch.nn.Sigmoid"
    saves = "output"


class LogSigmoid(Activation, name="logsigmoid"):
    """The logarithm of the sigmoid of the element."""

    since = "0.2"
    module = "torch.nn.LogSigmoid"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        buffer = tape.new(x.shape, requires_grad=False)
        if x.requires_grad:
            tape.save(x, buffer)
        return tape.new(x.shape, requires_grad=x.requires_grad)


class Tanh(Activation, name="tanh"):
    """The hyperbolic tangent."""

    module = "torch.nn.Tanh"
    saves = "output"


class Hardswish(Activation, name="hardswish"):
    """`x * relu6(x + 3) / 6` (Howard et al., 2019, MobileNetV3)."""

    module = "torch.nn.Hardswish"


class Hardsigmoid(Activation, name="hardsigmoid"):
    """`relu6(x + 3) / 6`."""

    module = "torch.nn.Hardsigmoid"


class Softsign(Activation, name="softsign"):
    """`x / (1 + |x|)`."""

    since = "0.2"
    module = "torch.nn.Softsign"

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        divisor = elementwise(tape, elementwise(tape, x), CONSTANT)
        if x.requires_grad:
            tape.save(x, divisor)
        return elementwise(tape, x, divisor)


class Softplus(Activation, name="softplus"):
    """`log(1 + exp(beta * x)) / beta`; linear where `beta * x` exceeds `threshold`."""

    beta: PositiveFloat = 1.0
    threshold: Float = 20.0

    module = "torch.nn.Softplus"


class GLU(ShapeKeeping, name="glu", primary="dim"):
    """The first half along `dim` times the sigmoid of the second (Dauphin et al., 2017)."""

    dim: int = -1

    since = "0.2"
    takes_unbatched = True
    any_rank = True
    module = "torch.nn.GLU"
    examples = (
        Example(inputs=[("N", 3, 4, 6)]),
        Example({"dim": 1}, inputs=[("N", 4, 5, 3)]),
        Example({"dim": 0}, inputs=[(2, 7)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        dim = own_axis(self.dim, x)
        return replaced(x, dim, divide(x[dim], 2, f"dim {self.dim} in halves"))

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if x.requires_grad:
            tape.save(x)
        dim = self.dim % len(x.shape)
        half = x.viewed(replaced(x.shape, dim, x.shape[dim] // 2), x.strides)
        return elementwise(tape, half, half)


class _AlongAxis(ShapeKeeping):
    """Base of softmax and its logarithm.

    `of_one` is what they give along an axis of size 1, and what to write instead.
    """

    dim: int

    of_one: ClassVar[tuple[str, str]]
    primary = "dim"
    takes_unbatched = True
    any_rank = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"dim": 1}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": -1}, inputs=[("N", 4, 7)]),
        Example({"dim": 0}, inputs=[(3, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        own_axis(self.dim, x)
        return x

    def doubt(self, *inputs: Shape) -> Doubt | None:
        (x,) = inputs
        if x[self.dim] != 1:
            return None
        value, instead = self.of_one
        return Doubt(
            f"{self.op_name} along dim {self.dim} of {show(x)}, of size 1, gives {value} for any "
            "input",
            instead,
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = tape.new(x.shape, requires_grad=x.requires_grad)  # the kernel writes row-major only
        if y.requires_grad:
            tape.save(y)
        return y


class Softmax(_AlongAxis, name="softmax"):
    """`exp(x)` divided by its sum along `dim`, which counts N as 0 and may not be it."""

    gives_probabilities = True
    module = "torch.nn.Softmax"
    of_one = "1", "for one number between 0 and 1 write `sigmoid`"


class LogSoftmax(_AlongAxis, name="log_softmax"):
    """The logarithm of the softmax along `dim`, which counts N as 0 and may not be it."""

    since = "0.2"
    module = "torch.nn.LogSoftmax"
    of_one = "0", "for the logarithm of one number between 0 and 1 write `logsigmoid`"
