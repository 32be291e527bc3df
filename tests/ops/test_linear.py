"""The linear layer against torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_oracle import accepts_as_torch, compare_record, shape, strided

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.shape import Shape, concrete
from archspec.ops.linear import Linear

layers = st.builds(Linear, out_features=st.integers(1, 5), bias=st.booleans())
inputs = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(lambda sizes: shape(*sizes))


def by_hand(x: torch.Tensor, out_features: int, **arguments: Any) -> torch.Tensor:
    return nn.Linear(x.shape[-1], out_features, **arguments)(x)  # type: ignore[no-any-return]


@settings(max_examples=80)
@given(layers, inputs)
def test_runs_on_any_rank(op: Linear, x: Shape) -> None:
    assert accepts_as_torch(op, [x], by_hand)


@settings(max_examples=150)
@given(layers, inputs, st.data())
def test_saved_memory_and_layout(op: Linear, x: Shape, data: st.DataObject) -> None:
    tensor = data.draw(strided(concrete(x, data.draw(st.sampled_from([2, 3])))))
    compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


def test_the_batch_is_no_feature_axis() -> None:
    with pytest.raises(Refusal) as refused:
        infer(Linear(out_features=3), [shape()])
    assert refused.value.code == Code.MIXES_BATCH


def test_single_numbers_get_an_axis_as_the_help_says() -> None:
    spec = "input: []\nlayers: [{linear: 3}]"
    with pytest.raises(archspec.SpecError, match=r"help: .*put `reshape: \[1\]` before it"):
        archspec.loads(spec)
    net = archspec.loads(spec.replace("[{", "[{reshape: [1]}, {")).build()
    assert net(torch.ones(2)).shape == (2, 3)
