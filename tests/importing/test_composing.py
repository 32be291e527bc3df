"""Large tables of numbers are taken apart into small ones that give the very same numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.importing.composing import Listed, Made, Part, composed
from archspec.importing.masks import relative_window

SIDE = 6


def cells(side: int = SIDE, step: int = 1) -> Tensor:
    """Row and column of each cell of a square map, row by row: (cells, 2)."""
    lines = torch.arange(0, side, step)
    return torch.cartesian_prod(lines, lines)


def relative_positions() -> Tensor:
    """The number of the offset between two cells, as Swin counts them."""
    apart = cells()[:, None] - cells()[None, :] + SIDE - 1
    return apart[..., 0] * (2 * SIDE - 1) + apart[..., 1]


def distances(step: int = 1) -> Tensor:
    """The number of the absolute offset between two cells, as LeViT counts them."""
    apart = (cells(step=step)[:, None] - cells()[None, :]).abs()
    return apart[..., 0] * SIDE + apart[..., 1]


def with_token() -> Tensor:
    """Relative positions with a first token that has numbers of its own, as BEiT counts them."""
    table = torch.full((SIDE**2 + 1,) * 2, 121)
    table[0], table[:, 0], table[0, 0] = 122, 123, 124
    table[1:, 1:] = relative_positions()
    return table.flatten()


def shifted_windows() -> Tensor:
    """Which cells of a map of 4 x 4 windows of 4 x 4 were rolled over an edge by 2."""
    line = torch.tensor([0] * 12 + [1] * 2 + [2] * 2)
    labels = (line[:, None] * 3 + line[None, :]).reshape(4, 4, 4, 4).transpose(1, 2)
    labels = labels.reshape(16, 16)
    return torch.where(labels[:, None] == labels[:, :, None], 0.0, -100.0)


def offsets() -> Tensor:
    """Offsets along both axes and the square of the distance, as ConViT has them."""
    apart = (cells()[:, None] - cells()[None, :]).float()
    return torch.cat([apart, apart.square().sum(-1, keepdim=True)], -1)[None]


def result(part: Part) -> Tensor:
    """The numbers of a composition, by torch."""
    if isinstance(part, Listed):
        return part.table
    inputs = [result(each) for each in part.parts]
    makers = {
        "reshape": lambda x: x.reshape(part.args["shape"]),
        "expand": lambda x: x.expand(part.args["size"]),
        "add": lambda *x: x[0] + (x[1] if len(x) > 1 else part.args["other"]),
        "mul": lambda x: x * part.args["other"],
        "to": lambda x: x.to({"float": torch.float32, "int64": torch.int64}[part.args["dtype"]]),
        "sub": torch.sub,
        "abs": torch.abs,
        "ne": torch.ne,
        "logical_not": torch.logical_not,
        "stack": lambda *x: torch.stack(x, part.args["dim"]),
        "concat": lambda *x: torch.cat(x, part.args["dim"]),
    }
    made: Tensor = makers[part.op](*inputs)
    return made


@pytest.mark.parametrize(
    ("table", "most"),
    [
        (relative_positions(), 24),
        (relative_positions().flatten(), 24),
        (distances(), 24),
        (distances(step=2), 18),
        (with_token(), 70),
        (shifted_windows(), 64),
        (shifted_windows() == 0, 64),
        (shifted_windows() != 0, 64),
        ((3 + shifted_windows() / -100).long(), 64),
        (offsets(), 220),
        (torch.tril(torch.ones(20, 20)).expand(5, 20, 20), 2),
    ],
)
def test_a_table_is_made_of_few_numbers(table: Tensor, most: int) -> None:
    part = composed(table)
    assert part is not None
    assert part.numbers <= most
    assert torch.equal(result(part), table)


def test_numbers_without_a_pattern_stay_listed() -> None:
    assert composed(torch.randn(20, 20, generator=torch.Generator().manual_seed(1))) is None


def test_one_number_that_is_off_is_kept() -> None:
    table = relative_positions()
    table[7, 9] += 1
    part = composed(table)
    assert part is None or torch.equal(result(part), table)


def test_sums_are_written_as_differences_of_rising_numbers() -> None:
    part = composed(relative_positions())
    while isinstance(part, Made) and part.op == "reshape":
        (part,) = part.parts
    assert isinstance(part, Made)
    assert part.op == "sub"


class Biased(nn.Module):
    """Attention logits with a learned bias for each offset; the offsets are no key."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn((2 * SIDE - 1) ** 2, 2))
        self.register_buffer("places", distances(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table[self.places].permute(2, 0, 1)


def test_a_module_with_a_table_is_imported_without_its_numbers() -> None:
    arch = archspec.from_module(Biased(), torch.zeros(2, 2, SIDE**2, SIDE**2))
    assert len(arch.source.text) < 1500
    assert list(arch.build().state_dict()) == ["table"]


@pytest.mark.parametrize("window", [[3, 2], [2, 3, 2], [4, 4, 2]])
def test_windows_are_known_by_the_offsets_of_their_cells(window: list[int]) -> None:
    places = torch.cartesian_prod(*(torch.arange(size) for size in window)).tolist()
    index = [
        [
            sum(
                (a[axis] - b[axis] + size - 1)
                * math.prod(2 * inner - 1 for inner in window[axis + 1 :])
                for axis, size in enumerate(window)
            )
            for b in places
        ]
        for a in places
    ]
    assert relative_window(torch.tensor(index)) == window
    assert relative_window(torch.tensor(index) + 1) is None
