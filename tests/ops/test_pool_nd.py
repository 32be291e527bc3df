"""Pooling over one axis and three, of largest values and by powers, against torch and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_oracle import compare_record, is_accepted, shape, strided

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import concrete
from archspec.ops.pool_nd import AvgPool3d, GlobalMaxPool2d, LPPool1d, LPPool3d, MaxPool1d

SIZES = {1: (7,), 2: (6, 5), 3: (4, 6, 5)}
WINDOWED = [f"{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 3)]
OUTPUT = [f"adaptive_{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 3)]
GLOBAL = ["global_avg_pool1d", "global_avg_pool3d", *(f"global_max_pool{n}d" for n in (1, 2, 3))]
POWERS = [f"lp_pool{n}d" for n in (1, 2, 3)]


def made(name: str, size: int) -> Op:
    arguments: dict[str, Any] = {}
    if name in OUTPUT:
        arguments = {"output_size": size}
    elif name not in GLOBAL:
        arguments = {"kernel_size": size, "stride": 2, "ceil_mode": size == 2}
    return REGISTRY[name](**arguments, **({"norm_type": 3} if name in POWERS else {}))


@settings(max_examples=150)
@given(
    st.sampled_from([*WINDOWED, *OUTPUT, *GLOBAL, *POWERS]), st.integers(1, 3), st.booleans(),
    st.data(),
)  # fmt: skip
def test_saved_memory_and_layout(name: str, size: int, learns: bool, data: st.DataObject) -> None:
    op, x = made(name, size), shape(3, *SIZES[int(name[-2])])
    assert is_accepted(op, x)
    tensor = data.draw(strided(concrete(x, 2)))
    compare_record(op, [x], [tensor.requires_grad_(learns)])


@pytest.mark.parametrize("name", ["max_pool3d", *OUTPUT[1::2], *GLOBAL])
def test_layout_of_pools_of_inputs_with_channels_innermost(name: str) -> None:
    n = int(name[-2])
    x = torch.randn(2, *SIZES[n], 3).movedim(-1, 1).requires_grad_()
    compare_record(made(name, 1), [shape(*x.shape[1:])], [x])


def test_a_sum_of_powers_is_that_of_the_definition() -> None:
    x = torch.tensor([[[3.0, 4.0, 6.0, 8.0, 1.0]]])
    pooled = LPPool1d(norm_type=2, kernel_size=2).build(shape(1, 5))(x)
    torch.testing.assert_close(pooled, torch.tensor([[[5.0, 10.0]]]))


def test_global_pools_give_the_largest_and_the_mean_of_each_channel() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(GlobalMaxPool2d().build(shape(3, 4, 5))(x)[..., 0, 0], x.amax((2, 3)))
    volume = torch.randn(2, 3, 4, 5, 6)
    mean = REGISTRY["global_avg_pool3d"]().build(shape(3, 4, 5, 6))(volume)
    torch.testing.assert_close(mean[..., 0, 0, 0], volume.mean((2, 3, 4)))


@pytest.mark.parametrize(
    ("op", "sizes", "code", "message"),
    [
        (
            MaxPool1d(kernel_size=3, padding=2),
            (3, 9),
            Code.ARGUMENT,
            "padding 2 is more than half the kernel size 3",
        ),
        # The batch would be read as the channels of one sample.
        (MaxPool1d(kernel_size=2), (9,), Code.UNBATCHED, "needs 3-D input (N included), got 2-D"),
        (
            AvgPool3d(kernel_size=(5, 1, 1), padding=(1, 0, 0)),
            (3, 4, 4, 4),
            Code.SHAPE,
            "depth (under a window of 5) is 4, below 5",
        ),
        (
            LPPool3d(norm_type=0, kernel_size=1),
            (3, 4, 4, 4),
            Code.ARGUMENT,
            "there is no root of degree 0",
        ),
    ],
)
def test_refusals_say_why(op: Op, sizes: tuple[int, ...], code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, [shape(*sizes)])
    assert (refused.value.code, refused.value.message) == (code, message)


def test_torch_refuses_to_average_over_windows_longer_than_a_padded_volume() -> None:
    with pytest.raises(RuntimeError, match="smaller than kernel size"):
        nn.AvgPool3d((5, 1, 1), padding=(1, 0, 0))(torch.zeros(1, 1, 4, 4, 4))


VOLUMES = """
input: [1, 8, 8, 8]
layers:
  - conv3d: {out_channels: 4, kernel_size: 3, padding: 1, bias: false}
  - batch_norm
  - {name: skip, relu: }
  - max_pool3d: 2
  - conv3d: {out_channels: 8, kernel_size: 3, padding: 1}
  - instance_norm: {affine: true}
  - dropout: 0.2
  - {name: up, conv_transpose3d: {out_channels: 4, kernel_size: 2, stride: 2}}
  - concat: [up, skip]
  - interpolate: {scale_factor: 0.5, mode: trilinear, align_corners: false}
  - upsample: {size: [3, 5, 4], mode: trilinear}
  - group_norm: 2
  - global_avg_pool3d
  - flatten
  - linear: 3
"""
SIGNALS = """
input: [2, 16]
layers:
  - conv1d: {out_channels: 4, kernel_size: 3, padding: 1, bias: false}
  - batch_norm
  - {name: skip, relu: }
  - max_pool1d: 2
  - instance_norm
  - dropout: 0.2
  - {name: up, conv_transpose1d: {out_channels: 4, kernel_size: 2, stride: 2}}
  - add: [up, skip]
  - upsample: {scale_factor: 2, mode: linear}
  - global_max_pool1d
  - flatten
  - linear: 3
"""


@pytest.mark.parametrize("text", [VOLUMES, SIGNALS])
def test_networks_of_volumes_and_signals_are_as_stated(text: str) -> None:
    report = archspec.loads(text).verify((2, 3))
    assert report.ok, report
