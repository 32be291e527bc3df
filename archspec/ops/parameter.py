"""Learned tensors that belong to no layer: class tokens, position embeddings, layer scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from archspec.ir.fields import Problem
from archspec.ir.op import (
    MAX_FLOAT,
    Example,
    Float,
    PositiveFloat,
    PositiveInt,
    ProductFree,
    Weight,
    Weights,
)
from archspec.ir.shape import Shape
from archspec.ir.tape import Tape, Tensor

if TYPE_CHECKING:
    from torch import nn

_OPTIONS = {
    "zeros": (),
    "ones": (),
    "normal": ("mean", "std"),
    "trunc_normal": ("mean", "std", "low", "high"),
    "uniform": ("low", "high"),
}
"""The arguments that each scheme of initialisation reads."""


class ParameterOp(ProductFree, name="parameter", primary="shape"):
    """A learned tensor without a batch axis, kept under the node's own path.

    `init` is a number that fills it, or a scheme: `zeros`, `ones`, `normal` (`mean`, `std`),
    `trunc_normal` (the same, cut off at `low` and `high`: -2 and 2) or `uniform` (from `low` to
    `high`: 0 and 1). Means, deviations and bounds are torch's where they are not given; one that
    the scheme does not read is refused.
    """

    shape: tuple[PositiveInt, ...]
    init: Literal["zeros", "ones", "normal", "trunc_normal", "uniform"] | Float = "zeros"
    mean: Float = 0.0
    std: PositiveFloat = 1.0
    low: Float | None = None
    high: Float | None = None

    num_inputs = 0
    examples = (
        Example({"shape": (1, 1, 8)}),
        Example({"shape": (1, 5, 8), "init": "normal", "std": 0.02}),
        Example({"shape": (4,), "init": "trunc_normal", "std": 0.02, "low": -0.1, "high": 0.1}),
        Example({"shape": (3, 1, 1), "init": 1e-6}),
    )

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        read = _OPTIONS[self.init] if isinstance(self.init, str) else ()
        idle = [n for n in ("mean", "std", "low", "high") if n in given and n not in read]
        for name in idle:
            yield Problem("rule", name, f"`init: {self.init}` does not read `{name}`")
        low, high = self._bounds()
        if low >= high and not idle:
            yield Problem("rule", "", f"low is {low:g}, which is not below high, {high:g}")
        if high - low > MAX_FLOAT:
            yield Problem("rule", "", f"from {low:g} to {high:g} is further than float32 reaches")

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def weights(self, *inputs: Shape) -> Weights:
        return (Weight("", self.shape),)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return tape.parameter(self.shape)

    def build(self, *inputs: Shape) -> nn.Parameter:
        import torch
        from torch import nn

        tensor = torch.empty(self.shape)
        low, high = self._bounds()
        match self.init:
            case "zeros":
                nn.init.zeros_(tensor)
            case "ones":
                nn.init.ones_(tensor)
            case "normal":
                nn.init.normal_(tensor, self.mean, self.std)
            case "trunc_normal":
                nn.init.trunc_normal_(tensor, self.mean, self.std, low, high)
            case "uniform":
                nn.init.uniform_(tensor, low, high)
            case value:
                nn.init.constant_(tensor, value)
        return nn.Parameter(tensor)

    def _bounds(self) -> tuple[float, float]:
        low, high = (0.0, 1.0) if self.init == "uniform" else (-2.0, 2.0)
        return low if self.low is None else self.low, high if self.high is None else self.high
