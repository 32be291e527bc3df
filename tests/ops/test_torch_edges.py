"""Edges where a rule and torch could part: judged by torch, with the tape held to real strides."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torch_oracle import accepts_as_torch, compare_record, is_accepted, shape

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ops.matmul import MatMul
from archspec.ops.parameter import ParameterOp
from archspec.ops.pool import MaxPool2d
from archspec.ops.reshape import Chunk, Flatten
from archspec.ops.resize import Interpolate


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_first_window_of_padding_alone_is_refused(size: int, dilation: int):
    """By hand: padded by 1, a window of 2 reads -1 and -1 + dilation, which must lie inside."""
    op = MaxPool2d(kernel_size=2, stride=1, padding=1, dilation=dilation)
    accepted = is_accepted(op, shape(3, size, 9))
    assert accepted is (dilation - 1 < size)
    if accepted:
        values = F.max_pool2d(torch.zeros(1, 3, size, 9), 2, 1, 1, dilation)
        assert bool(values.isfinite().all())


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 4, 1, 2, 3), (0, 2, 1, 4, 3)])
@pytest.mark.parametrize("size", [1, 2, (1, 1, 2)])
def test_areas_of_volumes_have_torch_s_layout(size, order):
    x = torch.randn(3, 4, 5, 6, 2, requires_grad=True).permute(order)
    compare_record(Interpolate(size=size, mode="area"), [shape(*x.shape[1:])], [x])


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, -4), (2, 2), (-1, 3), (0, 1), (1, 0)])
def test_flattening_one_axis_changes_nothing_the_batch_included(start: int, end: int):
    op = Flatten(start_dim=start, end_dim=end)

    def direct(x, **_):
        return nn.Flatten(start, end)(x)

    one = start % 4 == end % 4
    assert accepts_as_torch(op, [shape(2, 3, 4)], direct) is one
    if one:
        assert infer(op, [shape(2, 3, 4)]) == (shape(2, 3, 4),)


def test_a_thousand_chunks_and_no_more():
    assert len(infer(Chunk(chunks=1000), [shape(1000)])) == 1000
    with pytest.raises(Refusal, match=r"1,001 chunks") as caught:
        infer(Chunk(chunks=1001), [shape(1001)])
    assert (caught.value.code, caught.value.expected) == (Code.LIMIT, "at most 1,000")


@pytest.mark.parametrize(("low", "high"), [(-3e38, 3e38), (-1.8e38, 1.8e38)])
def test_bounds_further_apart_than_float32_reaches_are_refused(low: float, high: float):
    with pytest.raises(RuntimeError, match=r"to-from|max|range|overflow"):
        nn.init.uniform_(torch.empty(3), low, high)
    with pytest.raises(ValueError, match="further than float32 reaches"):
        ParameterOp(shape=(3,), init="uniform", low=low, high=high)


def test_bounds_that_float32_just_reaches_are_drawn_from():
    drawn = ParameterOp(shape=(1000,), init="uniform", low=-1.6e38, high=1.6e38).build().detach()
    assert bool(drawn.isfinite().all()) and -1.6e38 <= float(drawn.min()) < -1.5e38


@pytest.mark.parametrize("part", [0, 1])
def test_a_factor_that_is_a_part_of_another_is_copied_as_torch_copies_it(part: int):
    """Half of (N, 2, 3, 4) meets two matrices: its strides look as if it were whole."""
    half = torch.randn(3, 2, 3, 4, requires_grad=True).chunk(2, 1)[part]
    other = torch.randn(3, 2, 4, 5, requires_grad=True)
    compare_record(MatMul(), [shape(1, 3, 4), shape(2, 4, 5)], [half, other])


def test_facts_that_warnings_ask_for_are_those_of_the_named_ops():
    found = {
        fact: {name for name, kind in REGISTRY.items() if getattr(kind, fact)}
        for fact in ("drops", "gives_probabilities", "passes_through")
    }
    assert {"dropout", "alpha_dropout"} & found["drops"] and "relu" not in found["drops"]
    assert "softmax" in found["gives_probabilities"]
    assert not {"relu", "linear", "conv2d"} & (found["gives_probabilities"] | found["drops"])
    assert "identity" in found["passes_through"] and "relu" not in found["passes_through"]
