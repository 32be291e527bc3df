"""Sums, products and joins against torch, learned tensors among their inputs."""

from __future__ import annotations

import functools
import operator
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch_oracle import accepts_as_torch, compare_record, is_accepted, real, shape, strided

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import N, Shape, concrete, is_batched
from archspec.ir.types import BOOL, FLOAT, INT32, INT64
from archspec.ops.merge import MAX_TERMS, Add, Concat, Mul

sizes = st.integers(1, 4)
kinds = st.sampled_from([FLOAT, FLOAT, FLOAT, INT64, INT32, BOOL])


def mostly(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 5)) > 0


@st.composite
def arithmetic(draw: st.DrawFn) -> tuple[Op, list[Shape]]:
    """Inputs that mostly broadcast: batched ones, and learned ones of any rank up to theirs."""
    full = shape(*draw(st.lists(sizes, min_size=1, max_size=3)))
    shapes = []
    for _ in range(draw(st.integers(2, 3))):
        learned = draw(st.integers(0, 2)) == 0
        dims = [dim if dim is N or mostly(draw) else draw(st.just(1) | sizes) for dim in full]
        if learned:
            dims = [1 if mostly(draw) else draw(sizes), *dims[1:]]
            dims = dims[draw(st.integers(0, len(dims) - 1)) :]
            dims = dims if mostly(draw) else [1, *dims]
        elif not mostly(draw):
            dims.insert(1, 1)
        shapes.append(tuple(dims))
    return draw(st.sampled_from([Add(), Mul()])), shapes


@st.composite
def joins(draw: st.DrawFn) -> tuple[Op, list[Shape]]:
    rank = draw(st.integers(1, 4))
    full = shape(*(draw(sizes) for _ in range(rank)))
    dim = draw(st.integers(1, rank)) if mostly(draw) else draw(st.integers(-6, 6))
    shapes = []
    for _ in range(draw(st.integers(2, 3))):
        dims = [
            size if at in (0, dim) or mostly(draw) else draw(sizes) for at, size in enumerate(full)
        ]
        if 0 < dim <= rank:
            dims[dim] = draw(sizes)
        if draw(st.integers(0, 3)) == 0:
            dims[0] = 1 if mostly(draw) else draw(sizes)
        if not mostly(draw):
            dims = dims[:-1] or dims
        shapes.append(tuple(dims))
    return Concat(dim=dim - rank - 1 if draw(st.booleans()) and dim > 0 else dim), shapes


merges = arithmetic() | joins()


def by_hand(op: Op, shapes: list[Shape]) -> Any:
    """The merge in torch; learned tensors are spread over the batch of the first batched one."""

    def join(*tensors: torch.Tensor, dim: int = 1) -> torch.Tensor:
        batches = [x.shape[0] for x, s in zip(tensors, shapes, strict=True) if is_batched(s)]
        parts = [
            x if is_batched(s) or not batches else x.expand(batches[0], *x.shape[1:])
            for x, s in zip(tensors, shapes, strict=True)
        ]
        return torch.cat(parts, dim)

    if isinstance(op, Concat):
        return join
    operation = operator.add if isinstance(op, Add) else operator.mul
    return lambda *tensors: functools.reduce(operation, tensors)


def test_merges_are_accepted_where_torch_runs_them() -> None:
    verdicts: list[bool] = []

    @settings(max_examples=400)
    @given(merges)
    def check(case: tuple[Op, list[Shape]]) -> None:
        op, shapes = case
        verdicts.append(accepts_as_torch(op, shapes, by_hand(op, shapes)))

    check()
    assert 0.3 <= verdicts.count(False) / len(verdicts) <= 0.8


@settings(max_examples=300)
@given(merges, st.data())
def test_saved_memory_and_layout(case: tuple[Op, list[Shape]], data: st.DataObject) -> None:
    op, shapes = case
    assume(is_accepted(op, *shapes))
    batch = data.draw(st.sampled_from([2, 3]))
    tensors: list[torch.Tensor] = []
    for x in shapes:
        if not is_batched(x):
            tensors.append(nn.Parameter(torch.randn(x)))
            continue
        kind = data.draw(kinds)
        tensor = data.draw(strided(concrete(x, batch), kind))
        tensors.append(tensor.requires_grad_(kind.is_float and data.draw(st.booleans())))
    if shapes[0] == shapes[1] and data.draw(st.booleans()):
        tensors[1] = tensors[0]
    compare_record(op, shapes, tensors)


def test_expressions_are_what_one_would_write() -> None:
    x = shape(4, 6)
    assert Add().expression(["a", "b", "c"], [x, x, x]) == "a + b + c"
    assert Mul().expression(["a", "b"], [x, x]) == "a * b"
    assert Concat().expression(["a", "b"], [x, x]) == "torch.cat((a, b), dim=1)"
    spread = Concat().expression(["token", "x"], [(1, 1, 6), x])
    assert spread == "torch.cat((token.expand(x.shape[0], -1, -1), x), dim=1)"


def test_learned_tensors_alone_stay_without_a_batch() -> None:
    assert infer(Add(), [(1, 4, 6), (6,)]) == ((1, 4, 6),)
    assert infer(Concat(), [(1, 4, 6), (1, 2, 6)]) == ((1, 6, 6),)


@pytest.mark.parametrize(
    ("op", "shapes", "code", "message"),
    [
        (
            Add(),
            [shape(3, 4), shape(2, 4)],
            Code.SHAPE,
            "shapes do not broadcast: (N, 3, 4) and (N, 2, 4)",
        ),
        (
            Add(),
            [shape(4), shape(1, 4)],
            Code.MIXES_BATCH,
            "shapes do not broadcast: (N, 4) and (N, 1, 4): the batch would meet another axis",
        ),
        (
            Concat(),
            [shape(3, 4), shape(3, 5)],
            Code.SHAPE,
            "inputs differ at dim 2: (N, 3, 4) and (N, 3, 5)",
        ),
        (
            Concat(dim=0),
            [shape(3, 4), shape(3, 4)],
            Code.MIXES_BATCH,
            "dim 0 is the batch: samples of a batch may not be mixed",
        ),
        (
            Concat(),
            [(2, 1, 6), shape(4, 6)],
            Code.UNBATCHED,
            "a learned tensor is joined to a batch only if its first size is 1",
        ),
        (
            Concat(),
            [shape(4), shape(4, 6)],
            Code.RANK,
            "inputs differ in rank: (N, 4) and (N, 4, 6)",
        ),
        (Mul(), [shape(4)], Code.ARITY, "mul takes two or more inputs, got 1"),
    ],
)
def test_refusals_say_why(op: Op, shapes: list[Shape], code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, shapes)
    assert (refused.value.code, refused.value.message) == (code, message)


@pytest.mark.parametrize("op", [Add(), Mul()])
def test_the_longest_sum_compiles_and_a_longer_one_is_refused(op: Op) -> None:
    names = [f"x{number}" for number in range(MAX_TERMS)]
    x = shape(2)
    assert infer(op, [x] * MAX_TERMS) == (x,)
    compile(op.expression(names, [x] * MAX_TERMS), "sum", "eval")
    with pytest.raises(Refusal, match=f"{MAX_TERMS + 1} inputs of one"):
        infer(op, [x] * (MAX_TERMS + 1))


X = torch.tensor([[-2.0, 0.5, 3.0]])


@pytest.mark.parametrize(
    ("op", "value", "result", "dtype"),
    [
        (Add(other=2), X, [[0.0, 2.5, 5.0]], torch.float32),
        (Add(other=-0.5), X, [[-2.5, 0.0, 2.5]], torch.float32),
        (Mul(other=0.5), X, [[-1.0, 0.25, 1.5]], torch.float32),
        (Mul(other=-2), X, [[4.0, -1.0, -6.0]], torch.float32),
        (Mul(other=0.5), X.half(), [[-1.0, 0.25, 1.5]], torch.float16),
        (Add(other=0), X.long(), [[-2, 0, 3]], torch.int64),
        (Mul(other=0), X.long(), [[0, 0, 0]], torch.int64),
        (Mul(other=3), X.int(), [[-6, 0, 9]], torch.int32),
        (Add(other=1), X > 0, [[1, 2, 2]], torch.int64),
        (Mul(other=5), X > 0, [[0, 5, 5]], torch.int64),
    ],
)
def test_a_number_is_the_other_operand(op, value, result, dtype) -> None:
    y = real(op, [shape(3)])(value)
    assert (y.tolist(), y.dtype) == (result, dtype)


@pytest.mark.parametrize(
    ("op", "written"),
    [(Add(other=2), "x + 2"), (Add(other=-0.5), "x + -0.5"), (Mul(other=1e-05), "x * 1e-05")],
)
def test_a_number_is_written_as_one_would(op: Op, written: str) -> None:
    assert op.expression(["x"], [shape(3)]) == written


@settings(max_examples=150)
@given(
    st.sampled_from([Add(other=2), Mul(other=-3), Add(other=0.5), Mul(other=1.5)]),
    st.lists(sizes, max_size=3).map(lambda dims: shape(*dims)),
    kinds,
    st.data(),
)
def test_layout_of_a_value_beside_a_number(op, x, kind, data) -> None:
    assume(kind.is_float or isinstance(op.other, int))
    tensor = data.draw(strided(concrete(x, 2), kind))
    compare_record(op, [x], [tensor.requires_grad_(kind.is_float and data.draw(st.booleans()))])


def test_one_value_goes_with_a_number_and_no_more() -> None:
    assert infer(Mul(other=0.5), [(1, 4, 6)]) == ((1, 4, 6),)
    with pytest.raises(Refusal) as refused:
        infer(Add(other=1), [shape(4), shape(4)])
    assert refused.value.code == Code.ARITY
    assert refused.value.message == "add takes one input beside a number, got 2"
    assert refused.value.help == "join the others in a node before it, or leave the number out"


@pytest.mark.parametrize("other", [True, "2", float("nan"), float("inf"), 1e39, (1, 2)])
def test_what_is_no_number_is_refused(other) -> None:
    with pytest.raises(ArgumentsError):
        Add(other=other)


def test_a_whole_number_stays_one() -> None:
    assert [type(Add(other=number).other) for number in (2, 2.0, 2**31)] == [int, float, float]


@pytest.mark.parametrize(
    ("kind", "node"), [(FLOAT, "scale: 2"), (INT64, "mul: {other: 2}"), (BOOL, None)]
)
def test_a_sum_of_one_value_has_another_spelling(kind, node) -> None:
    assert Add().of_one_value(2, kind) == node
