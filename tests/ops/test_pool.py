"""Pooling against torch: last windows, padding limits, null sizes, saved memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch_oracle import accepts_as_torch, compare_record, is_accepted, one_or_each, shape, strided

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import Shape, concrete
from archspec.ops.pool import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    GlobalAvgPool2d,
    MaxPool2d,
)

BY_HAND = {
    MaxPool2d: nn.MaxPool2d,
    AvgPool2d: nn.AvgPool2d,
    AdaptiveAvgPool2d: nn.AdaptiveAvgPool2d,
    AdaptiveMaxPool2d: nn.AdaptiveMaxPool2d,
}


windows = {
    "kernel_size": one_or_each(st.integers(1, 4)),
    "stride": st.none() | one_or_each(st.integers(1, 4)),
    "padding": st.just(0) | st.just(0) | one_or_each(st.integers(0, 2)),
    "ceil_mode": st.booleans(),
}
window_poolings = st.builds(
    MaxPool2d, **windows, dilation=st.just(1) | one_or_each(st.integers(1, 3))
) | st.builds(
    AvgPool2d,
    **windows,
    count_include_pad=st.booleans(),
    divisor_override=st.none() | st.integers(1, 5),
)
output_sizes = st.integers(1, 5) | st.tuples(*[st.none() | st.integers(1, 5)] * 2)
adaptive_poolings = st.builds(AdaptiveAvgPool2d, output_size=output_sizes) | st.builds(
    AdaptiveMaxPool2d, output_size=output_sizes
)
images = st.builds(shape, st.integers(1, 3), st.integers(2, 9), st.integers(1, 9))


def by_hand(op: Op) -> Any:
    return lambda x, **arguments: BY_HAND[type(op)](**arguments)(x)


def test_windows_are_accepted_where_torch_pools() -> None:
    verdicts: list[bool] = []

    @settings(max_examples=300)
    @given(window_poolings, images | images | images | images | st.builds(shape, st.just(4)))
    def check(op: Op, x: Shape) -> None:
        verdicts.append(accepts_as_torch(op, [x], by_hand(op)))

    check()
    assert 0.3 <= verdicts.count(False) / len(verdicts) <= 0.8


@settings(max_examples=80)
@given(adaptive_poolings, images)
def test_adaptive_pooling_reaches_any_size(op: Op, x: Shape) -> None:
    assert accepts_as_torch(op, [x], by_hand(op))


@settings(max_examples=250)
@given(window_poolings | adaptive_poolings | st.just(GlobalAvgPool2d()), images, st.data())
def test_saved_memory_and_layout(op: Op, x: Shape, data: st.DataObject) -> None:
    assume(is_accepted(op, x))
    tensor = data.draw(strided(concrete(x, data.draw(st.sampled_from([2, 3])))))
    compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


def test_global_pooling_is_the_mean_of_each_channel() -> None:
    x = torch.randn(2, 3, 5, 4)
    module = GlobalAvgPool2d().build(shape(3, 5, 4))
    assert torch.equal(module(x), functional.adaptive_avg_pool2d(x, 1))
    assert infer(GlobalAvgPool2d(), [shape(3, 5, 4)]) == (shape(3, 1, 1),)


@pytest.mark.parametrize(
    ("op", "x", "code", "message"),
    [
        (
            MaxPool2d(kernel_size=(2, 3), padding=(1, 2)),
            shape(3, 9, 9),
            Code.ARGUMENT,
            "padding 2 is more than half the kernel size 3",
        ),
        (
            MaxPool2d(kernel_size=3, dilation=2, padding=1),
            shape(3, 4, 2),
            Code.SHAPE,
            "the window of 5 does not fit width 2 padded to 4",
        ),
        (
            AvgPool2d(kernel_size=3),
            shape(3, 2, 3),
            Code.SHAPE,
            "the window of 3 does not fit height 2",
        ),
        # torch gives -inf there, and writes past the end of its memory in backward.
        (
            MaxPool2d(kernel_size=2, dilation=2, stride=1, padding=(0, 1)),
            shape(3, 5, 1),
            Code.EMPTY,
            "the width of the first window holds nothing but padding: it reaches past all 1 of "
            "the input",
        ),
        # torch would take N for the channels of one image: a documented rule.
        (
            AvgPool2d(kernel_size=2),
            shape(4, 4),
            Code.UNBATCHED,
            "needs 4-D input (N included), got 3-D",
        ),
    ],
)
def test_refusals_say_why(op: Op, x: Shape, code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, [x])
    assert (refused.value.code, refused.value.message) == (code, message)


@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel_size=st.integers(1, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 5),
    ceil_mode=st.booleans(),
    data=st.data(),
)
def test_every_window_that_is_accepted_holds_an_element(
    sizes: tuple[int, int],
    kernel_size: int,
    stride: int,
    dilation: int,
    ceil_mode: bool,
    data: st.DataObject,
) -> None:
    op = MaxPool2d(
        kernel_size=kernel_size,
        stride=stride,
        padding=data.draw(st.integers(0, kernel_size // 2)),
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    x = shape(1, *sizes)
    pooled = op.build(x)(torch.zeros(1, 1, *sizes)) if is_accepted(op, x) else None
    assert pooled is None or bool(pooled.isfinite().all())
    if pooled is None:
        # What is refused does not run either, or has a window without an element.
        try:
            with_nothing = op.build(x)(torch.zeros(1, 1, *sizes)).isinf().any()
        except RuntimeError:
            return
        assert bool(with_nothing)


def test_a_first_window_between_which_the_input_falls_is_refused() -> None:
    # Dilated by 3 from -1 on, the window reads -1 and 2: of two numbers neither, of three the last.
    op = MaxPool2d(kernel_size=2, padding=1, dilation=3)
    with pytest.raises(Refusal, match="first window holds nothing but padding") as refused:
        infer(op, [shape(1, 2, 2)])
    assert refused.value.code is Code.EMPTY
    assert infer(op, [shape(1, 3, 3)]) == (shape(1, 1, 1),)


@pytest.mark.parametrize("pool", ["{max_pool2d: 2}", "{adaptive_avg_pool2d: 2}"])
def test_a_linear_layer_behind_a_pool_is_warned_of(pool: str) -> None:
    arch = archspec.loads(f"input: [3, 8, 8]\nlayers: [{pool}, {{linear: 4}}]")
    assert [warning.code for warning in arch.warnings] == [Code.LINEAR_ON_IMAGE]
