"""Slices, margins and cyclic shifts against torch, views and copies included."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torch_oracle import accepts_as_torch, compare_record, is_accepted, real, shape, strided

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import Shape, concrete
from archspec.ops.slicing import Pad, Roll, Slice

inputs = st.lists(st.integers(1, 5), max_size=4).map(lambda sizes: shape(*sizes))
dims = st.integers(-4, 4)
places = st.integers(-7, 7)
slices = st.builds(Slice, dim=dims, start=places, end=st.none() | places, step=st.integers(1, 3))
pads = st.builds(
    Pad,
    pad=st.lists(st.integers(0, 2), max_size=6).map(tuple),
    value=st.sampled_from([0.0, -1.5]),
)


@st.composite
def margins(draw: st.DrawFn) -> tuple[Pad, Shape]:
    """Margins of the last axes, or of one more, beside those of the batch and the channels."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    axes = max(1, len(sizes) + draw(st.sampled_from([0, 0, 0, -1, 1])))
    widths = draw(st.lists(st.integers(-1, 3), min_size=2 * axes, max_size=2 * axes))
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    return Pad(pad=tuple(widths), mode=mode), shape(2, *sizes)


@st.composite
def rolls(draw: st.DrawFn) -> Roll:
    if draw(st.booleans()):
        return Roll(shifts=draw(places), dims=draw(dims))
    count = draw(st.integers(1, 3))
    lengths = st.lists(places, min_size=count, max_size=count + draw(st.integers(0, 1)))
    axes = st.lists(dims, min_size=count, max_size=count)
    return Roll(shifts=tuple(draw(lengths)), dims=tuple(draw(axes)))


def sliced_by_hand(
    x: torch.Tensor, dim: int, start: int = 0, end: int | None = None, step: int = 1
) -> torch.Tensor:
    index = list(range(x.shape[dim]))[start:end:step]
    return x.index_select(dim, torch.tensor(index, dtype=torch.int64))


DIRECT: dict[type[Op], Any] = {Slice: sliced_by_hand, Pad: F.pad, Roll: torch.roll}


@settings(max_examples=300)
@given(slices | pads | rolls(), inputs)
def test_agrees_with_torch(op: Op, x: Shape) -> None:
    accepts_as_torch(op, [x], DIRECT[type(op)])


@settings(max_examples=300)
@given(slices | pads | rolls(), inputs, st.data())
def test_values_and_layout(op: Op, x: Shape, data: st.DataObject) -> None:
    if is_accepted(op, x):
        compare_values_and_layout(op, x, data)


def compare_values_and_layout(op: Op, x: Shape, data: st.DataObject) -> None:
    tensor = data.draw(strided(concrete(x, 2)))
    expected = DIRECT[type(op)](tensor, **op.arguments())
    assert torch.equal(real(op, [x])(tensor), expected)
    compare_record(op, [x], [tensor.requires_grad_(data.draw(st.booleans()))])


def test_margins_of_all_modes_agree_with_torch() -> None:
    accepted: Counter[str] = Counter()

    @settings(max_examples=300)
    @given(margins(), st.data())
    def check(call: tuple[Pad, Shape], data: st.DataObject) -> None:
        op, x = call
        if accepts_as_torch(op, [x], F.pad):
            accepted[op.mode] += 1
            compare_values_and_layout(op, x, data)

    check()
    assert len(accepted) == 4 and min(accepted.values()) >= 10, accepted


@pytest.mark.parametrize(
    ("op", "code", "message"),
    [
        (Slice(dim=0), Code.MIXES_BATCH, "dim 0 is the batch: samples of a batch may not be mixed"),
        (Slice(dim=1, start=4), Code.EMPTY, "size of dim 1 of the output (N, 0, 3) would be 0"),
        (
            Pad(pad=(0, 0, 0, 0, 1, 0)),
            Code.MIXES_BATCH,
            "dim 0 is the batch: samples of a batch may not be mixed",
        ),
        (
            Pad(pad=(1, 1, 1)),
            Code.RANK,
            "(1, 1, 1) does not give two widths for each of the last axes of (N, 4, 3)",
        ),
        (Pad(pad=(-2, -1)), Code.EMPTY, "nothing would be left of the 3 elements of dim 2"),
        (
            Pad(pad=(3, 0), mode="reflect"),
            Code.SHAPE,
            "dim 2 (mode 'reflect' with a width of 3) is 3, below 4",
        ),
        # torch would repeat what it has not written yet.
        (
            Pad(pad=(-2, 3), mode="circular"),
            Code.EMPTY,
            "1 of 3 elements of dim 2 would be left to make a margin of",
        ),
        (
            Pad(pad=(1, 1, 1, 1, 0, 0), mode="replicate"),
            Code.RANK,
            "mode 'replicate' pads 3 axes of (N, 4, 3)",
        ),
        (
            Pad(pad=(1, 1), mode="replicate", value=2.0),
            Code.ARGUMENT,
            "mode 'replicate' has no value for its margin",
        ),
        (Roll(shifts=1, dims=0), Code.MIXES_BATCH, None),
        (Roll(shifts=(1, 2), dims=1), Code.SHAPE, "2 shifts do not go with 1 dims"),
    ],
)
def test_refuses(op: Op, code: Code, message: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        infer(op, [shape(4, 3)])
    assert refused.value.code == code
    assert message is None or refused.value.message == message


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("constant", [0, 1, 2, 3, 0, 0]),
        ("reflect", [2, 1, 2, 3, 2, 1]),
        ("replicate", [1, 1, 2, 3, 3, 3]),
        ("circular", [3, 1, 2, 3, 1, 2]),
    ],
)
def test_margins_are_those_of_the_definition(mode: str, expected: list[int]) -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0]]])
    op = Pad(pad=(1, 2), mode=mode)  # type: ignore[arg-type]
    assert real(op, [shape(1, 3)])(x).flatten().tolist() == expected


def test_widths_below_0_cut_off() -> None:
    x = torch.arange(12.0).reshape(1, 3, 4)
    cut = real(Pad(pad=(-1, -2, 0, -1)), [shape(3, 4)])(x)
    assert torch.equal(cut, x[:, :2, 1:2])
