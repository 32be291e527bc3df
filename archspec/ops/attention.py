"""Attention, and the parts of it that no composition of other ops gives with the same keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archspec.ir import tape as tapes
from archspec.ir.op import (
    Example,
    NonNegativeInt,
    Op,
    PositiveInt,
    Probability,
    ProductFree,
    Weight,
    Weights,
)
from archspec.ir.shape import (
    Dim,
    Shape,
    broadcast,
    divide,
    expect_rank,
    keep_batch,
    product,
    replaced,
)
from archspec.ir.tape import Tape, Tensor, elementwise
from archspec.ir.types import WIDE

if TYPE_CHECKING:
    from torch import nn


class MultiHeadAttention(Op, name="multi_head_attention", primary="num_heads"):
    """Self-attention of a sequence (N, length, features) by torch's `MultiheadAttention`.

    Vaswani et al., Attention Is All You Need (arXiv 1706.03762), section 3.2.2. `dropout` is on
    the attention weights.
    """

    num_heads: PositiveInt
    dropout: Probability = 0.0
    bias: bool = True

    module = "torch.nn.MultiheadAttention"
    kernels = ("in_proj_weight", "out_proj.weight")
    examples = (
        Example({"num_heads": 2}, inputs=[("N", 5, 8)]),
        Example({"num_heads": 3, "dropout": 0.2}, inputs=[("N", 4, 6)]),
        Example({"num_heads": 1, "bias": False}, inputs=[("N", 4, 6)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        expect_rank(x, 3, unbatched=2)
        divide(x[2], self.num_heads, "features by num_heads")
        return x

    def weights(self, *inputs: Shape) -> Weights:
        features = inputs[0][2]
        weights = (
            Weight("in_proj_weight", (3 * features, features)),
            Weight("in_proj_bias", (3 * features,)),
            Weight("out_proj.weight", (features, features)),
            Weight("out_proj.bias", (features,)),
        )
        return weights if self.bias else weights[::2]

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        _, length, features = inputs[0]
        projections = 4 * length * features * features
        return projections + 2 * length * length * features

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        batch, length, features = x.shape
        rows = (length * batch, features)
        # torch puts the sequence first, and its result is a transposed look at such a tensor.
        sequence = x.viewed((length, batch, features), (x.strides[1], x.strides[0], x.strides[2]))
        learns = not tape.frozen or x.requires_grad
        if not tape.frozen:
            tape.save(tapes.reshape(tape, sequence, rows))
        qkv = tape.new((3, length, batch, features), requires_grad=learns)
        if learns:
            self._record_attention(tape, qkv, batch * self.num_heads, length)
        fused = not tape.training or self.dropout == 0
        if learns and (fused or not tape.frozen):
            # What the output projection reads; the fused kernel keeps it too.
            tape.save(tape.new(rows, requires_grad=True))
        if not (learns or tape.training) and self.bias and self.num_heads % 2 == 0:
            return tape.new(x.shape, requires_grad=False)  # torch's fast path
        y = tape.new((length, batch, features), requires_grad=learns)
        return y.viewed(x.shape, (y.strides[1], y.strides[0], y.strides[2]))

    def _record_attention(self, tape: Tape, qkv: Tensor, heads: int, length: int) -> None:
        """`scaled_dot_product_attention` of `heads` heads, those of all samples."""
        if not tape.training or self.dropout == 0:
            # The fused kernel keeps a logarithm for each query instead of the weights.
            tape.save(qkv, tape.new((heads, length), requires_grad=False, type=WIDE))
            return
        # The plain products are computed in float32 at least; the values are then a copy.
        one = qkv.shape[1:]
        values = tape.new(one, requires_grad=True, type=WIDE) if tape.is_short else qkv
        scaled = [tape.new(one, requires_grad=True, type=WIDE) for _ in ("q", "k")]
        pairs = (heads, length, length)
        noise = tape.new(() if self.dropout == 1 else pairs, requires_grad=False, type=WIDE)
        weights = [tape.new(pairs, requires_grad=True, type=WIDE) for _ in ("softmax", "dropped")]
        tape.save(values, *scaled, noise, *weights)

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"embed_dim": inputs[0][2], "batch_first": True}

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        (x,) = values
        return f"{own}({x}, {x}, {x}, need_weights=False)[0]"


class QKVLinearOp(Op, name="qkv_linear", primary="features"):
    """Queries, keys and values by one affine map: (N, ..., in) to (N, ..., 3 * features).

    The keys have no bias, so the middle third of the vector is not used: it would add the same to
    all logits of a query, unless the keys are normalised. Liu et al., Swin Transformer V2
    (arXiv 2111.09883), as its authors' code has it.
    """

    features: PositiveInt

    module = "archspec.runtime.attention.QKVLinear"
    kernels = ("weight",)
    any_rank = True
    examples = (
        Example({"features": 4}, inputs=[("N", 5, 3)]),
        Example({"features": 2}, inputs=[("N", 2, 3, 7)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return replaced(x, keep_batch(-1, len(x)), 3 * self.features)

    def weights(self, *inputs: Shape) -> Weights:
        return (
            Weight("weight", (3 * self.features, inputs[0][-1])),
            Weight("bias", (3 * self.features,)),
        )

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        return product(inputs[0][1:]) * 3 * self.features

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not tape.frozen:
            tape.save(tapes.reshape(tape, x, (x.numel // x.shape[-1], x.shape[-1])))
        learns = x.requires_grad or not tape.frozen
        return tape.new((*x.shape[:-1], 3 * self.features), requires_grad=learns)

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"in_features": inputs[0][-1]}


class ShiftedWindowMaskOp(ProductFree, name="shifted_window_mask"):
    """Keeps apart, in logits of attention, tokens that only a cyclic shift brought together.

    The map was rolled by `-shift` and cut into `windows[0]` x `windows[1]` windows of
    `window[0]` x `window[1]` cells. Adds -100 to the logits (N, windows, heads, tokens, tokens) of
    pairs of which one was rolled over the edge and the other was not. Liu et al., Swin Transformer
    (arXiv 2103.14030), section 3.2, "Efficient batch computation".
    """

    windows: tuple[PositiveInt, PositiveInt]
    window: tuple[PositiveInt, PositiveInt]
    shift: tuple[NonNegativeInt, NonNegativeInt]

    any_rank = True
    follows = True
    examples = (
        Example({"windows": (2, 3), "window": (2, 2), "shift": (1, 1)}, inputs=[("N", 6, 2, 4, 4)]),
        Example({"windows": (1, 2), "window": (3, 2), "shift": (0, 1)}, inputs=[("N", 2, 1, 6, 6)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return broadcast(x, self._mask)

    @property
    def _mask(self) -> Shape:
        tokens = product(self.window)
        return (product(self.windows), 1, tokens, tokens)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return elementwise(tape, *inputs, tape.new(self._mask, requires_grad=False))

    def build(self, *inputs: Shape) -> nn.Module:
        from archspec.runtime.attention import ShiftedWindowMask

        return ShiftedWindowMask(self.window, self.shift)

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{own}({values[0]}, {self.windows})"
