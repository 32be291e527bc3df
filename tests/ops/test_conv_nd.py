"""Convolutions over volumes and transposed ones over one axis, against torch and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_oracle import accepts_as_torch, compare_record, is_accepted, one_or_each, shape, strided

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import Shape, concrete
from archspec.ops.conv_nd import Conv3d, ConvTranspose1d, ConvTranspose3d

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

MODULES: dict[type[Op], Any] = {
    Conv3d: nn.Conv3d,
    ConvTranspose1d: nn.ConvTranspose1d,
    ConvTranspose3d: nn.ConvTranspose3d,
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[Op, Shape]:
    kind = draw(st.sampled_from([Conv3d, ConvTranspose1d, ConvTranspose3d]))
    groups, axes = draw(st.sampled_from([1, 1, 2])), 1 if kind is ConvTranspose1d else 3
    arguments: dict[str, Any] = {
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": draw(one_or_each(st.integers(1, 3), axes)),
        "stride": draw(st.just(1) | one_or_each(st.integers(1, 3), axes)),
        "padding": draw(one_or_each(st.integers(0, 2), axes)),
        "dilation": draw(st.just(1) | one_or_each(st.integers(1, 2), axes)),
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    if kind is Conv3d:
        arguments["padding_mode"] = draw(st.sampled_from(["zeros", "reflect", "circular"]))
        arguments["padding"] = draw(st.just(arguments["padding"]) | st.sampled_from(["same"]))
    else:
        arguments["output_padding"] = draw(st.just(0) | one_or_each(st.integers(0, 2), axes))
    sizes = [draw(st.integers(1, 5)) for _ in range(axes + (draw(st.integers(0, 9)) == 0))]
    return kind(**arguments), shape(groups * draw(st.integers(1, 2)), *sizes)


def by_hand(op: Op) -> Any:
    def run(x: torch.Tensor, **arguments: Any) -> Any:
        kept = [arguments.pop(key) for key in ("out_channels", "kernel_size")]
        return MODULES[type(op)](x.shape[1], *kept, **arguments)(x)

    return run


def test_calls_are_accepted_where_torch_runs_them() -> None:
    verdicts: list[bool] = []

    @settings(max_examples=60)
    @given(calls())
    def check(call: tuple[Op, Shape]) -> None:
        op, x = call
        verdicts.append(accepts_as_torch(op, [x], by_hand(op)))

    check()
    assert 0.2 <= verdicts.count(True) / len(verdicts) <= 0.9


@settings(max_examples=60)
@given(calls(), st.data())
def test_saved_memory_and_layout(call: tuple[Op, Shape], data: st.DataObject) -> None:
    op, x = call
    if is_accepted(op, x):
        compare_record(op, [x], [data.draw(strided(concrete(x, 2))).requires_grad_()])


def test_costs_are_those_of_the_definition() -> None:
    op = Conv3d(out_channels=6, kernel_size=(1, 3, 2), padding=(0, 1, 0), groups=3)
    x = shape(3, 4, 5, 6)
    assert infer(op, [x]) == (shape(6, 4, 5, 5),)
    # Each of 6 x 4 x 5 x 5 results adds up 1 channel of its group times 1 x 3 x 2 weights.
    assert op.macs([x], infer(op, [x])) == 600 * 6
    grown = ConvTranspose1d(out_channels=2, kernel_size=4, stride=2, padding=1)
    assert infer(grown, [shape(3, 5)]) == (shape(2, 10),)
    # Each of 5 x 3 inputs is spread by 4 weights to 2 channels.
    assert grown.macs([shape(3, 5)], infer(grown, [shape(3, 5)])) == 120


@pytest.mark.parametrize(
    ("op", "x", "code", "message"),
    [
        (
            Conv3d(out_channels=2, kernel_size=(5, 1, 1)),
            shape(2, 4, 9, 9),
            Code.SHAPE,
            "the window of 5 does not fit depth 4",
        ),
        (
            ConvTranspose3d(out_channels=2, kernel_size=1, padding=(0, 1, 0)),
            shape(2, 4, 2, 4),
            Code.EMPTY,
            "height of the output would be 0",
        ),
        (
            ConvTranspose1d(out_channels=2, kernel_size=3, output_padding=1),
            shape(2, 4),
            Code.ARGUMENT,
            "output_padding 1 of the width is not below its stride or its dilation",
        ),
    ],
)
def test_refusals_name_the_axis(op: Op, x: Shape, code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, [x])
    assert (refused.value.code, refused.value.message) == (code, message)


@pytest.mark.parametrize(
    ("op", "function"),
    [
        (Conv3d(out_channels=2, kernel_size=1), "conv3d"),
        (ConvTranspose1d(out_channels=2, kernel_size=1), "conv_transpose1d"),
        (ConvTranspose3d(out_channels=2, kernel_size=1), "conv_transpose3d"),
    ],
)
def test_weights_of_others_go_to_the_function_of_its_axes(op: Op, function: str) -> None:
    source = op.with_weights(["x"], {"weight": "w", "bias": "b"}, [shape(2, 3)])
    assert source.startswith(f"torch.nn.functional.{function}(x, w, b, stride=1")
