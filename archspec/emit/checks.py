"""Lines of generated code that refuse sizes outside the contract, where a spec declares sizes.

Conditions that join two sizes are left to torch, whose kernels refuse what breaks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from archspec.contracts.contract import Contract
from archspec.record import Record
from archspec.sizes.sets import Sizes

MOST_RANGES = 32
"""A set of more ranges is not checked: the line would be too long to read."""


class SizeCheck(Record):
    """A symbol, the places that have it, as input and axis (N is 0), and the sizes it may have."""

    symbol: str
    places: tuple[tuple[int, int], ...]
    sizes: Sizes
    asked: str

    def lines(self, variables: Sequence[str]) -> Iterator[str]:
        """The statements of a function whose inputs have these names."""
        sizes = [f"{variables[index]}.shape[{axis}]" for index, axis in self.places]
        for one, other in pairwise(sizes):
            yield f"if {one} != {other}:"
            text = f"the sizes that are called {self.symbol} differ"
            yield f"    raise ValueError({text!r})"
        found = _parts(self.sizes)
        if found is None:
            return
        head, settled, period, residues = found
        condition = _condition(sizes[0], *found)
        if condition is None:
            return
        text = f"{self.symbol} is not legal: {self.asked}"
        arguments = (head, settled, period, residues, self.asked)
        said = ", ".join([repr(self.symbol), sizes[0], *map(repr, arguments)])
        yield f"if not ({condition}):"
        yield "    if torch.jit.is_scripting():"
        yield f"        raise ValueError({text!r})"
        yield "    else:"
        yield f"        raise ValueError(not_legal({said}))"


def checks_of(contract: Contract) -> tuple[SizeCheck, ...]:
    """What a module checks of the sizes of its inputs."""
    if not contract.is_complete:
        return ()
    made = []
    for symbol, sizes in contract.sizes.items():
        if places := tuple(_places(contract, symbol)):
            mine = [each for each in contract.requirements if each.symbol == symbol]
            asker = mine[0].asker if len(mine) == 1 else ""
            by = f", asked for by {asker}" if asker else ""
            made.append(SizeCheck(symbol, places, sizes, "; ".join(r.text for r in mine) + by))
    return tuple(made)


def _places(contract: Contract, symbol: str) -> Iterator[tuple[int, int]]:
    """The axes that have the symbol itself: those that follow it, whatever the others are."""
    tries = []
    for first, apart in ((1009, 7), (5003, 11)):  # else `H + 7` would pass for the next symbol
        values = {name: first + apart * i for i, name in enumerate(contract.symbols)}
        tries.append((values[symbol], contract.input_shape(**values)))
    for index, name in enumerate(tries[0][1]):
        for axis in range(len(tries[0][1][name])):
            if all(shapes[name][axis] == value for value, shapes in tries):
                yield index, axis + 1


Parts = tuple[list[tuple[int, int]], int, int, list[int]]


def _parts(sizes: Sizes) -> Parts | None:
    """The ranges below the size from which it is periodic, that size, the period, the residues."""
    settled, gaps = sizes.settled, ~sizes
    residues = [r for r, changes in enumerate(sizes.classes) if len(changes) % 2]
    head: list[tuple[int, int]] = []
    first = sizes.least
    while first is not None and first < settled:
        gap = gaps.above(first)
        last = settled - 1 if gap is None else min(gap, settled) - 1
        head.append((first, last))
        if len(head) > MOST_RANGES:
            return None
        first = sizes.above(last)
    return head, settled, sizes.period, residues


def _condition(
    size: str, head: list[tuple[int, int]], settled: int, period: int, residues: list[int]
) -> str | None:
    """It as an expression; None where all sizes are legal."""
    parts = [f"{first} <= {size} and {size} <= {last}" for first, last in head]
    if residues:
        tail = [f"{size} >= {settled}"] if settled > 1 else []
        if len(residues) == 1 and period > 1:
            tail.append(f"{size} % {period} == {residues[0]}")
        elif len(residues) < period:
            tail.append(f"{size} % {period} in {residues}")
        if not tail:
            return None
        parts.append(" and ".join(tail))
    return " or ".join(parts) or "False"
