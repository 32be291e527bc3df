"""Attention without weights of its own: softmax(q k^T) v."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.fields import Bounds
from archspec.ir.op import MAX_FLOAT, Example, Op, Probability
from archspec.ir.shape import Dim, Shape, broadcast, divide, equal, is_batched, product, show
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import BOOL, FLOAT, WIDE, ValueType
from archspec.ops.matmul import as_batch_of_matrices

MASK_TYPES = frozenset({"float", "bool"})


class ScaledDotProductAttention(Op, name="scaled_dot_product_attention"):
    """softmax(q k^T * `scale`) v, of queries, keys, values and a mask that may be left out.

    Queries are (N, ..., L, E), keys (N, ..., S, E) and values (N, ..., S, Ev): the result is
    (N, ..., L, Ev). The axes between broadcast. With `enable_gqa` axis -3 of the queries holds a
    multiple of the heads of keys and values, each of which serves several in a row. `attn_mask`
    broadcasts to (N, ..., L, S), and to (L, S) of every sample where it has no batch axis: floats
    are added to the logits, and where truth values are false nothing is read. `is_causal` lets the
    query at position i read positions up to i. `dropout_p` drops attention weights in training
    alone. `scale` is 1 / sqrt(E) where it is not given. Inputs by name: `from: {query: q, key: k,
    value: v, attn_mask: m}`.
    """

    dropout_p: Probability = 0.0
    is_causal: bool = False
    scale: Annotated[float, Bounds(ge=-MAX_FLOAT, le=MAX_FLOAT)] | None = None
    enable_gqa: bool = False

    since = "0.2"
    num_inputs = 4
    optional_inputs = 1
    input_names = ("query", "key", "value", "attn_mask")
    takes = MASK_TYPES
    takes_unbatched = True
    any_rank = True
    moves_axes = True
    module = "archspec.runtime.attention.ScaledDotProductAttention"
    examples = (
        Example(inputs=[("N", 2, 4, 6), ("N", 2, 5, 6), ("N", 2, 5, 6)]),
        Example({"is_causal": True, "scale": 0.5}, inputs=[("N", 4, 6), ("N", 5, 6), ("N", 5, 3)]),
        Example(
            {"dropout_p": 0.2},
            inputs=[("N", 2, 4, 6), ("N", 2, 5, 6), ("N", 2, 5, 6), (4, 5)],
            types=[FLOAT, FLOAT, FLOAT, BOOL],
        ),
        Example(inputs=[("N", 2, 4, 6), ("N", 2, 5, 6), ("N", 2, 5, 6), ("N", 1, 1, 5)]),
        Example(
            {"enable_gqa": True},
            inputs=[("N", 6, 4, 3), ("N", 2, 5, 3), ("N", 2, 5, 3), (6, 4, 5)],
            types=[FLOAT, FLOAT, FLOAT, BOOL],
        ),
        Example({"enable_gqa": True}, inputs=[("N", 6, 4, 3), ("N", 3, 5, 3), ("N", 2, 5, 4)]),
        Example(inputs=[("N", 1, 3, 4, 3), ("N", 2, 3, 5, 3), ("N", 2, 1, 5, 4)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        q, k, v = inputs[:3]
        for x, name in zip((q, k, v), self.input_names, strict=False):
            _expect_sequences(x, len(q), name)
        equal(q[-1], k[-1], "features of query and key")
        equal(k[-2], v[-2], "lengths of key and value")
        leading = self._leading(q, k)
        if len(inputs) == 4:
            self._expect_mask(inputs[3], (*leading, q[-2], k[-2]))
        return (*broadcast(leading, self._repeated(q, v)), q[-2], v[-1])

    def _leading(self, q: Shape, k: Shape) -> Shape:
        """The axes of the logits before the last two."""
        return broadcast(q[:-2], self._repeated(q, k))

    def _repeated(self, q: Shape, x: Shape) -> Shape:
        """The axes of keys or values before the last two, with as many heads as the queries."""
        if not self.enable_gqa:
            return x[:-2]
        if len(q) < 4:
            raise Refusal(
                f"`enable_gqa` needs an axis of heads between N and the length, got {show(q)}",
                code=Code.MIXES_BATCH,
                expected="a query (N, heads, L, E)",
                found=show(q),
            )
        divide(q[-3], x[-3], "heads of the query by those of key and value")
        return (*x[:-3], q[-3])

    def _expect_mask(self, mask: Shape, logits: Shape) -> None:
        if self.is_causal:
            raise Refusal(
                "`is_causal` makes a mask, and `attn_mask` is another one",
                help="leave one of them out",
            )
        expect_mask(mask, logits)

    def result_type(self, *types: ValueType) -> ValueType:
        expect_floats(types[:3], self.input_names)
        return FLOAT

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        q, k, v = inputs[:3]
        pairs = q[-2] * k[-2]
        scores = product(self._leading(q, k)[1:]) * pairs * q[-1]
        return scores + product(outputs[0][1:-2]) * pairs * v[-1]

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        dropout = self.dropout_p if tape.training else 0.0
        return record_attention(tape, *inputs, dropout=dropout, grouped=self.enable_gqa)


def _expect_sequences(x: Shape, rank: int, name: str) -> None:
    expect_batch(x, name)
    if len(x) < 3:
        raise Refusal(
            f"{name} is (N, ..., length, features), got {show(x)}",
            code=Code.UNBATCHED,
            expected="a batch of sequences",
            found=show(x),
        )
    if len(x) != rank:
        raise Refusal(
            f"query and {name} differ in rank: {rank}-D and {len(x)}-D",
            code=Code.MIXES_BATCH,
            expected=f"a {rank}-D {name}",
            found=show(x),
        )


def expect_batch(x: Shape, name: str) -> None:
    """Refuse a tensor that no mask is where it has no batch axis."""
    if not is_batched(x):
        raise Refusal(
            f"{name} needs a batch axis, and {show(x)} has none",
            code=Code.UNBATCHED,
            expected="an input whose first axis is N",
            found=show(x),
            help="join it to the batch first with add, mul or concat",
        )


def expect_mask(mask: Shape, logits: Shape) -> None:
    """Refuse a mask that does not broadcast to the logits (N, ..., L, S)."""
    expected = f"a mask that broadcasts to {show(logits)}"
    if len(mask) < 2:
        raise Refusal(
            f"attn_mask is (..., L, S), got {show(mask)}",
            code=Code.RANK,
            expected=expected,
            found=show(mask),
        )
    if len(mask) > len(logits) or (is_batched(mask) and len(mask) < len(logits)):
        raise Refusal(
            f"attn_mask {show(mask)} does not broadcast to {show(logits)}: the batch would meet "
            "another axis",
            code=Code.MIXES_BATCH,
            expected=expected,
            found=show(mask),
        )
    if broadcast(mask, logits) != logits:
        raise Refusal(
            f"attn_mask {show(mask)} is larger than the logits {show(logits)}",
            expected=expected,
            found=show(mask),
        )


def expect_floats(types: Sequence[ValueType], names: Sequence[str]) -> None:
    """Refuse truth values where torch reads floats: a mask is the only input that may be such."""
    for kind, name in zip(types, names, strict=False):
        if not kind.is_float:
            raise Refusal(
                f"{name} is of floats, and reads {kind.name}",
                code=Code.DTYPE,
                expected="float",
                found=kind.name,
                help="put `to: float` before it",
            )


# What autograd keeps ------------------------------------------------------------------------------


def record_attention(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    dropout: float,
    grouped: bool = False,
) -> Tensor:
    """torch's `scaled_dot_product_attention` on the CPU, by the kernel that it chooses."""
    if not dropout and _is_fused(q, k, v, mask, grouped):
        return _record_fused(tape, q, k, v, mask)
    return _record_products(tape, q, k, v, mask, dropout, grouped)


def _is_fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, grouped: bool) -> bool:
    """Whether torch takes its fused kernel, which keeps no attention weights."""
    rank = len(q.shape)
    heads = k.shape[1] == v.shape[1] and (grouped or q.shape[1] == k.shape[1])
    return (
        rank in (3, 4)
        and (rank == 3 or heads)
        and q.shape[-1] == k.shape[-1] == v.shape[-1]
        and all(x.strides[-1] == 1 for x in (q, k, v))
        and (mask is None or (not mask.requires_grad and len(mask.shape) in (2, rank)))
    )


def _record_fused(tape: Tape, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """The fused kernel, which keeps a logarithm for each query instead of the weights."""
    grad = q.requires_grad or k.requires_grad or v.requires_grad
    y = tapes.empty_like(tape, q, requires_grad=grad)
    if grad:
        tape.save(q, k, v, y, tape.new(q.shape[:-1], requires_grad=False, type=WIDE))
        if mask is not None:
            tape.save(mask if mask.type.is_float else tape.new(mask.shape, requires_grad=False))
    return y


def _record_products(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    dropout: float,
    grouped: bool,
) -> Tensor:
    """Plain products, computed in float32 at least."""
    if grouped:
        k, v = (_repeated(tape, x, q.shape[-3]) for x in (k, v))
    logits_grad = q.requires_grad or k.requires_grad or (mask is not None and mask.requires_grad)
    y_grad = logits_grad or v.requires_grad
    left, right, value = [tapes.elementwise(tape, x, type=WIDE) for x in (q, k, v)]
    right, value = _transposed(right), value if tape.is_short else v
    leading = tapes.broadcast([q.shape[:-2], k.shape[:-2]])
    if q.requires_grad:
        tape.save(as_batch_of_matrices(tape, right, leading))
    if k.requires_grad:
        tape.save(as_batch_of_matrices(tape, left, leading))
    pairs = (*leading, q.shape[-2], k.shape[-2])
    weights = tape.new(pairs, requires_grad=logits_grad, type=WIDE)
    if logits_grad:
        tape.save(weights)
    if dropout:
        noise = tape.new(() if dropout == 1 else pairs, requires_grad=False, type=WIDE)
        weights = tape.new(pairs, requires_grad=logits_grad, type=WIDE)
        if logits_grad:
            tape.save(noise)
    everywhere = tapes.broadcast([leading, v.shape[:-2]])
    if v.requires_grad:
        tape.save(as_batch_of_matrices(tape, weights, everywhere))
    if logits_grad:
        tape.save(as_batch_of_matrices(tape, value, everywhere))
    return tape.new((*everywhere, q.shape[-2], v.shape[-1]), requires_grad=y_grad)


def _repeated(tape: Tape, x: Tensor, heads: int) -> Tensor:
    """`x` with each head repeated in a row, until there are so many."""
    if x.shape[-3] == heads:
        return x
    shape = (*x.shape[:-3], heads, *x.shape[-2:])
    return tape.new(shape, requires_grad=x.requires_grad, type=x.type)


def _transposed(x: Tensor) -> Tensor:
    *leading, a, b = x.shape
    *steps, down, right = x.strides
    return x.viewed((*leading, b, a), (*steps, right, down))
