"""Attention, and the parts of it that no composition of other ops gives with the same keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.computed import is_computed
from archspec.ir.op import (
    Example,
    Made,
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
    N,
    Shape,
    broadcast,
    divide,
    equal,
    expect_rank,
    is_batched,
    keep_batch,
    product,
    replaced,
    show,
)
from archspec.ir.tape import Tape, Tensor, elementwise
from archspec.ir.types import BOOL, FLOAT, ValueType
from archspec.ops.scaled_dot_product import (
    MASK_TYPES,
    expect_batch,
    expect_floats,
    record_attention,
)

T = TypeVar("T")


class MultiHeadAttention(Op, name="multi_head_attention", primary="num_heads"):
    """Attention of sequences (N, length, features) by torch's `MultiheadAttention`.

    Vaswani et al., Attention Is All You Need (arXiv 1706.03762), section 3.2.2. Of one input it is
    self-attention; else it reads query, key and value, by position or by name: `from: {query: x,
    key: memory, value: memory}`. Features of key and value that differ from those of the query are
    torch's `kdim` and `vdim`, and have projections of their own. `attn_mask` is (L, S) without
    a batch, or (N, num_heads, L, S); `key_padding_mask` is (N, S), and may stand in its place.
    Floats are added to the logits, and what is true is not read, as in torch: the opposite of
    `scaled_dot_product_attention`. `is_causal` makes the mask of (L, S) that hides what comes
    later. `dropout` is on the attention weights.
    """

    num_heads: PositiveInt
    dropout: Probability = 0.0
    bias: bool = True
    is_causal: bool = False

    num_inputs = 5
    optional_inputs = 4
    input_names = ("query", "key", "value", "attn_mask", "key_padding_mask")
    takes = MASK_TYPES
    takes_unbatched = True
    any_rank = True
    own_weights = True
    module = "torch.nn.MultiheadAttention"
    kernels = (
        *("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
        "out_proj.weight",
    )
    examples = (
        Example({"num_heads": 2}, inputs=[("N", 5, 8)]),
        Example({"num_heads": 3, "dropout": 0.2}, inputs=[("N", 4, 6)]),
        Example({"num_heads": 1, "bias": False}, inputs=[("N", 4, 6)]),
        Example({"num_heads": 2, "is_causal": True}, inputs=[("N", 4, 6)]),
        Example({"num_heads": 2}, inputs=[("N", 5, 8), ("N", 3, 7), ("N", 3, 6)]),
        Example({"num_heads": 2}, inputs=[("N", 5, 4), ("N", 3, 4), ("N", 3, 4), (5, 3)]),
        Example(
            {"num_heads": 2, "dropout": 0.1},
            inputs=[("N", 5, 4), ("N", 3, 4), ("N", 3, 4), ("N", 2, 5, 3), ("N", 3)],
            types=[FLOAT, FLOAT, FLOAT, BOOL, BOOL],
        ),
        Example(
            {"num_heads": 2, "is_causal": True},
            inputs=[("N", 5, 4), ("N", 3, 4), ("N", 3, 4), ("N", 3)],
            types=[FLOAT, FLOAT, FLOAT, BOOL],
        ),
    )

    def infer(self, *inputs: Shape) -> Shape:
        q, k, v, attn_mask, padding = self._roles(inputs, _paddings(inputs))
        for x, name in zip((q, k, v), self.input_names, strict=False):
            expect_rank(x, 3, unbatched=2)
            expect_batch(x, name)
        divide(q[2], self.num_heads, "features by num_heads")
        equal(k[1], v[1], "lengths of key and value")
        if attn_mask is not None:
            self._expect_mask(attn_mask, (q[1], k[1]))
        if padding is not None and padding != (N, k[1]):
            raise Refusal(
                f"key_padding_mask is {show(padding)}, and the keys are {show(k)}",
                expected=show((N, k[1])),
                found=show(padding),
            )
        return q

    @classmethod
    def names_of(cls, inputs: Sequence[Shape]) -> Sequence[str]:
        if len(inputs) == 4 and _paddings(inputs)[3]:
            return (*cls.input_names[:3], "key_padding_mask")
        return super().names_of(inputs)

    def _roles(
        self, values: Sequence[T], paddings: Sequence[bool]
    ) -> tuple[T, T, T, T | None, T | None]:
        """Query, key, value, `attn_mask` and `key_padding_mask`, which a lone mask (N, S) is."""
        if len(values) == 2:
            raise Refusal(
                "it reads query, key and value, or one input for all three",
                code=Code.ARITY,
                expected="1, or 3 to 5 inputs",
                found="2",
                help="name all three: `from: [x, memory, memory]`",
            )
        q, k, v, *masks = values if len(values) > 1 else [values[0]] * 3
        if len(masks) == 1 and paddings[3]:
            return q, k, v, None, masks[0]
        mask, padding, *_ = [*masks, None, None]
        if mask is not None and self.is_causal:
            raise Refusal(
                "`is_causal` makes a mask, and `attn_mask` is another one",
                help="leave one of them out",
            )
        return q, k, v, mask, padding

    def _expect_mask(self, mask: Shape, pairs: Shape) -> None:
        every = (N, self.num_heads, *pairs)
        if mask not in (pairs, every):
            raise Refusal(
                f"attn_mask is {show(mask)}",
                expected=f"{show(pairs)} or {show(every)}",
                found=show(mask),
            )

    def result_type(self, *types: ValueType) -> ValueType:
        expect_floats(types[:3], self.input_names)
        return FLOAT

    def _is_packed(self, q: Shape, k: Shape, v: Shape) -> bool:
        """Whether one matrix has the projections of query, key and value."""
        return q[2] == k[2] and q[2] == v[2]

    def weights(self, *inputs: Shape) -> Weights:
        q, k, v, *_ = self._roles(inputs, _paddings(inputs))
        features = q[2]
        if self._is_packed(q, k, v):
            projections = [Weight("in_proj_weight", (3 * features, features))]
        else:
            sources = zip("qkv", (q, k, v), strict=True)
            projections = [Weight(f"{n}_proj_weight", (features, x[2])) for n, x in sources]
        biases = Weight("in_proj_bias", (3 * features,)), Weight("out_proj.bias", (features,))
        out = Weight("out_proj.weight", (features, features))
        if not self.bias:
            return (*projections, out)
        return (*projections, biases[0], out, biases[1])

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        q, k, v, *_ = self._roles(inputs, _paddings(inputs))
        features = q[2]
        projections = q[1] * features * 2 + k[1] * k[2] + v[1] * v[2]
        return projections * features + 2 * q[1] * k[1] * features

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        paddings = [len(x.shape) == 2 and x.batched for x in inputs]
        q, k, v, mask, padding = self._roles(inputs, paddings)
        if self._is_fast(tape, inputs):
            return tape.new(q.shape, requires_grad=False)
        batch, length, features = q.shape
        heads = [self._heads(x) for x in self._record_projections(tape, q, k, v)]
        added = self._record_mask(tape, heads[0], heads[1], mask, padding)
        dropout = self.dropout if tape.training else 0.0
        read = record_attention(tape, heads[0], heads[1], heads[2], added, dropout=dropout)
        # torch puts the sequence first, and its result is a transposed look at such a tensor.
        steps = tuple(read.strides[i] for i in (2, 0, 1, 3))
        sequence = read.viewed((length, batch, *read.shape[1::2]), steps)
        if not tape.frozen:
            tape.save(tapes.reshape(tape, sequence, (length * batch, features)))
        y = tape.new((length, batch, features), requires_grad=read.requires_grad or not tape.frozen)
        return _swapped(y)

    def _is_fast(self, tape: Tape, inputs: Sequence[Tensor]) -> bool:
        """Whether torch runs one kernel for everything, which it does where nothing learns."""
        x, *masks = inputs[:1] if len(inputs) == 1 else inputs[2:]
        return (
            not tape.training
            and tape.frozen
            and not x.requires_grad
            and self.bias
            and self.num_heads % 2 == 0
            and all(x is each for each in inputs[:3])
            and not any(mask.type.is_float for mask in masks)
        )

    def _record_projections(self, tape: Tape, q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
        """Queries, keys and values as (length, N, features)."""
        # torch knows by their identity which are the same, and projects those at once.
        groups = [[q], [k], [v]]
        if k is v and self._is_packed(q.shape, k.shape, v.shape):
            groups = [[q, k, v]] if q is k else [[q], [k, v]]
        projected = []
        for group in groups:
            sequence = _swapped(group[0])
            length, batch, width = sequence.shape
            if not tape.frozen:
                tape.save(tapes.reshape(tape, sequence, (length * batch, width)))
            one = (length, batch, q.shape[2])
            learns = group[0].requires_grad or not tape.frozen
            made = tape.new((len(group), *one), requires_grad=learns)
            projected += [made.viewed(one, made.strides[1:])] * len(group)
        return projected

    def _heads(self, x: Tensor) -> Tensor:
        """(length, N, features) as (N, heads, length, features of a head)."""
        length, batch, features = x.shape
        size = features // self.num_heads
        steps = (features, size, batch * features, 1)
        return x.viewed((batch, self.num_heads, length, size), steps)

    def _record_mask(
        self,
        tape: Tape,
        q: Tensor,
        k: Tensor,
        mask: Tensor | None,
        padding: Tensor | None,
    ) -> Tensor | None:
        """The mask of the logits, of both masks."""
        batch, length, keys = q.shape[0], q.shape[2], k.shape[2]
        if mask is not None:
            if len(mask.shape) == 4:
                mask = tapes.reshape(tape, mask, (batch * self.num_heads, length, keys))
            mask = _as_floats(tape, mask)
        if padding is None:
            return mask and _of_rank_4(mask, batch)
        each = (batch, self.num_heads, 1, keys)
        added = _as_floats(tape, padding)
        if self.num_heads > 1:
            added = tape.new(each, requires_grad=added.requires_grad)
        if mask is None and not self.is_causal:
            return added.viewed(each, tapes.contiguous_strides(each))
        grad = added.requires_grad or (mask is not None and mask.requires_grad)
        return tape.new((batch, self.num_heads, length, keys), requires_grad=grad)

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        q, k, v, *_ = self._roles(inputs, _paddings(inputs))
        other = {} if self._is_packed(q, k, v) else {"kdim": k[2], "vdim": v[2]}
        return {"embed_dim": q[2], **other, "batch_first": True}

    def made(self, *inputs: Shape) -> Made:
        own = {"num_heads": self.num_heads, "dropout": self.dropout, "bias": self.bias}
        return Made("torch.nn.MultiheadAttention", {**self.inferred(*inputs), **own})

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        q, k, v, mask, padding = self._roles(values, _paddings(inputs))
        if mask is not None and len(inputs[3]) == 4:
            mask = f"{mask}.flatten(0, 1)"
        if self.is_causal:
            mask = f"{q}.new_ones(({q}.size(1), {k}.size(1)), dtype=torch.bool).triu(1)"
        given = {"key_padding_mask": padding, "attn_mask": mask}
        more = "".join([f"{key}={value}, " for key, value in given.items() if value is not None])
        if self.is_causal:
            more += "is_causal=True, "
        return f"{own}({q}, {k}, {v}, {more}need_weights=False)[0]"


def _paddings(inputs: Sequence[Shape]) -> list[bool]:
    """For each input, whether it is a `key_padding_mask` where it is a mask."""
    return [len(x) == 2 and is_batched(x) for x in inputs]


def _swapped(x: Tensor) -> Tensor:
    """The first two axes exchanged: torch puts the sequence first."""
    (a, b, *others), (down, right, *steps) = x.shape, x.strides
    return x.viewed((b, a, *others), (right, down, *steps))


def _as_floats(tape: Tape, mask: Tensor) -> Tensor:
    return mask if mask.type.is_float else tape.new(mask.shape, requires_grad=False)


def _of_rank_4(mask: Tensor, batch: int) -> Tensor:
    """A mask (L, S), or (N * heads, L, S), as the logits have it."""
    *leading, length, keys = mask.shape
    shape = (batch, leading[0] // batch, length, keys) if leading else (1, 1, length, keys)
    return mask.viewed(shape, tapes.contiguous_strides(shape))


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
        weight, bias = tape.weights("weight", "bias")
        if weight.requires_grad:
            tape.save(tapes.reshape(tape, x, (x.numel // x.shape[-1], x.shape[-1])))
        if x.requires_grad:
            tape.save(weight)
        learns = tapes.require_grad(x, weight, bias)
        return tape.new((*x.shape[:-1], 3 * self.features), requires_grad=learns)

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"in_features": inputs[0][-1]}


Counts: TypeAlias = tuple[PositiveInt, PositiveInt] | tuple[PositiveInt, PositiveInt, PositiveInt]
Steps: TypeAlias = (
    tuple[NonNegativeInt, NonNegativeInt] | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
)


class ShiftedWindowMaskOp(ProductFree, name="shifted_window_mask"):
    """Keeps apart, in logits of attention, tokens that only a cyclic shift brought together.

    The map was rolled by `-shift` and cut into `windows[0]` x `windows[1]` windows of
    `window[0]` x `window[1]` cells. Adds -100 to the logits (N, windows, heads, tokens, tokens) of
    pairs of which one was rolled over the edge and the other was not. Liu et al., Swin Transformer
    (arXiv 2103.14030), section 3.2, "Efficient batch computation". Of a video all three have three
    numbers: time first (arXiv 2106.13230).
    """

    windows: Counts
    window: Counts
    shift: Steps

    any_rank = True
    follows = True
    examples = (
        Example({"windows": (2, 3), "window": (2, 2), "shift": (1, 1)}, inputs=[("N", 6, 2, 4, 4)]),
        Example({"windows": (1, 2), "window": (3, 2), "shift": (0, 1)}, inputs=[("N", 2, 1, 6, 6)]),
        Example(
            {"windows": (2, 1, 2), "window": (1, 2, 2), "shift": (0, 0, 1)},
            inputs=[("N", 4, 2, 4, 4)],
        ),
    )

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if not len(self.windows) == len(self.window) == len(self.shift):
            raise Refusal(
                f"windows {show(self.windows)}, window {show(self.window)} and shift "
                f"{show(self.shift)} differ in their number of axes",
                expected="as many numbers in each, those of one axis at the same place",
            )
        return broadcast(x, self._mask)

    @property
    def _mask(self) -> Shape:
        tokens = product(self.window)
        return (product(self.windows), 1, tokens, tokens)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        return elementwise(tape, *inputs, tape.new(self._mask, requires_grad=False))

    def made(self, *inputs: Shape) -> Made:
        path = "archspec.runtime.attention.ShiftedWindowMask"
        return Made(path, {"window": self.window, "shift": self.shift})

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        follow = any(map(is_computed, self.window + self.shift))
        sizes = self.windows + self.window + self.shift if follow else self.windows
        return f"{own}({values[0]}, {sizes})"
