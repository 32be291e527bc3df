"""Sums of products of values whose axes have letters, against torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer
from archspec.ir.shape import N
from archspec.ops.einsum import Einsum
from archspec.testing import contract as testing


@st.composite
def calls(draw: st.DrawFn) -> testing.OpCase:
    """Two values with up to three axes each beside the batch, some of size 1."""
    batched = draw(st.sampled_from([(True, True), (True, False), (False, True), (False, False)]))
    letters = st.lists(st.sampled_from("ijkl"), max_size=3, unique=True)
    first, second = draw(letters), draw(letters)
    every = sorted({*first, *second})
    result = draw(st.permutations([each for each in every if draw(st.booleans())]))
    sizes = {each: draw(st.integers(1, 4)) for each in every}
    sizes["n"] = N
    shapes, words = [], []
    for own, has_batch in zip((first, second), batched, strict=True):
        word = "n" * has_batch + "".join(own)
        one = draw(st.sampled_from([*word, *"    "]))
        shapes.append(tuple(1 if each == one != "n" else sizes[each] for each in word))
        words.append(word)
    equation = f"{words[0]},{words[1]}->{'n' * any(batched)}{''.join(result)}"
    return testing.OpCase(Einsum(equation=equation), tuple(shapes))


@settings(max_examples=10)
@given(calls())
def test_drawn_equations_agree_with_torch(call):
    assert testing.check_call(call, layouts=("part",))


ATTENTION = """
name: attention
sizes: {T: 5}
input: [T, 8]
layers:
  - {name: q, linear: 8}
  - {name: query, unflatten: {dim: 2, unflattened_size: [2, 4]}}
  - {name: k, linear: 8, from: input}
  - {name: key, unflatten: {dim: 2, unflattened_size: [2, 4]}}
  - {name: scores, einsum: {inputs: [query, key], equation: "nqhd, nkhd -> nhqk"}}
  - {name: weights, softmax: -1}
  - {name: mixed, einsum: {inputs: [weights, key], equation: "nhqk,nkhd->nqhd"}}
  - {name: out, parameter: {shape: [2, 4, 3], init: normal}}
  - einsum: {equation: "nqhd,hdo->nqo"}
    from: [mixed, out]
"""


def test_attention_is_counted_and_run_as_torch_does():
    arch = archspec.loads(ATTENTION)
    assert arch.verify().ok, arch.verify()
    macs = {layer.path: layer.macs for layer in arch.summary().layers}
    assert (macs["scores"], macs["mixed"], macs["8"]) == (200, 200, 5 * 8 * 3)
    figure = arch.formulas().macs
    assert (figure.text, figure.where) == ("8·T·(2·T + 19)", "T ≥ 2")
    net, x = arch.build(), torch.randn(3, 5, 8)
    query, key = (layer(x).unflatten(2, (2, 4)).transpose(1, 2) for layer in (net.q, net.k))
    mixed = (query @ key.transpose(2, 3)).softmax(-1) @ key
    expected = (mixed.transpose(1, 2).flatten(2)) @ net.out.flatten(0, 1)
    torch.testing.assert_close(net(x), expected)
    assert archspec.loads(arch.expand()).expand() == arch.expand()


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("nij->nji", "it gives a letter to each axis of two inputs and of the result"),
        ("n...i,n...i->n", "it gives a letter to each axis of two inputs and of the result"),
        ("ni,nj", "it gives a letter to each axis of two inputs and of the result"),
        ("ni,nj->n') or exit('", "it gives a letter to each axis"),
        ("nii,ni->ni", "'i' stands twice in 'nii'"),
        ("ni,nj->nij\n", "it gives a letter to each axis"),
        ("ni,nj->nk", "no input has the axis 'k' of the result"),
    ],
)
def test_an_equation_that_is_none_is_refused(equation, message):
    with pytest.raises(ArgumentsError, match=message.replace("(", "\\(")):
        Einsum(equation=equation)


@pytest.mark.parametrize(
    ("equation", "inputs", "code", "message"),
    [
        ("ni,nj->nij", [(N, 3, 4), (N, 4)], Code.RANK, "'ni' names 2 axes, and the first input"),
        ("ni,ni->n", [(N, 3), (N, 4)], Code.SHAPE, "the axis 'i' is 3 in the first input and 4"),
        ("ni,nj->ij", [(N, 3), (N, 4)], Code.MIXES_BATCH, "does not keep the batch apart"),
        ("ni,ni->in", [(N, 3), (N, 3)], Code.MIXES_BATCH, "does not keep the batch apart"),
        ("ni,mi->nm", [(N, 3), (N, 3)], Code.MIXES_BATCH, "does not keep the batch apart"),
        ("ni,in->n", [(N, 3), (3, 4)], Code.MIXES_BATCH, "does not keep the batch apart"),
        ("ni,mn->ni", [(N, 3), (N, 3)], Code.MIXES_BATCH, "does not keep the batch apart"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(equation, inputs, code, message):
    with pytest.raises(Refusal, match=message) as refusal:
        infer(Einsum(equation=equation), inputs)
    assert refusal.value.code is code


def test_the_equation_may_stand_alone():
    text = """
archspec: 1
input: [4, 3]
layers:
  - {{name: a, linear: 5}}
  - {{name: b, from: input, linear: 5}}
  - {{name: c, {}}}
"""
    long, short = (
        archspec.loads(text.format(node))
        for node in (
            "einsum: {inputs: [a, b], equation: 'nld,nkd->nlk'}",
            "from: [a, b], einsum: 'nld,nkd->nlk'",
        )
    )
    assert short.expand() == long.expand()
    assert short.output_shape == ("N", 4, 4)
