"""Learned tensors that belong to no layer: class tokens, position embeddings, layer scales."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from archspec.ir import tape as tapes
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
from archspec.ir.schemes import SCHEMES
from archspec.ir.shape import Shape
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import EVERY, FLOAT, ValueType

if TYPE_CHECKING:
    from torch import nn

MATRICES = ("xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal")
"""Schemes that count what each row of a matrix reads, as a network's `init:` uses them."""

_OPTIONS = {
    "zeros": (),
    "ones": (),
    "normal": ("mean", "std"),
    "trunc_normal": ("mean", "std", "low", "high"),
    "uniform": ("low", "high"),
    **dict.fromkeys(("arange", *MATRICES), ()),
}
"""The arguments that each scheme of initialisation reads."""


Init: TypeAlias = (
    Literal["zeros", "ones", "normal", "trunc_normal", "uniform", "arange"]
    | Literal["xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"]
)


def expanded(own: str, batched: str, rank: int) -> str:
    """Source of a tensor of `rank` axes with the batch axis of a value before them."""
    return f"{own}.expand({', '.join([f'{batched}.shape[0]', *['-1'] * rank])})"


class ParameterOp(ProductFree, name="parameter", primary="shape"):
    """A learned tensor without a batch axis, kept under the node's own path.

    `init` is a number that fills it, or a scheme: `zeros`, `ones`, `normal` (`mean`, `std`),
    `trunc_normal` (the same, cut off at `low` and `high`: -2 and 2), `uniform` (from `low` to
    `high`: 0 and 1) or `arange` (0, 1, 2 and so on, the last axis first). Means, deviations and
    bounds are torch's where they are not given; one that the scheme does not read is refused. The
    schemes of a network's `init:` fill a tensor of two or more axes as they fill a layer's weight:
    `xavier_uniform`, `xavier_normal`, `kaiming_uniform`, `kaiming_normal`, `orthogonal`. With
    `batch: true` the value has the batch axis first, expanded and not copied.
    """

    shape: tuple[PositiveInt, ...]
    init: Init | Float = "zeros"
    mean: Float = 0.0
    std: PositiveFloat = 1.0
    low: Float | None = None
    high: Float | None = None
    batch: bool = False

    num_inputs = 0
    takes = EVERY
    examples = (
        Example({"shape": (1, 1, 8)}),
        Example({"shape": (1, 5, 8), "init": "normal", "std": 0.02}),
        Example({"shape": (4,), "init": "trunc_normal", "std": 0.02, "low": -0.1, "high": 0.1}),
        Example({"shape": (3, 1, 1), "init": 1e-6}),
        Example({"shape": (), "init": "ones"}),
        Example({"shape": (1, 4, 1, 1), "init": "arange"}),
        Example({"shape": (4, 3, 3, 3), "init": "kaiming_uniform"}),
        Example({"shape": (5, 8), "init": "normal", "batch": True}, inputs=[("N", 3)]),
    )

    @property
    def arity(self) -> int:
        return int(self.batch)

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        read = _OPTIONS[self.init] if isinstance(self.init, str) else ()
        idle = [n for n in ("mean", "std", "low", "high") if n in given and n not in read]
        for name in idle:
            yield Problem("rule", name, f"`init: {self.init}` does not read `{name}`")
        if self.init in MATRICES and len(self.shape) < 2:
            yield Problem("rule", "init", f"`{self.init}` fills tensors of two or more axes")
        low, high = self._bounds()
        if low >= high and not idle:
            yield Problem("rule", "", f"low is {low:g}, which is not below high, {high:g}")
        if high - low > MAX_FLOAT:
            yield Problem("rule", "", f"from {low:g} to {high:g} is further than float32 reaches")

    def infer(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], *self.shape) if self.batch else self.shape

    def result_type(self, *types: ValueType) -> ValueType:
        return FLOAT

    def weights(self, *inputs: Shape) -> Weights:
        return (Weight("", self.shape),)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        own = tape.parameter(self.shape)
        return tapes.spread(own, inputs[0].shape[0]) if self.batch else own

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
            case "arange":
                tensor.copy_(torch.arange(tensor.numel()).reshape(self.shape))
            case str(name):
                function, arguments = SCHEMES[name]
                getattr(nn.init, function)(tensor, **arguments)
            case value:
                nn.init.constant_(tensor, value)
        return nn.Parameter(tensor)

    def tensor_source(self) -> str:
        low, high = self._bounds()
        empty = f"torch.empty({self.shape})"
        match self.init:
            case "zeros" | "ones":
                made = f"torch.{self.init}({self.shape})"
            case "normal":
                made = f"nn.init.normal_({empty}{_said(mean=self.mean, std=self.std)})"
            case "trunc_normal":
                said = _said(mean=self.mean, std=self.std, a=low, b=high)
                made = f"nn.init.trunc_normal_({empty}{said})"
            case "uniform":
                made = f"nn.init.uniform_({empty}, a={low!r}, b={high!r})"
            case "arange":
                count = math.prod(self.shape)
                made = f"torch.arange({float(count)}).reshape({self.shape})"
            case str(name):
                function, arguments = SCHEMES[name]
                said = "".join([f", {key}={value!r}" for key, value in arguments.items()])
                made = f"nn.init.{function}({empty}{said})"
            case value:
                made = f"torch.full({self.shape}, {value!r})"
        return f"nn.Parameter({made})"

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return expanded(own, values[0], len(self.shape)) if self.batch else own

    def _bounds(self) -> tuple[float, float]:
        low, high = (0.0, 1.0) if self.init == "uniform" else (-2.0, 2.0)
        return low if self.low is None else self.low, high if self.high is None else self.high


def _said(**given: float) -> str:
    """Source of the arguments that differ from the defaults of torch's functions."""
    defaults = {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0}
    return "".join([f", {k}={value!r}" for k, value in given.items() if value != defaults[k]])
