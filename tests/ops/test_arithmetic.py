"""Constant functions of elements, and scaling to unit length, against torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torch_oracle import accepts_as_torch, compare_record, is_accepted, real, shape, strided

from archspec.ir.fields import ArgumentsError
from archspec.ir.op import Op
from archspec.ir.shape import Shape, concrete
from archspec.ops.arithmetic import Normalize, Scale
from archspec.ops.elementwise import Clamp, Exp

inputs = st.lists(st.integers(1, 5), max_size=4).map(lambda sizes: shape(*sizes))
normalizations = st.builds(Normalize, dim=st.integers(-4, 4))
ops: st.SearchStrategy[Op] = (
    st.sampled_from([Scale(factor=-0.5), Exp(), Clamp(max=0.5), Clamp(min=-1.0, max=1.0)])
    | normalizations
)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (Scale(factor=0.1), lambda x: x * 0.1),
        (Exp(), torch.exp),
        (Clamp(max=0.5), lambda x: torch.clamp(x, max=0.5)),
        (Clamp(min=-0.5, max=1e-3), lambda x: torch.clamp(x, -0.5, 1e-3)),
        (Normalize(dim=-1, eps=0.5), lambda x: F.normalize(x, dim=-1, eps=0.5)),
    ],
)
def test_values(op: Op, expected: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.randn(3, 4, 5)
    assert torch.equal(real(op, [shape(4, 5)])(x), expected(x))


@settings(max_examples=100)
@given(normalizations, inputs)
def test_normalize_accepts_as_torch(op: Normalize, x: Shape) -> None:
    accepts_as_torch(op, [x], F.normalize)


@settings(max_examples=200)
@given(ops, inputs, st.data())
def test_saved_memory_and_layout(op: Op, x: Shape, data: st.DataObject) -> None:
    if is_accepted(op, x):
        tensor = data.draw(strided(concrete(x, 2)))
        compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


def test_clamp_needs_a_bound() -> None:
    with pytest.raises(ArgumentsError, match=r"^arguments: give `min`, `max` or both$"):
        Clamp()
