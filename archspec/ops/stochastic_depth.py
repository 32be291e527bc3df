"""Dropping whole residual branches during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from archspec.ir.op import Example, Probability, ShapeKeeping
from archspec.ir.shape import Shape
from archspec.ir.tape import Tape, Tensor, elementwise


class StochasticDepthOp(ShapeKeeping, name="stochastic_depth", primary="p"):
    """Zeroes whole samples with probability `p` in training and scales the rest by `1 / (1 - p)`.

    It stands on a residual branch, before the sum. `mode: row` decides for each sample, `batch`
    once for all of them. Huang et al., Deep Networks with Stochastic Depth (arXiv 1603.09382);
    torchvision.ops.StochasticDepth, which has no default for `mode`. In evaluation it is the
    identity.
    """

    p: Probability
    mode: Literal["batch", "row"] = "row"

    module = "archspec.runtime.modules.StochasticDepth"
    examples = (
        Example({"p": 0.2}, inputs=[("N", 3, 4, 5)]),
        Example({"p": 0.5, "mode": "batch"}, inputs=[("N", 4, 6)]),
        Example({"p": 0.0}, inputs=[("N", 7)]),
        Example({"p": 1.0}, inputs=[("N", 3, 4, 5)]),
    )

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not tape.training or self.p == 0:
            return x
        rows = x.shape[0] if self.mode == "row" else 1
        noise = tape.new((rows, *(1 for _ in x.shape[1:])), requires_grad=False)
        if x.requires_grad:
            tape.save(noise)
        return elementwise(tape, x, noise)

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"rank": len(inputs[0])}
