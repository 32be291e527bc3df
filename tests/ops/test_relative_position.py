"""Relative positions against torchvision's Swin Transformer and MaxViT."""

from __future__ import annotations

import pytest
import torch

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.shape import N
from archspec.ops.relative_position import RelativePositionBias, RelativePositionCoordinates

NET = """
archspec: 1
name: biased
input: [2, 6, 6]
layers:
  - {name: table, parameter: {shape: [15, 2], init: normal}}
  - {name: positions, relative_position_bias: [2, 3]}
  - add: [input, positions]
"""


@pytest.mark.parametrize("window", [(2, 3), (4, 4), (1, 5)])
def test_bias_is_that_of_swin(window: tuple[int, int]) -> None:
    swin = pytest.importorskip("torchvision.models.swin_transformer")
    attention = swin.ShiftedWindowAttention(4, list(window), [0, 0], num_heads=2)
    table = attention.relative_position_bias_table
    op = RelativePositionBias(window=window)
    index = op.build(tuple(table.shape))
    assert torch.equal(index, attention.relative_position_index)
    source = op.call("index", ["table"], [tuple(table.shape)])
    bias = archspec_value(source, index=index, table=table)
    assert torch.equal(bias, attention.get_relative_position_bias())
    assert tuple(bias.shape) == infer(op, [tuple(table.shape)])[0]


def test_index_of_a_volume_is_that_of_video_swin() -> None:
    swin = pytest.importorskip("torchvision.models.video.swin_transformer")
    attention = swin.ShiftedWindowAttention3d(4, [2, 3, 2], [0, 0, 0], num_heads=2)
    table = attention.relative_position_bias_table
    op = RelativePositionBias(window=(2, 3, 2), flat=False)
    index = op.build(tuple(table.shape))
    assert torch.equal(index, attention.relative_position_index)
    bias = archspec_value(
        op.call("index", ["table"], [tuple(table.shape)]), index=index, table=table
    )
    assert torch.equal(bias, attention.get_relative_position_bias([2, 3, 2]))


def archspec_value(source: str, **values: torch.Tensor) -> torch.Tensor:
    """The value of an expression that an op gave."""
    result: torch.Tensor = eval(source, {"torch": torch, **values})
    return result


def test_index_of_maxvit_is_a_matrix() -> None:
    maxvit = pytest.importorskip("torchvision.models.maxvit")
    attention = maxvit.RelativePositionalMultiHeadAttention(8, 4, 9)
    index = RelativePositionBias(window=(3, 3), flat=False).build((25, 2))
    assert torch.equal(index, attention.relative_position_index)


def test_coordinates_are_those_of_swin_v2() -> None:
    swin = pytest.importorskip("torchvision.models.swin_transformer")
    attention = swin.ShiftedWindowAttentionV2(4, [3, 5], [0, 0], num_heads=2)
    found = RelativePositionCoordinates(window=(3, 5)).build()
    assert torch.equal(found, attention.relative_coords_table)


def test_a_window_of_one_cell_has_one_offset() -> None:
    assert RelativePositionCoordinates(window=(1, 1)).build().tolist() == [[[[0.0, 0.0]]]]


def test_index_is_a_buffer_under_its_own_path() -> None:
    net = archspec.loads(NET).build()
    assert [name for name, _ in net.named_parameters()] == ["table"]
    assert [name for name, _ in net.named_buffers()] == ["positions"]
    assert set(net.state_dict()) == {"table", "positions"}
    assert net.double().positions.dtype == torch.int64
    x = torch.zeros(3, 2, 6, 6, dtype=torch.float64)
    # Tokens 0 and 5 lie at opposite corners of the 2 x 3 window: the first and last offsets.
    assert torch.equal(net(x)[1, :, 0, 5], net.table[0])
    assert torch.equal(net(x)[1, :, 5, 0], net.table[14])


def test_spec_with_buffers_verifies() -> None:
    report = archspec.loads(NET).verify()
    assert report.ok, str(report)
    assert report.no_gradient == []


@pytest.mark.parametrize(
    ("table", "code", "message"),
    [
        ((16, 2), Code.SHAPE, "a window of (2, 3) needs a table of 15 rows, got (16, 2)"),
        ((), Code.SHAPE, "a window of (2, 3) needs a table of 15 rows, got ()"),
        ((N, 15, 2), Code.MIXES_BATCH, "the table of biases is (N, 15, 2), one for each sample"),
    ],
)
def test_other_tables_are_refused(table: tuple[int, ...], code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(RelativePositionBias(window=(2, 3)), [table])
    assert (refused.value.code, refused.value.message) == (code, message)
