"""Products of matrices, einsum, and attention."""

from __future__ import annotations

from math import prod
from typing import Any

from archspec.importing.axes import has_batch
from archspec.importing.broadcasting import aligned_axes, together
from archspec.importing.functions import handles, leaf
from archspec.importing.functions.binary import pair
from archspec.importing.functions.elementwise import each
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value, cannot, values_in


@handles("matmul", "__matmul__", "bmm", "mm", "dot", "mv")
def matmul(lift: Lifter, input: Any, other: Any, out: Any = None) -> Lifted:
    return product(lift, lift(input), lift(other))


@handles("__rmatmul__")
def rmatmul(lift: Lifter, input: Any, other: Any) -> Lifted:
    return product(lift, lift(other), lift(input))


def product(lift: Lifter, x: Lifted, y: Lifted) -> Lifted:
    """x @ y, whose leading axes broadcast."""
    if min(len(x.axes), len(y.axes)) < 2:
        raise cannot("a product with a vector is not known", help="give the vector a second axis")
    rank = max(len(x.axes), len(y.axes))
    rows, columns = x.axes[-2], y.axes[-1]
    if not y.batched and len(y.axes) == 2 and not has_batch(y.axes):
        made: Lifted = lift.node("matmul", x, y, axes=(*x.axes[:-1], columns))
        return made
    if None in rows and not has_batch(y.axes):
        return _rows_of_samples(lift, x, y)
    for dim in (-1, -2):
        lift.axis(x, dim)
        lift.axis(y, dim)
    ahead = aligned_axes([x.axes[:-2], y.axes[:-2]], rank - 2)
    sides = []
    for each_, own in ((x, x.axes[-2:]), (y, y.axes[-2:])):
        sides.append(together(lift, [each_], (*ahead, *own))[0][0])
    made = lift.node("matmul", *sides, axes=(*ahead, rows, columns))
    assert isinstance(made, Lifted)
    return made


def _rows_of_samples(lift: Lifter, x: Lifted, y: Lifted) -> Lifted:
    """x @ y where the rows of all samples stand in one axis, and y has no batch."""
    rows = x.axes[-2]
    if rows[0] is not None:
        raise cannot("the batch is folded with another axis in the rows of this product")
    count = prod(part for part in rows if part is not None)
    flat = lift.regroup(x, (*x.axes[:-2], (None, count), x.axes[-1]))
    made = lift.node("matmul", flat, y, axes=(*flat.axes[:-1], y.axes[-1]))
    return lift.regroup(made, (*x.axes[:-1], y.axes[-1]))


@handles("addmm", "baddbmm")
def addmm(
    lift: Lifter, input: Value, mat1: Value, mat2: Value, beta: Any = 1, alpha: Any = 1
) -> Lifted:
    made = product(lift, lift(mat1), lift(mat2))
    if alpha != 1:
        made = each(lift, "mul", made, other=lift.number(alpha))
    if beta == 0:
        return made
    scaled = lift(input) if beta == 1 else each(lift, "mul", input, other=lift.number(beta))
    return pair(lift, "add", scaled, made)


@handles("scaled_dot_product_attention")
def attention(
    lift: Lifter,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Lifted:
    q, k, v = lift(query), lift(key), lift(value)
    reads = [q, k, v]
    if any(x.batched for x in reads):
        reads = [lift.batched(x) for x in reads]
    if attn_mask is not None:
        mask = lift(attn_mask)
        target = (*q.axes[:-1], (k.axes[-2]))
        reads.append(together(lift, [mask], target)[0][0])
    made: Lifted = lift.node(
        "scaled_dot_product_attention",
        *reads,
        axes=(*q.axes[:-1], v.axes[-1]),
        dropout_p=float(dropout_p),
        is_causal=is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    )
    return made


@leaf("torch.nn.modules.activation.MultiheadAttention")
def multi_head_attention(
    lift: Lifter,
    module: Any,
    query: Value,
    key: Value,
    value: Value,
    key_padding_mask: Value | None = None,
    need_weights: bool = True,
    attn_mask: Value | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    weights = list(values_in(lift.call.results))[1:]
    needed = {each for call in lift.trace.needed() for each in call.reads}
    if any(each in needed for each in weights):
        raise cannot("the attention weights of MultiheadAttention are read, which no op gives")
    if module.bias_k is not None or module.add_zero_attn:
        raise cannot("MultiheadAttention with add_bias_kv or add_zero_attn is not known")
    q = lift(query)
    same = query is key and key is value
    reads = [q] if same else [q, lift(key), lift(value)]
    if attn_mask is not None or key_padding_mask is not None:
        reads = [q, lift(key), lift(value)]
        if attn_mask is not None:
            reads.append(lift(attn_mask))
        if key_padding_mask is not None:
            reads.append(lift(key_padding_mask))
    made: Lifted = lift.node(
        "multi_head_attention",
        *reads,
        owner=lift.call.inside.path,
        axes=q.axes,
        num_heads=module.num_heads,
        dropout=float(module.dropout),
        bias=module.in_proj_bias is not None,
    )
    node: Any = made.edge.node
    if key_padding_mask is not None:
        names = ["query", "key", "value", *(["attn_mask"] if attn_mask is not None else [])]
        node.names = (*names, "key_padding_mask")
    return (made,)
