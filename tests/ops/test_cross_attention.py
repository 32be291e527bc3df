"""`multi_head_attention` of several inputs against torch's module."""

from __future__ import annotations

import pytest
import torch
import torch.fx
from torch import nn

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.shape import N
from archspec.ops.attention import MultiHeadAttention

SPEC = """\
archspec: 1
name: cross
inputs:
  x: [5, 8]
  memory: [3, %d]
  padding: {shape: [3], dtype: bool}
  mask: {shape: [2, 5, 3], dtype: bool}
layers:
  - name: attention
    multi_head_attention: {num_heads: 2%s}
    from: %s
"""
X, MEMORY = torch.randn(4, 5, 8), torch.randn(4, 3, 8)
PADDING = torch.tensor([[False, False, True]] * 2 + [[False] * 3] * 2)
MASK = torch.rand(4, 2, 5, 3) > 0.7
MASK[..., 0] = False
CAUSAL = torch.ones(5, 3, dtype=torch.bool).triu(1)

CALLS = [
    ("{query: x, key: memory, value: memory}", "", {}),
    ("[x, memory, memory]", "", {}),
    ("[x, memory, memory, padding]", "", {"key_padding_mask": PADDING}),
    (
        "{query: x, key: memory, value: memory, key_padding_mask: padding}",
        "",
        {"key_padding_mask": PADDING},
    ),
    ("[x, memory, memory, mask]", "", {"attn_mask": MASK.flatten(0, 1)}),
    (
        "[x, memory, memory, mask, padding]",
        "",
        {"attn_mask": MASK.flatten(0, 1), "key_padding_mask": PADDING},
    ),
    ("[x, memory, memory]", ", is_causal: true", {"attn_mask": CAUSAL}),
    (
        "[x, memory, memory, padding]",
        ", is_causal: true",
        {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
    ),
]


@pytest.mark.parametrize(("read", "more", "given"), CALLS)
@pytest.mark.parametrize("width", [8, 6])
def test_it_is_torchs(read: str, more: str, given: dict[str, torch.Tensor], width: int) -> None:
    net = archspec.loads(SPEC % (width, more, read), warn=False).build().eval()
    reference = nn.MultiheadAttention(8, 2, kdim=width, vdim=width, batch_first=True).eval()
    weights = {f"attention.{k}": v for k, v in reference.state_dict().items()}
    assert list(net.state_dict()) == list(weights)
    net.load_state_dict(weights)
    x, memory = X.clone().requires_grad_(), MEMORY[..., :width].clone().requires_grad_()
    expected, _ = reference(x, memory, memory, need_weights=False, **given)
    result = net(x, memory, PADDING, MASK)
    torch.testing.assert_close(result, expected)
    wanted = torch.autograd.grad(expected.square().sum(), (x, memory))
    found = torch.autograd.grad(result.square().sum(), (x, memory))
    torch.testing.assert_close(found, wanted)


HEAD = """\
inputs:
  x: [3, 8]
  padding: {shape: [3], dtype: bool}
  mask: {shape: [2, 3, 3], dtype: bool}
layers:
  - {name: table, constant: {full: [3, 3], value: true}}
  - {multi_head_attention: 2, from: %s}
"""


@pytest.mark.parametrize(
    ("read", "code", "said", "help_"),
    [
        (
            "{query: x, key_padding_mask: padding}",
            "AS504",
            "'key_padding_mask', as its 'key'",
            "'key'",
        ),
        ("{query: x, attn_mask: table}", "AS504", "'attn_mask', as its 'key'", "'key'"),
        ("{query: x, value: x}", "AS504", "'value', as its 'key'", "'key'"),
        (
            "{query: x, key: x, attn_mask: mask, key_padding_mask: padding}",
            "AS504",
            "'attn_mask', as its 'value'",
            "'value'",
        ),
        (
            "{query: x, key: x, value: x, key_padding_mask: table}",
            "AS504",
            "(3, 3), its 'key_padding_mask', as its 'attn_mask'",
            "'attn_mask'",
        ),
        (
            "{query: x, key: x, value: x, attn_mask: padding}",
            "AS401",
            "(N, 3), its 'attn_mask', as its 'key_padding_mask'",
            None,
        ),
    ],
)
def test_a_mask_is_read_as_what_it_is_given_as(read, code, said, help_) -> None:
    with pytest.raises(archspec.SpecError) as refused:
        archspec.loads(HEAD % read)
    message = str(refused.value)
    assert f"error {code}: multi_head_attention would read" in message and said in message
    assert (f"give {help_} too" if help_ else "name it `key_padding_mask`") in message


def test_causal_self_attention_is_torchs_with_and_without_gradients() -> None:
    text = "input: [5, 8]\nlayers:\n  - multi_head_attention: {num_heads: 2, is_causal: true}\n"
    net = archspec.loads(text).build().eval()
    reference = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    reference.load_state_dict({k[2:]: v for k, v in net.state_dict().items()})
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected, _ = reference(X, X, X, attn_mask=mask, need_weights=False)
    torch.testing.assert_close(net(X), expected)
    with torch.no_grad():
        torch.testing.assert_close(net(X), expected)
    for converted in (torch.fx.symbolic_trace(net), torch.jit.script(net)):
        torch.testing.assert_close(converted(X), expected)
    changed = X.clone()
    changed[:, 3:] += 1
    assert torch.equal(net(changed)[:, :3], net(X)[:, :3])


def test_a_symbolic_length_verifies_and_exports() -> None:
    text = (
        "sizes: {L: 5}\ninput: [L, 8]\nlayers:\n"
        "  - multi_head_attention: {num_heads: 2, is_causal: true}\n"
    )
    arch = archspec.loads(text)
    assert arch.macs == 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8
    report = arch.verify()
    assert report.ok, str(report)
    net, x = arch.build().eval(), torch.randn(2, 7, 8)
    length = torch.export.Dim("length", min=2, max=9)
    exported = torch.export.export(net, (X[:2],), dynamic_shapes=({1: length},)).module()
    torch.testing.assert_close(exported(x), net(x))


def test_all_inputs_verify_and_expand() -> None:
    arch = archspec.loads(SPEC % (6, ", dropout: 0.1", "[x, memory, memory, mask, padding]"))
    report = arch.verify()
    assert report.ok, str(report)
    assert archspec.loads(arch.expand()).graph.steps[0].op == arch.graph.steps[0].op


Q, K = (N, 5, 8), (N, 3, 6)


@pytest.mark.parametrize(
    ("args", "inputs", "code", "message"),
    [
        ({}, [Q, K], Code.ARITY, "it reads query, key and value, or one input"),
        ({}, [(1, 5, 8), K, K], Code.UNBATCHED, "query needs a batch axis, and (1, 5, 8) has none"),
        ({}, [Q, K, (N, 4, 6)], Code.SHAPE, "lengths of key and value: 3 and 4 differ"),
        ({}, [Q, K, K, (3, 5)], Code.SHAPE, "attn_mask is (3, 5)"),
        ({}, [Q, K, K, (N, 1, 5, 3)], Code.SHAPE, "attn_mask is (N, 1, 5, 3)"),
        ({}, [Q, K, K, (N, 5)], Code.SHAPE, "key_padding_mask is (N, 5), and the keys are"),
        ({"is_causal": True}, [Q, K, K, (5, 3)], Code.SHAPE, "`is_causal` makes a mask"),
    ],
)
def test_it_refuses(args, inputs, code, message) -> None:
    with pytest.raises(Refusal) as refused:
        infer(MultiHeadAttention(num_heads=2, **args), inputs)
    assert refused.value.code is code
    assert message in refused.value.message
