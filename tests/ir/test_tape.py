"""The tape's layouts against torch's own tensors."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.ir.tape import (
    Storage,
    Tape,
    Tensor,
    dense_layout,
    elementwise,
    empty_like,
    reshape,
    view_strides,
)

sizes = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def described(x: torch.Tensor) -> Tensor:
    """What the tape holds of a real tensor."""
    storage = Storage(x.untyped_storage().nbytes())
    return Tensor(tuple(x.shape), x.stride(), storage, x.requires_grad)


@st.composite
def strided(draw: st.DrawFn, shape: list[int]) -> torch.Tensor:
    """A tensor of `shape` with its axes in any memory order, possibly sliced or expanded."""
    order = draw(st.permutations(range(len(shape))))
    base = torch.zeros([shape[dim] for dim in order])
    for dim in range(len(shape)):
        if draw(st.integers(0, 5)) == 0:
            wider = [2 * size if at == dim else size for at, size in enumerate(base.shape)]
            base = torch.zeros(wider).chunk(2, dim)[1]
    return base.permute([order.index(dim) for dim in range(len(shape))])


@st.composite
def broadcastable(draw: st.DrawFn) -> list[torch.Tensor]:
    shape = draw(sizes)
    operands = []
    for _ in range(draw(st.integers(1, 3))):
        kept = draw(st.sampled_from([shape, shape, shape[draw(st.integers(0, len(shape) - 1)) :]]))
        own = [1 if draw(st.integers(0, 3)) == 0 else size for size in kept]
        operands.append(draw(strided(draw(st.sampled_from([kept, own])))))
    return operands


@settings(max_examples=400)
@given(broadcastable())
def test_elementwise_results_have_torchs_strides(operands: list[torch.Tensor]) -> None:
    if len(operands) == 1:
        real = torch.neg(operands[0])
    elif len(operands) == 2:
        real = operands[0] + operands[1]
    else:
        real = torch.addcmul(*operands)
    predicted = elementwise(Tape(), *map(described, operands))
    assert predicted.shape == tuple(real.shape)
    assert predicted.strides == real.stride()


@settings(max_examples=300)
@given(st.data())
def test_views_exist_where_torch_views(data: st.DataObject) -> None:
    x = data.draw(sizes.flatmap(strided))
    shape = data.draw(regrouped(x.numel()))
    real = x.reshape(shape)
    predicted = reshape(Tape(), described(x), tuple(shape))
    assert predicted.strides == real.stride()
    viewed = real.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert (view_strides(described(x), tuple(shape)) is not None) == viewed


@st.composite
def regrouped(draw: st.DrawFn, elements: int) -> list[int]:
    """Any shape of so many elements."""
    shape: list[int] = []
    while elements > 1 and len(shape) < 4:
        divisors = [d for d in range(1, elements + 1) if elements % d == 0]
        shape.append(draw(st.sampled_from(divisors)))
        elements //= shape[-1]
    return [*shape, elements]


@settings(max_examples=200)
@given(st.lists(st.integers(1, 3), min_size=4, max_size=4).flatmap(strided))
def test_layout_questions_are_answered_as_torch_does(x: torch.Tensor) -> None:
    y = described(x)
    assert y.is_contiguous == x.is_contiguous()
    assert y.is_channels_last == x.is_contiguous(memory_format=torch.channels_last)
    chosen = torch.nn.functional.max_pool2d(x, 1)  # a kernel that asks the input for its layout
    assert chosen.is_contiguous(memory_format=torch.channels_last) or not y.prefers_channels_last
    assert chosen.is_contiguous() or y.prefers_channels_last


ones = st.lists(st.sampled_from([1, 1, 2, 3]), min_size=2, max_size=5)


@settings(max_examples=200)
@given(ones.flatmap(strided))
def test_batch_norm_lays_out_its_result_as_torchs_kernel_does(x: torch.Tensor) -> None:
    real = torch.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False)
    assert dense_layout(described(x)) == real.stride()


@settings(max_examples=200)
@given(ones.flatmap(strided))
def test_what_is_made_like_a_tensor_has_torchs_strides(x: torch.Tensor) -> None:
    made = empty_like(Tape(), described(x), requires_grad=False)
    assert made.strides == torch.empty_like(x).stride()
