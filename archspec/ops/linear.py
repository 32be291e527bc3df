"""Affine maps of the last axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archspec.ir.op import Doubt, Example, Op, PositiveInt, Weight, Weights
from archspec.ir.shape import Dim, Shape, axis, is_batched, keep_batch, product, replaced, show
from archspec.ir.tape import Tape, Tensor, require_grad, reshape


class Linear(Op, name="linear", primary="out_features"):
    """Affine map of the last axis, `y = x A^T + b`: (N, ..., in) to (N, ..., out_features).

    It also maps a learned tensor (..., in), once for all samples.
    """

    out_features: PositiveInt
    bias: bool = True

    takes_unbatched = True
    module = "torch.nn.Linear"
    kernels = ("weight",)
    bias_axis = -1
    any_rank = True
    examples = (
        Example({"out_features": 5}, inputs=[("N", 7)]),
        Example({"out_features": 4, "bias": False}, inputs=[("N", 2, 3, 7)]),
        Example({"out_features": 3}, inputs=[(2, 3, 7)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        last = (keep_batch if is_batched(x) else axis)(-1, len(x))
        return replaced(x, last, self.out_features)

    def doubt_of_image(self, *inputs: Shape) -> Doubt:
        (x,) = inputs
        made = show(replaced(x, len(x) - 1, self.out_features))
        return Doubt(
            f"linear maps the width of an image alone: {show(x)} becomes {made}",
            "put `flatten` before it, or `global_avg_pool2d` and `flatten`",
        )

    def weights(self, *inputs: Shape) -> Weights:
        (x,) = inputs
        weight = Weight("weight", (self.out_features, x[-1]))
        return (weight, Weight("bias", (self.out_features,))) if self.bias else (weight,)

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        (x,) = inputs
        return product(x[1:] if is_batched(x) else x) * self.out_features

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        weight = tape.weight()
        y = tape.new(
            (*x.shape[:-1], self.out_features),
            requires_grad=require_grad(x, *tape.weights("weight", *["bias"] * self.bias)),
        )
        if x.requires_grad:
            tape.save(weight)
        if weight.requires_grad:
            # torch folds all axes but the last into one for the product
            folded = (x.numel // x.shape[-1], x.shape[-1])
            tape.save(reshape(tape, x, folded) if len(x.shape) > 2 else x)
        return y

    def with_weights(
        self, values: Sequence[str], weights: Mapping[str, str], inputs: Sequence[Shape]
    ) -> str:
        bias = weights.get("bias", "None")
        return f"torch.nn.functional.linear({values[0]}, {weights['weight']}, {bias})"

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"in_features": inputs[0][-1]}
