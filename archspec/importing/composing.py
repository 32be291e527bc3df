"""Large tables of numbers as sums, choices and joins of small ones.

A table of relative positions is a number for each row plus one for each column; a mask of windows
says where two labels differ. Only what gives the very same numbers is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from archspec.importing.literals import by_rule, type_of
from archspec.record import Record

SHORT = 16
"""A table of so few numbers is listed."""
DEEP = 8
"""How many steps of a composition may stand inside each other."""
RANK = 4
"""Tables of more axes are not taken apart."""


class Listed(Record):
    """A `constant`, and how many numbers it lists."""

    table: Tensor
    numbers: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.table.shape)


class Made(Record):
    """The result of an op on other parts; `shape` is that of the result."""

    op: str
    args: dict[str, Any]
    parts: tuple[Part, ...]
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        return sum(part.numbers for part in self.parts)


Part = Listed | Made


def composed(table: Tensor) -> Part | None:
    """A composition that lists at most half of a table's numbers; None where none is found."""
    found = _found(table, DEEP)
    return found if 2 * found.numbers <= table.numel() else None


def _found(table: Tensor, deep: int) -> Part:
    """The first composition that lists at most half of the numbers, or else all of them."""
    if table.numel() <= SHORT or deep == 0:
        return Listed(table, table.numel())
    if by_rule(table) is not None:
        return Listed(table, 1)
    for option in OPTIONS:
        for found in option(table, deep - 1):
            if 2 * found.numbers <= table.numel():
                return found
    return Listed(table, table.numel())


def _shaped(part: Part, shape: Sequence[int]) -> Part:
    """The same numbers laid out with other sizes."""
    if part.shape == tuple(shape):
        return part
    return Made("reshape", {"shape": list(shape)}, (part,), tuple(shape))


def _bare(table: Tensor, deep: int) -> Iterator[Part]:
    """Without the axes of size 1."""
    bare = table.squeeze()
    if bare.dim() < table.dim():
        yield _shaped(_found(bare, deep), table.shape)


def _repeated(table: Tensor, deep: int) -> Iterator[Part]:
    """One slice of an axis along which all are equal, repeated."""
    for axis in range(table.dim()):
        one = table.narrow(axis, 0, 1)
        if bool((table == one).all()):
            size = list(table.shape)
            part = _shaped(_found(one.squeeze(axis), deep), one.shape)
            yield Made("expand", {"size": size}, (part,), tuple(size))


def _splits(rank: int) -> Iterator[tuple[int, ...]]:
    """Each way to deal axes out to two sides, by the axes of the first."""
    for count in range(1, rank // 2 + 1):
        for axes in combinations(range(rank), count):
            if 2 * count < rank or 0 in axes:
                yield axes


def _one_side(table: Tensor, axes: Sequence[int]) -> Tensor:
    """The numbers along these axes, at the first place of all others."""
    for axis in range(table.dim()):
        if axis not in axes:
            table = table.narrow(axis, 0, 1)
    return table


def _summed(table: Tensor, deep: int) -> Iterator[Part]:
    """A number for each place along some axes, plus one for each along the others."""
    if table.dim() > RANK or table.dtype == torch.bool:
        return
    found = []
    for axes in _splits(table.dim()):
        first = _one_side(table, axes)
        others = [axis for axis in range(table.dim()) if axis not in axes]
        second = _one_side(table, others) - table[(0,) * table.dim()]
        if torch.equal(first + second, table):
            found.append((first, second))
    if found:
        first, second = min(found, key=lambda pair: pair[0].numel() + pair[1].numel())
        op = "add"
        if bool((second <= 0).all()):
            op, second = "sub", -second
        parts = tuple(_shaped(_found(each.squeeze(), deep), each.shape) for each in (first, second))
        yield Made(op, {}, parts, tuple(table.shape))


def _distances(table: Tensor, deep: int) -> Iterator[Part]:
    """How far each place of one line is from each of another."""
    if table.dim() != 2 or table.dtype == torch.bool:
        return
    columns = table[0] if bool((table[0].diff() >= 0).all()) else -table[0]
    rows = columns[0] + table[:, 0] if bool(columns[0] == 0) else None
    if rows is None or not torch.equal((rows[:, None] - columns[None, :]).abs(), table):
        return
    parts = (
        _shaped(_found(rows, deep), (len(rows), 1)),
        _shaped(_found(columns, deep), (1, len(columns))),
    )
    shape = tuple(table.shape)
    yield Made("abs", {}, (Made("sub", {}, parts, shape),), shape)


def _labelled(table: Tensor, deep: int) -> Iterator[Part]:
    """One number where the labels of two places are equal, and another where they are not."""
    if not 2 <= table.dim() <= 3 or table.shape[-1] != table.shape[-2]:
        return
    same = table[(0,) * table.dim()]
    equal = table == same
    differ = table[~equal]
    if not differ.numel() or not bool((differ == differ[0]).all()):
        return
    for labels in (_labels_of_grids(equal), equal.long().argmax(-1)):
        flat = labels.reshape(equal.shape[:-1])
        if not torch.equal(flat.unsqueeze(-1) == flat.unsqueeze(-2), equal):
            continue
        inner = _found(labels, deep)
        rows, columns = (_shaped(inner, flat.unsqueeze(dim).shape) for dim in (-1, -2))
        apart: Part = Made("ne", {}, (rows, columns), tuple(table.shape))
        yield _two_numbers(apart, same.item(), differ[0].item(), table.dtype)


def _two_numbers(apart: Part, same: Any, differ: Any, dtype: torch.dtype) -> Part:
    """One number where a truth value is false, and another where it is true."""
    if dtype == torch.bool:
        return apart if differ else Made("logical_not", {}, (apart,), apart.shape)
    made = Made("to", {"dtype": type_of(dtype)}, (apart,), apart.shape)
    scaled = Made("mul", {"other": differ - same}, (made,), apart.shape)
    return Made("add", {"other": same}, (scaled,), apart.shape) if same else scaled


def _labels_of_grids(equal: Tensor) -> Tensor:
    """Labels that are one of the row plus one of the column, in windows of a square map."""
    windows, places = (equal.shape[0] if equal.dim() == 3 else 1), equal.shape[-1]
    count, side = round(windows**0.5), round(places**0.5)
    if count**2 != windows or side**2 != places:
        return torch.zeros(equal.shape[:-1])
    grid = equal.reshape(count, count, side, side, side, side)
    rows = grid[:, 0, :, 0, :, 0].long().argmax(-1)
    columns = grid[0, :, 0, :, 0, :].long().argmax(-1)
    found: torch.Tensor = rows[:, None, :, None] * side + columns[None, :, None, :]
    return found


def _factored(table: Tensor, deep: int) -> Iterator[Part]:
    """Axes that count the places of a grid, row by row."""
    if 2 * table.dim() > RANK:
        return
    for sizes in _grids(table.shape):
        grid = table.reshape(sizes)
        for option in (_repeated, _summed, _without_first):
            for found in option(grid, deep):
                yield _shaped(found, table.shape)


def _grids(shape: Sequence[int]) -> Iterator[list[int]]:
    """Two sizes for each axis: those of squares, and those with as many rows in each."""
    roots = [isqrt(size) for size in shape]
    if all(root**2 == size for root, size in zip(roots, shape, strict=True)):
        yield [root for root in roots for _ in range(2)]
    if len(set(shape)) == 1:
        size = shape[0]
        for rows in range(2, size // 2 + 1):
            if size % rows == 0 and rows != roots[0]:
                yield [rows, size // rows] * len(shape)


def _stacked(table: Tensor, deep: int) -> Iterator[Part]:
    """A few tables beside each other along the last axis or the first."""
    for axis in (-1, 0):
        if table.dim() > 1 and table.shape[axis] <= RANK:
            parts = tuple(_found(each, deep) for each in table.unbind(axis))
            yield Made("stack", {"dim": axis}, parts, tuple(table.shape))


def _without_first(table: Tensor, deep: int) -> Iterator[Part]:
    """A square table of which the first row and column are something else: a token of no place."""
    if table.dim() != 2 or table.shape[0] != table.shape[1]:
        return
    inner = _found(table[1:, 1:], deep)
    if 4 * inner.numbers > table.numel():
        return
    column, row = _found(table[1:, :1].squeeze(1), deep), _found(table[0], deep)
    size = table.shape[0]
    parts = (_shaped(column, (size - 1, 1)), inner)
    below = Made("concat", {"dim": 1}, parts, (size - 1, size))
    yield Made("concat", {"dim": 0}, (_shaped(row, (1, size)), below), (size, size))


OPTIONS = (_bare, _repeated, _distances, _summed, _labelled, _factored, _stacked, _without_first)
"""Ways to take a table apart, in the order in which they are tried."""
