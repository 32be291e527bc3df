"""`scaled_dot_product_attention` against torch's function and sums made by hand."""

from __future__ import annotations

import math

import pytest
import torch

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer, infer_types
from archspec.ir.shape import N
from archspec.ir.types import BOOL, FLOAT
from archspec.ops.scaled_dot_product import ScaledDotProductAttention

Q, K, V = (N, 4, 5, 6), (N, 2, 7, 6), (N, 2, 7, 3)

SPEC = """\
archspec: 1
name: grouped
inputs: {q: [4, 5, 6], k: [2, 7, 6], m: {shape: [1, 5, 7], dtype: bool}}
layers:
  - name: attention
    scaled_dot_product_attention: {%s}
    from: {query: q, key: k, value: k%s}
"""


def by_hand(q, k, v, scale, bias):
    """One query, head and sample at a time, with a head of `k` for each two of `q`."""
    y = torch.zeros(*q.shape[:-1], v.shape[-1])
    for n, h, i in torch.cartesian_prod(*map(torch.arange, q.shape[:-1])).tolist():
        logits = [float(q[n, h, i] @ k[n, h // 2, j]) * scale for j in range(k.shape[2])]
        weights = [math.exp(x + float(b)) for x, b in zip(logits, bias[n, i], strict=True)]
        y[n, h, i] = sum(w * v[n, h // 2, j] for j, w in enumerate(weights)) / sum(weights)
    return y


def test_grouped_queries_share_the_heads_of_keys() -> None:
    q, k = torch.randn(2, 4, 5, 6), torch.randn(2, 2, 7, 6)
    mask = torch.rand(2, 1, 5, 7) > 0.5
    mask[..., 0] = True
    net = archspec.loads(SPEC % ("enable_gqa: true", ", attn_mask: m")).build().eval()
    bias = torch.zeros(mask.shape).masked_fill(~mask, -math.inf)[:, 0]
    expected = by_hand(q, k, k, 1 / math.sqrt(6), bias)
    torch.testing.assert_close(net(q, k, mask), expected)


def test_a_causal_query_reads_what_is_not_after_it() -> None:
    text = SPEC % ("enable_gqa: true, is_causal: true, scale: 0.3", "")
    net = archspec.loads(text, warn=False).build().eval()
    q, k, mask = torch.randn(2, 4, 5, 6), torch.randn(2, 2, 7, 6), torch.zeros(2, 1, 5, 7) > 0
    later = torch.arange(7)[None, :] > torch.arange(5)[:, None]
    bias = torch.zeros(2, 5, 7).masked_fill(later, -math.inf)
    torch.testing.assert_close(net(q, k, mask), by_hand(q, k, k, 0.3, bias))


def test_weights_are_dropped_in_training_alone() -> None:
    net = archspec.loads(SPEC % ("enable_gqa: true, dropout_p: 1.0", ", attn_mask: m")).build()
    inputs = torch.randn(2, 4, 5, 6), torch.randn(2, 2, 7, 6), torch.ones(2, 1, 5, 7) > 0
    assert not net.train()(*inputs).any()
    assert net.eval()(*inputs).all()


def test_it_verifies_and_expands_with_its_inputs_by_name() -> None:
    arch = archspec.loads(SPEC % ("enable_gqa: true, dropout_p: 0.1", ", attn_mask: m"))
    report = arch.verify()
    assert report.ok, str(report)
    again = archspec.loads(arch.expand())
    assert [step.op for step in again.graph.steps] == [step.op for step in arch.graph.steps]
    assert not arch.build(device="meta").state_dict()


def test_it_costs_two_products_for_each_head_of_queries() -> None:
    op = ScaledDotProductAttention(enable_gqa=True)
    assert op.macs([Q, K, V], [(N, 4, 5, 3)]) == 4 * 5 * 7 * (6 + 3)


def test_it_exports(tmp_path) -> None:
    net = archspec.loads(SPEC % ("enable_gqa: true", ", attn_mask: m")).build().eval()
    inputs = torch.randn(2, 4, 5, 6), torch.randn(2, 2, 7, 6), torch.ones(2, 1, 5, 7) > 0
    exported = torch.export.export(net, inputs).module()
    torch.testing.assert_close(exported(*inputs), net(*inputs))


@pytest.mark.parametrize(
    ("op", "inputs", "code", "message"),
    [
        ({}, [Q, K], Code.ARITY, "takes 3 to 4 input(s), got 2"),
        ({}, [(4, 5, 6), K, V], Code.UNBATCHED, "query needs a batch axis, and (4, 5, 6) has none"),
        ({}, [Q, (N, 7, 6), V], Code.MIXES_BATCH, "query and key differ in rank: 4-D and 3-D"),
        ({}, [Q, (N, 4, 7, 5), V], Code.SHAPE, "features of query and key: 6 and 5 differ"),
        ({}, [Q, (N, 4, 8, 6), V], Code.SHAPE, "lengths of key and value: 8 and 7 differ"),
        ({}, [Q, K, V], Code.SHAPE, "shapes do not broadcast: (N, 4) and (N, 2)"),
        (
            {"enable_gqa": True},
            [Q, (N, 3, 7, 6), V],
            Code.SHAPE,
            "cannot divide heads of the query by those of key and value",
        ),
        (
            {"enable_gqa": True},
            [(N, 5, 6), (N, 7, 6), (N, 7, 3)],
            Code.MIXES_BATCH,
            "`enable_gqa` needs an axis of heads",
        ),
        (
            {"enable_gqa": True, "is_causal": True},
            [Q, K, V, (5, 7)],
            Code.SHAPE,
            "`is_causal` makes a mask",
        ),
        ({"enable_gqa": True}, [Q, K, V, (7,)], Code.RANK, "attn_mask is (..., L, S), got (7)"),
        ({"enable_gqa": True}, [Q, K, V, (N, 5, 7)], Code.MIXES_BATCH, "the batch would meet"),
        ({"enable_gqa": True}, [Q, K, V, (5, 6)], Code.SHAPE, "do not broadcast"),
        (
            {"enable_gqa": True},
            [(N, 1, 1, 6), (N, 1, 7, 6), (N, 1, 7, 3), (5, 7)],
            Code.SHAPE,
            "attn_mask (5, 7) is larger than the logits (N, 1, 1, 7)",
        ),
    ],
)
def test_it_refuses(op, inputs, code, message) -> None:
    with pytest.raises(Refusal) as refused:
        infer(ScaledDotProductAttention(**op), inputs)
    assert refused.value.code is code
    assert message in refused.value.message


def test_truth_values_are_a_mask_alone() -> None:
    with pytest.raises(Refusal, match="key is of floats, and reads bool"):
        inputs = [(N, 4, 6), (N, 5, 6), (N, 5, 6), (4, 5)]
        infer_types(ScaledDotProductAttention(), inputs, [FLOAT, BOOL, FLOAT, BOOL], 1)


def test_a_name_that_is_missing_is_named() -> None:
    text = (SPEC % ("enable_gqa: true", "")).replace(", value: k", "")
    with pytest.raises(archspec.SpecError, match="needs the input 'value'"):
        archspec.loads(text)
