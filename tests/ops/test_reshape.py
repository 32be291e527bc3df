"""Flatten, reshape, permute and chunk against torch, views and copies included."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch_oracle import accepts_as_torch, compare_record, is_accepted, shape, strided

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import MAX_RANK, infer
from archspec.ir.op import Op
from archspec.ir.shape import N, Shape, concrete
from archspec.ops.reshape import Chunk, Flatten, Permute, Reshape, Unflatten

inputs = st.lists(st.sampled_from([1, 2, 3, 4, 5, 6]), max_size=4).map(lambda s: shape(*s))
dims = st.integers(-5, 5)


@st.composite
def reshapings(draw: st.DrawFn) -> tuple[Op, Shape]:
    x = draw(inputs)
    sizes = draw(st.lists(st.integers(1, 6), max_size=3))
    if draw(st.booleans()):  # regroup the real elements, so that many cases are right
        left = int(torch.Size(x[1:]).numel())
        sizes = []
        while left > 1 and len(sizes) < 3:
            sizes.append(draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0])))
            left //= sizes[-1]
        sizes.append(left)
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        if sizes:
            sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return Reshape(shape=tuple(sizes)), x


@st.composite
def permutations(draw: st.DrawFn) -> tuple[Op, Shape]:
    x = draw(inputs)
    order = [0, *draw(st.permutations(range(1, len(x))))]
    if draw(st.integers(0, 2)) == 0:
        order = draw(st.lists(dims, max_size=5))
    signed = [dim - len(x) if draw(st.booleans()) else dim for dim in order]
    return Permute(dims=tuple(signed)), x


@st.composite
def unflattenings(draw: st.DrawFn) -> tuple[Op, Shape]:
    x = draw(inputs)
    dim = draw(dims)
    sizes = draw(st.lists(st.integers(1, 4) | st.just(-1), min_size=1, max_size=3))
    if -len(x) <= dim < len(x) and dim % len(x) and draw(st.booleans()):
        size = x[dim]
        first = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
        sizes = [first, draw(st.sampled_from([size // first, -1]))]
    return Unflatten(dim=dim, unflattened_size=tuple(sizes)), x


flattenings = st.tuples(st.builds(Flatten, start_dim=dims, end_dim=dims), inputs)
chunkings = st.tuples(st.builds(Chunk, chunks=st.integers(1, 5), dim=dims), inputs)
cases = st.one_of(flattenings, reshapings(), unflattenings(), permutations(), chunkings)


def by_hand(x: torch.Tensor, **arguments: Any) -> Any:
    if "shape" in arguments:
        return x.reshape(x.shape[0], *arguments["shape"])
    if "unflattened_size" in arguments:
        return x.unflatten(arguments["dim"], arguments["unflattened_size"])
    if "dims" in arguments:
        return x.permute(arguments["dims"])
    if "chunks" in arguments:
        return x.chunk(arguments["chunks"], arguments.get("dim", 1))
    return torch.flatten(x, arguments.get("start_dim", 1), arguments.get("end_dim", -1))


def test_axes_are_rearranged_where_torch_does_it() -> None:
    verdicts: list[bool] = []

    @settings(max_examples=400)
    @given(cases)
    def check(case: tuple[Op, Shape]) -> None:
        op, x = case
        verdicts.append(accepts_as_torch(op, [x], by_hand))

    check()
    assert 0.3 <= verdicts.count(False) / len(verdicts) <= 0.8


@settings(max_examples=250)
@given(cases, st.data())
def test_views_share_storage_and_copies_do_not(case: tuple[Op, Shape], data: st.DataObject) -> None:
    op, x = case
    assume(is_accepted(op, x))
    tensor = data.draw(strided(concrete(x, data.draw(st.sampled_from([2, 3])))))
    compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


def test_a_reshape_after_a_permute_copies() -> None:
    x = torch.randn(2, 3, 4).permute(0, 2, 1)
    compare_record(Reshape(shape=(12,)), [shape(4, 3)], [x])
    compare_record(Flatten(), [shape(4, 3)], [x])
    compare_record(Flatten(), [shape(3, 4)], [torch.randn(2, 3, 4)])


def test_elements_keep_their_order() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    source = Reshape(shape=(-1, 3)).expression(["x"], [shape(3, 4)])
    assert source == "x.reshape(x.shape[0], -1, 3)"
    assert Permute(dims=(0, 2, 1)).expression(["x"], [shape(3, 4)]) == "x.permute(0, 2, 1)"
    assert torch.equal(Flatten(start_dim=1).build(shape(3, 4))(x), x.reshape(2, 12))


def test_chunks_may_be_fewer_than_asked_for() -> None:
    assert infer(Chunk(chunks=4), [shape(5)]) == ((N, 2), (N, 2), (N, 1))
    assert infer(Chunk(chunks=4, dim=-1), [shape(3, 6)]) == ((N, 3, 2),) * 3
    assert infer(Chunk(chunks=1), [shape(5)]) == ((N, 5),)
    assert Chunk(chunks=4).expression(["x"], [shape(5)]) == "x.chunk(4, dim=1)"
    assert Chunk(chunks=4).expression(["x"], [shape(1)]) == "x.chunk(4, dim=1)[0]"


@pytest.mark.parametrize(
    ("op", "x", "code", "message"),
    [
        (
            Flatten(start_dim=0),
            shape(2, 3),
            Code.MIXES_BATCH,
            "dim 0 is the batch: samples of a batch may not be mixed",
        ),
        (
            Flatten(start_dim=2, end_dim=1),
            shape(2, 3),
            Code.SHAPE,
            "start_dim 2 comes after end_dim 1",
        ),
        (
            Reshape(shape=(4, 4)),
            shape(2, 3),
            Code.SHAPE,
            "a sample of (N, 2, 3) has 6 elements, (4, 4) has 16",
        ),
        (
            Reshape(shape=(4, -1)),
            shape(2, 3),
            Code.SHAPE,
            "cannot divide a sample of (N, 2, 3) by the sizes given: 6 is not a multiple of 4",
        ),
        (Reshape(shape=(-1, -1)), shape(2, 3), Code.SHAPE, "only one size may be -1"),
        (
            Unflatten(dim=0, unflattened_size=(2, -1)),
            shape(4, 3),
            Code.MIXES_BATCH,
            "dim 0 is the batch: samples of a batch may not be mixed",
        ),
        (
            Unflatten(dim=1, unflattened_size=(2, 3)),
            shape(4, 3),
            Code.SHAPE,
            "dim 1 has 4 elements, (2, 3) has 6",
        ),
        (
            Unflatten(dim=1, unflattened_size=(3, -1)),
            shape(4, 3),
            Code.SHAPE,
            "cannot divide dim 1 by the sizes given: 4 is not a multiple of 3",
        ),
        (
            Permute(dims=(1, 0, 2)),
            shape(2, 3),
            Code.MIXES_BATCH,
            "dim 0 is the batch and stays first",
        ),
        (
            Permute(dims=(0, 1)),
            shape(2, 3),
            Code.RANK,
            "(0, 1) does not name each dim of a 3-D input once",
        ),
        (
            Chunk(chunks=2, dim=0),
            shape(2, 3),
            Code.MIXES_BATCH,
            "dim 0 is the batch: samples of a batch may not be mixed",
        ),
    ],
)
def test_refusals_say_why(op: Op, x: Shape, code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, [x])
    assert (refused.value.code, refused.value.message) == (code, message)


def test_axes_that_torch_could_not_walk_are_refused() -> None:
    sizes = (8, *[1] * (MAX_RANK - 2))
    assert len(infer(Reshape(shape=sizes), [shape(2, 4)])[0]) == MAX_RANK
    with pytest.raises(Refusal, match="the output would have 65 axes"):
        infer(Reshape(shape=(*sizes, 1)), [shape(2, 4)])
