"""Resizing against torch: which modes work on which ranks, and how scaled sizes round."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch_oracle import accepts_as_torch, compare_record, is_accepted, shape, strided

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import Shape, concrete
from archspec.ops.resize import Interpolate, Upsample

MODES = ["nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear"]

# Decimal factors, whose products with a size may fall just below a whole number.
factors = st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.1, 1.5, 2, 2.3, 3]) | st.floats(0.1, 4)


def spread(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3).map(tuple)


@st.composite
def resizings(draw: st.DrawFn) -> tuple[Op, Shape]:
    arguments: dict[str, Any] = {"mode": draw(st.sampled_from(MODES))}
    given_size = draw(st.integers(0, 11))
    if given_size < 6:
        arguments["size"] = draw(spread(st.integers(1, 6)))
    if given_size > 4:
        arguments["scale_factor"] = draw(spread(factors))
    if draw(st.integers(0, 2)) == 0:
        arguments["align_corners"] = draw(st.booleans())
    rank = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}.get(
        arguments["mode"], draw(st.integers(1, 3))
    )
    if draw(st.integers(0, 9)) == 0:
        rank = draw(st.integers(0, 4))
    sizes = [draw(st.integers(1, 12 if rank < 3 else 4)) for _ in range(rank)]
    op = draw(st.sampled_from([Upsample, Interpolate]))
    return op(**arguments), shape(draw(st.integers(1, 3)), *sizes)


def test_resizing_is_accepted_where_torch_resizes() -> None:
    verdicts: list[bool] = []

    @settings(max_examples=300)
    @given(resizings())
    def check(case: tuple[Op, Shape]) -> None:
        op, x = case
        verdicts.append(accepts_as_torch(op, [x], functional.interpolate))

    check()
    assert 0.3 <= verdicts.count(False) / len(verdicts) <= 0.8


@settings(max_examples=200)
@given(resizings(), st.data())
def test_saved_memory_and_layout(case: tuple[Op, Shape], data: st.DataObject) -> None:
    op, x = case
    assume(is_accepted(op, x))
    tensor = data.draw(strided(concrete(x, data.draw(st.sampled_from([2, 3])))))
    compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("sizes", [(2, 3, 4, 4), (2, 3, 4, 4, 4)])
def test_area_keeps_the_layout_of_a_single_element(sizes: tuple[int, ...], size: int) -> None:
    # What follows asks the strides for the layout, those of axes of size 1 among them.
    channels_last = torch.randn(sizes[0], *sizes[2:], sizes[1]).movedim(-1, 1)
    compare_record(Upsample(size=size, mode="area"), [shape(*sizes[1:])], [channels_last])


@pytest.mark.parametrize(
    ("arguments", "x", "code", "message"),
    [
        ({}, shape(3, 4, 4), Code.MISSING_ARGUMENT, "upsample needs either size or scale_factor"),
        (
            {"size": 8, "align_corners": False},
            shape(3, 4, 4),
            Code.ARGUMENT,
            "mode 'nearest' knows no align_corners",
        ),
        (
            {"size": 8, "mode": "bilinear"},
            shape(3, 4),
            Code.RANK,
            "needs 4-D input (N included), got 3-D",
        ),
        (
            {"scale_factor": (2, 2)},
            shape(3, 4),
            Code.SHAPE,
            "2 values are given for 1 axes after the channels",
        ),
        ({"scale_factor": 0.2}, shape(3, 4), Code.EMPTY, "size 4 scaled by 0.2 would be 0"),
    ],
)
def test_refusals_say_why(arguments: dict[str, Any], x: Shape, code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(Upsample(**arguments), [x])
    assert (refused.value.code, refused.value.message) == (code, message)
