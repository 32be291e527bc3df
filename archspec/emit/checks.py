"""Lines of generated code that refuse sizes outside the contract, where a spec declares sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, TypeAlias

from archspec.contracts.contract import Contract
from archspec.contracts.regions import Region
from archspec.ir.spelling import Axis, Quotient, Sum, as_sum, source_of
from archspec.record import Record
from archspec.sizes.formula import Condition, Formula, Monomial, Ring
from archspec.sizes.sets import ALL, Sizes
from archspec.sizes.size import depends
from archspec.sizes.words import formula_text

MOST_RANGES = 32
"""A set of more ranges is no line that one can read: a function looks them up."""
MOST_REGIONS = 16
"""The same of regions."""

Symbols: TypeAlias = dict[str, Sum]
"""Where `forward` finds the size of each symbol."""


class SizeCheck(Record):
    """A symbol, the places that have it, as input and axis (N is 0), and the sizes it may have."""

    symbol: str
    places: tuple[tuple[int, int], ...]
    sizes: Sizes
    asked: str
    found: Sum | None = None
    """How it follows from an axis, where no place has it by itself."""

    def lines(self, variables: Sequence[str]) -> Iterator[str]:
        """The statements of a function whose inputs have these names."""
        sizes = [f"{variables[index]}.shape[{axis}]" for index, axis in self.places]
        for one, other in pairwise(sizes):
            yield f"if {one} != {other}:"
            text = f"the sizes that are called {self.symbol} differ"
            yield f"    raise ValueError({text!r})"
        size = sizes[0] if self.found is None else f"({source_of(self.found, variables)})"
        if _is_long(self.sizes):
            legal = [_data(Region({self.symbol: self.sizes}))]
            yield from _looked_up({self.symbol: size}, legal, self.asked)
            return
        found = _parts(self.sizes)
        condition = _condition(size, *found)
        if condition is None:
            return
        arguments = [repr(self.symbol), size, *map(repr, (*found, self.asked))]
        text = f"{self.symbol} is not legal: {self.asked}"
        yield from _refusing(condition, text, f"not_legal({', '.join(arguments)})")


class AxisCheck(Record):
    """An axis, as input and position, whose size is a formula of the symbols."""

    place: tuple[int, int]
    size: Sum
    text: str

    def lines(self, variables: Sequence[str]) -> Iterator[str]:
        """As those of a `SizeCheck`."""
        index, axis = self.place
        yield f"if {variables[index]}.shape[{axis}] != {source_of(self.size, variables)}:"
        text = f"axis {axis} of {variables[index]} is not {self.text}"
        yield f"    raise ValueError({text!r})"


class JointCheck(Record):
    """What is asked of several symbols together: that they are in one of the regions `kept`.

    `legal` are all that are legal, from which the message takes the nearest.
    """

    symbols: Symbols
    kept: tuple[Region, ...]
    legal: tuple[Region, ...]
    asked: str

    def lines(self, variables: Sequence[str]) -> Iterator[str]:
        """As those of a `SizeCheck`."""
        sources = {name: _source(found, variables) for name, found in self.symbols.items()}
        legal = [_data(region) for region in self.legal]
        if len(self.kept) > MOST_REGIONS or any(
            _is_long(sizes) for region in self.kept for sizes in region.box.values()
        ):
            yield from _looked_up(sources, legal, self.asked)
            return
        conditions = [_in_region(each, self.symbols, sources, variables) for each in self.kept]
        said = f"not_legal_together({_values(sources)}, {legal!r}, {self.asked!r})"
        verb = "is" if len(sources) == 1 else "are"
        text = f"{' and '.join(sources)} {verb} not legal: {self.asked}"
        yield from _refusing(" or ".join(conditions), text, said)


Check: TypeAlias = SizeCheck | AxisCheck | JointCheck


def check_lines(checks: Sequence[Check], variables: Sequence[str]) -> Iterator[str]:
    """The statements of a function, whose inputs have these names, that refuse sizes."""
    lines = [line for check in checks for line in check.lines(variables)]
    if not lines:
        return
    yield f"if isinstance({variables[0]}, torch.Tensor):  # symbolic tracing gives none"
    free = (f"shape{number or ''}" for number in range(2 * len(variables)))
    names = dict(zip(variables, (each for each in free if each not in variables), strict=False))
    for variable, name in names.items():
        # To ask a tensor for its shape takes longer than all else.
        read = re.compile(rf"\b{variable}\.shape\[")
        if any(map(read.search, lines)):
            yield f"    {name} = {variable}.shape"
            lines = [read.sub(f"{name}[", line) for line in lines]
    yield from (f"    {line}" for line in lines)


def _refusing(condition: str, text: str, said: str) -> Iterator[str]:
    yield f"if not ({condition}):"
    yield "    if torch.jit.is_scripting():"
    yield f"        raise ValueError({text!r})"
    yield "    else:"
    yield f"        raise ValueError({said})"


def _looked_up(sources: Mapping[str, str], legal: Sequence[Any], asked: str) -> Iterator[str]:
    """A call that refuses sizes, where the conditions would be too long. A script has none."""
    yield "if not torch.jit.is_scripting():"
    yield f"    check_sizes({_values(sources)}, {legal!r}, {asked!r})"


def _values(sources: Mapping[str, str]) -> str:
    return f"{{{', '.join([f'{name!r}: {source}' for name, source in sources.items()])}}}"


def checks_of(contract: Contract) -> tuple[Check, ...]:
    """What a module checks of the sizes of its inputs.

    Of a contract whose cases are too many to list it takes the sizes that are listed alone.
    """
    made: list[Check] = []
    symbols: Symbols = {}
    axes = list(_axes(contract))
    for symbol, sizes in contract.sizes.items():
        places = tuple([place for place, formula in axes if _is_symbol(formula, symbol)])
        found = None
        if places:
            symbols[symbol] = Sum(((1, (Axis(*places[0]),)),))
        elif (found := _inverse(axes, symbol)) is not None:
            symbols[symbol] = found
        else:
            continue
        asked = _asked(contract, symbol)
        known = sizes if contract.is_complete else ALL
        made.append(SizeCheck(symbol, places, known, asked, found))
    made[:0] = _axis_checks(axes, symbols)
    return (*made, *_joint_checks(contract, symbols))


def _axes(contract: Contract) -> Iterator[tuple[tuple[int, int], Formula]]:
    """The axes whose sizes depend on symbols, as input and position."""
    graph = contract.main.graph
    assert graph is not None
    for index, shape in enumerate(graph.inputs):
        sizes: Sequence[Any] = shape
        for axis, size in enumerate(sizes):
            if depends(size):
                yield (index, axis), size.formula


def _is_symbol(formula: Formula, symbol: str) -> bool:
    return formula is formula.ring.symbol(symbol)


def _inverse(axes: Sequence[tuple[tuple[int, int], Formula]], symbol: str) -> Sum | None:
    """A symbol as `(size - 7) // 2` where an axis has the size `2 * symbol + 7`."""
    for place, formula in axes:
        times = formula.plus(-formula.constant).terms[0][1]
        if times > 0 and formula is formula.ring.symbol(symbol).times(times).plus(formula.constant):
            constant = ((-formula.constant, ()),) if formula.constant else ()
            size = Sum(((1, (Axis(*place),)), *constant))
            return size if times == 1 else Sum(((1, (Quotient(size, times),)),))
    return None


def _axis_checks(
    axes: Sequence[tuple[tuple[int, int], Formula]], symbols: Symbols
) -> Iterator[AxisCheck]:
    for place, formula in axes:
        if not formula.symbols <= symbols.keys():
            continue
        (name, *more) = formula.symbols
        is_read = not more and _inverse([(place, formula)], name) == symbols[name]
        is_exact = formula.plus(-formula.constant) is formula.ring.symbol(name)
        if not _is_symbol(formula, name) and not (is_read and is_exact):
            yield AxisCheck(place, as_sum(formula, symbols), formula_text(formula))


def _asked(contract: Contract, symbol: str) -> str:
    mine = [each for each in contract.requirements if each.symbol == symbol]
    asker = mine[0].asker if len(mine) == 1 else ""
    return "; ".join(each.text for each in mine) + (f", asked for by {asker}" if asker else "")


def _joint_checks(contract: Contract, symbols: Symbols) -> Iterator[JointCheck]:
    legal = tuple([_of(symbols, region) for region in contract.regions])
    if not contract.is_complete:
        asked = f"{contract.text} (of other sizes the cases are too many to list: build for them)"
        yield JointCheck(symbols, legal, legal, asked)
        return
    if len(legal) > 1:
        # Each symbol by itself is checked before.
        kept = [_within(region, contract.sizes) for region in legal]
        yield JointCheck(symbols, tuple(kept), legal, contract.text)
        return
    by = {each.condition: each for each in contract.requirements}
    for condition in legal[0].joint:
        region = Region({}, (condition,))
        found = by.get(condition)
        asked = contract.text
        if found is not None:
            asked = f"{found.text}, asked for by {found.asker}" if found.asker else found.text
        yield JointCheck(symbols, (region,), legal, asked)


def _of(symbols: Symbols, region: Region) -> Region:
    """What a region asks of these symbols alone."""
    box = {name: sizes for name, sizes in region.box.items() if name in symbols}
    joint = [each for each in region.joint if each.formula.symbols <= symbols.keys()]
    return Region(box, tuple(joint))


def _within(region: Region, hull: Mapping[str, Sizes]) -> Region:
    """What a region asks beside that each symbol has some legal size."""
    return region._replace(box={n: each for n, each in region.box.items() if each != hull[n]})


def _in_region(
    region: Region, symbols: Symbols, sources: Mapping[str, str], variables: Sequence[str]
) -> str:
    """Whether sizes are in a region, as an expression."""
    found = []
    for name, sizes in region.box.items():
        condition = _condition(sources[name], *_parts(sizes))
        if condition is not None:
            found.append(f"({condition})" if " or " in condition else condition)
    found += [_compared(each, symbols, variables) for each in region.joint]
    return " and ".join(found) or "True"


def _compared(condition: Condition, symbols: Symbols, variables: Sequence[str]) -> str:
    """A condition as an expression, with nothing that is taken away on either side."""
    formula, relation = condition
    ring = formula.ring
    sides = [
        ring.made({monomial: sign * times for monomial, times in formula.terms if sign * times > 0})
        for sign in (1, -1)
    ]
    left, right = [source_of(as_sum(side, symbols), variables) for side in sides]
    return f"{left} {'==' if relation == '=' else relation} {right}"


def _source(found: Sum, variables: Sequence[str]) -> str:
    text = source_of(found, variables)
    return f"({text})" if " " in text else text


def _data(region: Region) -> Any:
    """A region as the function that writes the message reads it."""
    sets = {
        name: (sizes.period, [(r, changes) for r, changes in enumerate(sizes.classes) if changes])
        for name, sizes in region.box.items()
        if sizes != ALL
    }
    return sets, [(_terms(each.formula), each.relation) for each in region.joint]


def _terms(formula: Formula) -> Any:
    return tuple([(times, _factors(formula.ring, each)) for each, times in formula.terms])


def _factors(ring: Ring, monomial: Monomial) -> Any:
    return tuple(
        [
            atom.name if atom.numerator is None else (_terms(atom.numerator), atom.divisor)
            for atom in [ring.atoms[number] for number in monomial]
        ]
    )


Parts = tuple[list[tuple[int, int]], int, int, list[int]]


def _is_long(sizes: Sizes) -> bool:
    """Whether there are more ranges below the size from which a set is periodic than are shown."""
    return len(list(islice(_head(sizes), MOST_RANGES + 1))) > MOST_RANGES


def _parts(sizes: Sizes) -> Parts:
    """The ranges below the size from which it is periodic, that size, the period, the residues."""
    residues = [r for r, changes in enumerate(sizes.classes) if len(changes) % 2]
    return list(_head(sizes)), sizes.settled, sizes.period, residues


def _head(sizes: Sizes) -> Iterator[tuple[int, int]]:
    settled, gaps = sizes.settled, ~sizes
    first = sizes.least
    while first is not None and first < settled:
        gap = gaps.above(first)
        last = settled - 1 if gap is None else min(gap, settled) - 1
        yield first, last
        first = sizes.above(last)


def _condition(
    size: str, head: list[tuple[int, int]], settled: int, period: int, residues: list[int]
) -> str | None:
    """It as an expression; None where all sizes are legal."""
    parts = [
        f"{size} == {first}" if first == last else f"{first} <= {size} and {size} <= {last}"
        for first, last in head
    ]
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
