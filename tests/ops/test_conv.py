"""Convolutions against torch: acceptance in both directions, sizes, costs and saved memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch_oracle import accepts_as_torch, compare_record, is_accepted, one_or_each, shape, strided

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import Shape, concrete
from archspec.ops.conv import Conv1d, Conv2d, ConvTranspose2d

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

MODULES: dict[type[Op], type[nn.Module]] = {
    Conv1d: nn.Conv1d,
    Conv2d: nn.Conv2d,
    ConvTranspose2d: nn.ConvTranspose2d,
}


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Op, Shape]:
    axes = draw(st.sampled_from([1, 2, 2]))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    uneven = draw(st.integers(0, 9)) == 0
    arguments: dict[str, Any] = {
        "out_channels": groups * draw(st.integers(1, 2)) + uneven,
        "kernel_size": draw(one_or_each(st.integers(1, 4), axes)),
        "stride": draw(st.just(1) | one_or_each(st.integers(1, 3), axes)),
        "padding": draw(one_or_each(st.integers(0, 3), axes) | st.sampled_from(["same", "valid"])),
        "dilation": draw(st.just(1) | one_or_each(st.integers(1, 3), axes)),
        "groups": groups,
        "bias": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
    }
    channels = groups * draw(st.integers(1, 2)) + (draw(st.integers(0, 9)) == 0)
    rank = axes + (draw(st.integers(-1, 1)) if draw(st.integers(0, 9)) == 0 else 0)
    sizes = [draw(st.integers(1, 7)) for _ in range(rank)]
    return (Conv1d if axes == 1 else Conv2d)(**arguments), shape(channels, *sizes)


@st.composite
def transposed(draw: st.DrawFn) -> tuple[Op, Shape]:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    op = ConvTranspose2d(
        out_channels=groups * draw(st.integers(1, 2)) + (draw(st.integers(0, 9)) == 0),
        kernel_size=draw(one_or_each(st.integers(1, 4), 2)),
        stride=draw(one_or_each(st.integers(1, 3), 2)),
        padding=draw(st.just(0) | one_or_each(st.integers(0, 2), 2)),
        output_padding=draw(st.just(0) | one_or_each(st.integers(0, 2), 2)),
        groups=groups,
        bias=draw(st.booleans()),
        dilation=draw(st.just(1) | one_or_each(st.integers(1, 3), 2)),
    )
    channels = groups * draw(st.integers(1, 2)) + (draw(st.integers(0, 9)) == 0)
    sizes = [draw(st.integers(1, 5)) for _ in range(draw(st.sampled_from([2] * 12 + [1, 3])))]
    return op, shape(channels, *sizes)


def by_hand(op: Op) -> Any:
    def run(x: torch.Tensor, **arguments: Any) -> torch.Tensor:
        module = MODULES[type(op)]
        kept = {key: arguments.pop(key) for key in ("out_channels", "kernel_size")}
        return module(x.shape[1], *kept.values(), **arguments)(x)  # type: ignore[no-any-return]

    return run


def check_acceptance(cases: st.SearchStrategy[tuple[Op, Shape]], examples: int) -> None:
    verdicts: list[bool] = []

    @settings(max_examples=examples)
    @given(cases)
    def check(case: tuple[Op, Shape]) -> None:
        op, x = case
        verdicts.append(accepts_as_torch(op, [x], by_hand(op)))

    check()
    assert 0.3 <= verdicts.count(False) / len(verdicts) <= 0.8


def test_convolutions_are_accepted_where_torch_runs_them() -> None:
    check_acceptance(convolutions(), 400)


def test_transposed_convolutions_are_accepted_where_torch_runs_them() -> None:
    check_acceptance(transposed(), 200)


@settings(max_examples=200)
@given(convolutions() | transposed(), st.data())
def test_saved_memory_and_layout(case: tuple[Op, Shape], data: st.DataObject) -> None:
    op, x = case
    assume(is_accepted(op, x))
    sizes = concrete(x, data.draw(st.sampled_from([2, 3])))
    # Of one pixel in groups the layout is ambiguous, and torch's answer depends on its threads.
    ambiguous = op.groups > 1 and {1} in (set(x[2:]), set(infer(op, [x])[0][2:]))
    tensor = torch.randn(sizes) if ambiguous else data.draw(strided(sizes))
    compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


@pytest.mark.parametrize(
    ("op", "x", "code", "message"),
    [
        (
            Conv2d(out_channels=8, kernel_size=7),
            shape(3, 5, 9),
            Code.SHAPE,
            "the window of 7 does not fit height 5",
        ),
        (
            Conv2d(out_channels=8, kernel_size=3, dilation=4, padding=(2, 1)),
            shape(3, 9, 6),
            Code.SHAPE,
            "the window of 9 does not fit width 6 padded to 8",
        ),
        (
            Conv2d(out_channels=8, kernel_size=3, padding="same", stride=2),
            shape(3, 9, 9),
            Code.ARGUMENT,
            "padding 'same' needs stride 1",
        ),
        (
            Conv2d(out_channels=8, kernel_size=3, groups=4),
            shape(6, 9, 9),
            Code.SHAPE,
            "cannot divide input channels by groups: 6 is not a multiple of 4",
        ),
        (
            Conv1d(out_channels=8, kernel_size=3, padding=4, padding_mode="reflect"),
            shape(6, 4),
            Code.SHAPE,
            "width (padding_mode 'reflect' with padding 4) is 4, below 5",
        ),
        (
            ConvTranspose2d(out_channels=1, kernel_size=1, padding=1),
            shape(1, 2, 4),
            Code.EMPTY,
            "height of the output would be 0",
        ),
        (
            ConvTranspose2d(out_channels=1, kernel_size=3, stride=2, output_padding=2),
            shape(1, 4, 4),
            Code.ARGUMENT,
            "output_padding 2 of the height is not below its stride or its dilation",
        ),
        (
            Conv2d(out_channels=8, kernel_size=3),
            shape(10),
            Code.RANK,
            "needs 4-D input (N included), got 2-D",
        ),
    ],
)
def test_refusals_say_why(op: Op, x: Shape, code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, [x])
    assert (refused.value.code, refused.value.message) == (code, message)


@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_a_part_of_a_channels_last_image_gives_a_channels_last_one(kind: type[Op]) -> None:
    x = torch.randn(2, 5, 4, 6)[..., :3].movedim(-1, 1)
    op = kind(out_channels=4, kernel_size=3)
    assert op.build(shape(3, 5, 4))(x).is_contiguous(memory_format=torch.channels_last)
    compare_record(op, [shape(3, 5, 4)], [x])
