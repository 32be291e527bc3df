"""Ops that add, remove, repeat, reverse and take apart axes, as specs write them, against torch."""

from __future__ import annotations

import pytest
import torch
from listing import loaded, refused

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.shape import N
from archspec.ops.axes import Expand, Flip, Split, Squeeze, Stack, Tile, Unbind, Unsqueeze
from archspec.testing.following import check_follows

X = torch.arange(12.0).reshape(1, 3, 4)
Y = -X

TWO = "inputs: {x: [3, 4], y: [3, 4]}\nlayers:\n  - "


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("stack: [x, y]", torch.stack((X, Y), 1)),
        ("stack: {inputs: [x, y], dim: -1}", torch.stack((X, Y), -1)),
        ("{unsqueeze: 1, from: x}", X[:, None]),
        ("{unsqueeze: -1, from: x}", X[..., None]),
        ("{tile: [2, 1], from: x}", torch.cat((X, X), 1)),
        ("{flip: [1, 2], from: x}", torch.tensor(X.numpy()[:, ::-1, ::-1].copy())),
        ("{roll: {shifts: 1, dims: 2}, from: x}", torch.cat((X[..., -1:], X[..., :-1]), 2)),
    ],
)
def test_a_node_gives_what_torch_does(node, expected):
    assert torch.equal(archspec.loads(f"{TWO}{node}\n").build()(X, Y), expected)


def test_squeeze_undoes_unsqueeze_and_expand_repeats():
    net = loaded("- unsqueeze: 1\n- expand: [2, -1, -1]", input="[3, 4]").build()
    assert torch.equal(net(X), torch.stack((X, X), 1))
    net = loaded("- unsqueeze: 3\n- squeeze: [-1]", input="[3, 4]").build()
    assert torch.equal(net(X), X)


def test_parts_are_named_by_their_index():
    text = "- {name: p, split: {split_size_or_sections: [1, 2]}}\n- {sub: ['p[1]', 'p[0]']}"
    assert torch.equal(loaded(text, input="[3, 4]").build()(X), X[:, 1:] - X[:, :1])
    text = "- {name: p, unbind: 2}\n- {sub: ['p[3]', 'p[0]']}"
    assert torch.equal(loaded(text, input="[3, 4]").build()(X), X[..., 3] - X[..., 0])


@pytest.mark.parametrize(
    ("op", "x", "code"),
    [
        (Stack(dim=0), (N, 3), Code.MIXES_BATCH),
        (Unsqueeze(dim=0), (N, 3), Code.MIXES_BATCH),
        (Unsqueeze(dim=-3), (N, 3), Code.MIXES_BATCH),
        (Squeeze(dim=0), (N, 3), Code.MIXES_BATCH),
        (Squeeze(dim=(1, -1)), (N, 1), Code.RANK),
        (Expand(size=(2, 3)), (N, 3), Code.RANK),
        (Expand(size=(-1, 3)), (3,), Code.SHAPE),
        (Expand(size=(4,)), (N, 3), Code.SHAPE),
        (Tile(dims=(2, 1)), (N, 3), Code.MIXES_BATCH),
        (Tile(dims=(1, 1, 1)), (N, 3), Code.MIXES_BATCH),
        (Flip(dims=(0,)), (N, 3), Code.MIXES_BATCH),
        (Unbind(dim=0), (N, 3), Code.MIXES_BATCH),
        (Unbind(), (N, 1001), Code.LIMIT),
        (Split(split_size_or_sections=1), (N, 1001), Code.LIMIT),
        (Split(split_size_or_sections=(1, 1)), (N, 3), Code.SHAPE),
    ],
)
def test_what_mixes_samples_or_does_not_fit_is_refused(op, x, code):
    with pytest.raises(Refusal) as caught:
        infer(op, [x] * (op.arity or 2))
    assert caught.value.code == code


def test_a_batch_is_not_stacked_with_a_learned_tensor():
    with pytest.raises(Refusal) as caught:
        infer(Stack(), [(N, 3), (2, 3)])
    assert caught.value.code == Code.UNBATCHED


def test_squeeze_of_another_size_is_doubted():
    arch = loaded("- squeeze: 1", input="[3]")
    assert "squeeze of dim 1 of (N, 3) changes nothing" in str(arch.warnings[0])


def test_parts_that_are_too_few_are_refused_with_the_sum():
    text = refused("- {split: {split_size_or_sections: [1, 1]}}", input="[3]")
    assert "the parts (1, 1) have 2 together, the axis has 3" in text


@pytest.mark.parametrize(
    "layers",
    [
        "- stack: {inputs: [input, input], dim: 2}\n",
        "- {name: p, split: 4}\n- concat: ['p[1]', 'p[0]']\n",
        "- {name: p, split: ['size(input, 1) - 2', 2]}\n- {name: s, sigmoid, from: 'p[0]'}\n",
        "- unsqueeze: 1\n- expand: [2, 'size(input, 1)', -1]\n",
        "- tile: [2, 1]\n",
        "- flip: 1\n",
    ],
)
def test_one_module_is_right_at_other_sizes(layers):
    lines = "".join(f"  {line}\n" for line in layers.splitlines())
    refusal = check_follows(f"sizes: {{H: 6}}\ninput: [H, 3]\nlayers:\n{lines}")
    assert refusal is None, refusal
