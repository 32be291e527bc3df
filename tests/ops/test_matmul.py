"""The product of two values against torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_oracle import accepts_as_torch, compare_record, shape, strided

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.shape import N, Shape, concrete
from archspec.ops.matmul import MatMul

sizes = st.sampled_from([1, 2, 3, 4])


@st.composite
def factors(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Two shapes that mostly fit: inner axes equal or 1, now and then another size or rank."""
    inner = draw(st.lists(sizes, max_size=2))
    rows, depth, columns = draw(sizes), draw(sizes), draw(sizes)
    left = [1 if draw(st.integers(0, 3)) == 0 else size for size in inner]
    right = [1 if draw(st.integers(0, 3)) == 0 else size for size in inner]
    a, b = [*left, rows, depth], [*right, depth, columns]
    match draw(st.integers(0, 5)):
        case 0:
            b[draw(st.integers(0, len(b) - 1))] = draw(sizes)
        case 1:
            b = b[1:]
    return shape(*a), shape(*b)


@settings(max_examples=200)
@given(factors())
def test_agrees_with_torch(inputs: tuple[Shape, Shape]) -> None:
    accepts_as_torch(MatMul(), inputs, torch.matmul)


@settings(max_examples=200)
@given(factors().filter(lambda pair: _fits(*pair)), st.data())
def test_saved_memory_and_layout(inputs: tuple[Shape, Shape], data: st.DataObject) -> None:
    tensors = [data.draw(strided(concrete(x, 2))) for x in inputs]
    compare_record(MatMul(), inputs, [x.requires_grad_(data.draw(st.booleans())) for x in tensors])


def _fits(a: Shape, b: Shape) -> bool:
    try:
        infer(MatMul(), [a, b])
    except Refusal:
        return False
    return True


@pytest.mark.parametrize(
    ("a", "b", "code", "message"),
    [
        (
            (N, 4, 5),
            (N, 4, 3),
            Code.SHAPE,
            "columns of the first factor and rows of the second: 5 and 4 differ",
        ),
        (
            (N, 2, 4, 5),
            (N, 5, 3),
            Code.MIXES_BATCH,
            "needs two factors of one rank from 3 on, got (N, 2, 4, 5) and (N, 5, 3)",
        ),
    ],
)
def test_refuses(a: Shape, b: Shape, code: Code, message: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        infer(MatMul(), [a, b])
    assert refused.value.code == code
    assert message is None or refused.value.message == message


def test_macs_are_counted_for_one_sample() -> None:
    a, b, y = (N, 1, 4, 5), (N, 6, 5, 3), (N, 6, 4, 3)
    assert MatMul().macs([a, b], [y]) == 6 * 4 * 5 * 3
