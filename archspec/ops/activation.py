"""Activations: functions of each element alone, and softmax.

Every pointwise one keeps the shape, owns nothing (but `prelu`) and saves one tensor for backward:
its input, or its result where the derivative can be had from that.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from archspec.diagnostics.diagnostic import Refusal
from archspec.ir.op import (
    Doubt,
    Example,
    Float,
    PositiveFloat,
    PositiveInt,
    ShapeKeeping,
    Weight,
    Weights,
)
from archspec.ir.shape import Shape, own_axis, show
from archspec.ir.tape import Tape, Tensor, elementwise, empty_like


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


class ELU(Activation, name="elu"):
    """The element where it is positive, `alpha * (exp(x) - 1)` elsewhere."""

    alpha: Float = 1.0

    module = "torch.nn.ELU"


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


class Sigmoid(Activation, name="sigmoid"):
    """`1 / (1 + exp(-x))`."""

    module = "torch.nn.Sigmoid"
    saves = "output"


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


class Softplus(Activation, name="softplus"):
    """`log(1 + exp(beta * x)) / beta`; linear where `beta * x` exceeds `threshold`."""

    beta: PositiveFloat = 1.0
    threshold: Float = 20.0

    module = "torch.nn.Softplus"


class Softmax(Activation, name="softmax", primary="dim"):
    """`exp(x)` divided by its sum along `dim`, which counts N as 0 and may not be it."""

    dim: int

    is_activation = False
    gives_probabilities = True
    module = "torch.nn.Softmax"
    examples = (
        Example({"dim": 1}, inputs=[("N", 3, 4, 5)]),
        Example({"dim": -1}, inputs=[("N", 4, 7)]),
        Example({"dim": 0}, inputs=[(4, 7)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        own_axis(self.dim, x)
        return x

    def doubt(self, *inputs: Shape) -> Doubt | None:
        (x,) = inputs
        if x[self.dim] != 1:
            return None
        return Doubt(
            f"softmax along dim {self.dim} of {show(x)}, of size 1, gives 1 for any input",
            "for one number between 0 and 1 write `sigmoid`",
        )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = tape.new(x.shape, requires_grad=x.requires_grad)  # the kernel writes row-major only
        if y.requires_grad:
            tape.save(y)
        return y
