"""A formula of sizes as Python source over the shapes of values that code can read.

`rows = ⌊(H + 24)/28⌋`, say, is `(x.shape[1] + 6) // 7` where axis 1 of `x` has the size ⌊H/4⌋.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import gcd
from typing import Any, TypeAlias, Union, cast

from archspec.ir.shape import Shape
from archspec.record import Record
from archspec.sizes.formula import Formula, Monomial, Ring, Unkept
from archspec.sizes.size import Size


class Axis(Record):
    """The size of an axis of one of these values; the value is given by its position."""

    value: int
    axis: int


class Quotient(Record):
    """A sum divided by a number above 0, rounded down."""

    of: Sum
    divisor: int


class Sum(Record):
    """A sum of products, each with a whole coefficient; one without factors is a plain number."""

    terms: tuple[Term, ...]


Term: TypeAlias = tuple[int, tuple["Factor", ...]]
Factor: TypeAlias = Union[Axis, Quotient, Sum]  # noqa: UP007 (a text within a union needs it)


def spelled(size: Size, shapes: Sequence[Shape]) -> Sum | None:
    """The size as a sum over the sizes of these values; None where no way is found."""
    axes = [
        (Axis(value, axis), dim.formula)
        for value, shape in enumerate(shapes)
        for axis, dim in enumerate(cast(Sequence[object], shape))
        if isinstance(dim, Size)
    ]
    for axis, formula in axes:
        if (found := _part_of(axis, formula, size.formula)) is not None:
            return found
    return _Search(axes).sum(size.formula)


def _part_of(axis: Axis, formula: Formula, wanted: Formula) -> Sum | None:
    """The wanted size as a part of one axis plus a number: `x.shape[2] // 2 - 1`."""
    times, divisor = wanted.terms[-1][1], formula.terms[-1][1]
    common = gcd(times, divisor) * (1 if divisor > 0 else -1)
    times, divisor = times // common, divisor // common
    rest = wanted.times(divisor) - formula.times(times)
    if not rest.is_constant or times < 1:
        return None
    whole, more = divmod(rest.constant, divisor)
    part = _plus(Sum(((times, (axis,)),)), more)
    return _plus(part if divisor == 1 else _quotient(part, divisor), whole)


class _Search:
    """Writes formulas in terms of axes whose formulas are known.

    An axis of the size a·m + c, where m is a product of atoms, gives m. One whose size is no such
    product alone is `whole`; so are its parts and its products with others.
    """

    def __init__(self, axes: Sequence[tuple[Axis, Formula]]) -> None:
        self.axes = axes
        self.known: dict[Monomial, Sum] = {}
        found: list[tuple[tuple[int, int], Monomial, Axis, int, int]] = []
        for axis, formula in axes:
            (*others, (monomial, times)) = formula.terms
            if all(not each for each, _ in others) and times > 0:
                rank = times, abs(formula.constant)
                found.append((rank, monomial, axis, times, formula.constant))
        for _, monomial, axis, times, constant in sorted(found):
            whole = _plus(Sum(((1, (axis,)),)), -constant)
            self.known.setdefault(monomial, whole if times == 1 else _quotient(whole, times))
        self.whole = sorted(_whole(axes), key=lambda each: -len(each[1].terms))

    def sum(self, formula: Formula) -> Sum | None:
        """A formula term by term, after parts that cover several; None if a term is not found."""
        coefficients = dict(formula.terms)
        for source, part in self.whole:
            monomial, inner = part.terms[-1]
            times, more = divmod(coefficients.get(monomial, 0), inner)
            rest = formula - part.times(times)
            if times and not more and len(rest.terms) < len(formula.terms):
                others = self.sum(rest)
                return others and Sum((*[(times * n, f) for n, f in source.terms], *others.terms))
        return self._by_term(formula)

    def _by_term(self, formula: Formula) -> Sum | None:
        terms: dict[tuple[Factor, ...], int] = {}
        for monomial, times in formula.terms:
            product = self._product(formula, monomial)
            if product is None:
                return None
            for inner, factors in product.terms:
                terms[factors] = terms.get(factors, 0) + times * inner
        return Sum(tuple([(times, factors) for factors, times in terms.items() if times]))

    def _product(self, formula: Formula, monomial: Monomial) -> Sum | None:
        if not monomial:
            return Sum(((1, ()),))
        if monomial in self.known:
            return self.known[monomial]
        factors: list[Factor] = []
        for number in monomial:
            found = self.known.get((number,)) or self._floor(formula.ring, number)
            if found is None:
                return None
            alone = len(found.terms) == 1 and found.terms[0][0] == 1
            factors += found.terms[0][1] if alone else (found,)
        if len(monomial) == 1 and isinstance(factors[0], Sum):
            return factors[0]
        return Sum(((1, tuple(factors)),))

    def _floor(self, ring: Ring, number: int) -> Sum | None:
        """An atom that is a floor: of an axis that is a coarser floor of the same, or of a sum."""
        atom, whole = ring.atoms[number], ring.made({(number,): 1})
        if atom.numerator is None:
            return None
        for monomial, source in self.known.items():
            inner = ring.atoms[monomial[0]]
            if len(monomial) > 1 or inner.numerator is None or atom.divisor % inner.divisor:
                continue
            # ⌊(⌊q/v⌋ + c)/k⌋ is ⌊(q + c·v)/(v·k)⌋.
            rest = atom.numerator - inner.numerator
            c, divisor = rest.constant // inner.divisor, atom.divisor // inner.divisor
            if rest.is_constant and ring.made({monomial: 1}).plus(c).floor(divisor) is whole:
                return _quotient(_plus(source, c), divisor)
        for axis, formula in self.axes:
            for source, part in _parts(axis, formula):
                if part is whole:
                    return source
        numerator = self.sum(atom.numerator)
        return None if numerator is None else _quotient(numerator, atom.divisor)


def _whole(axes: Sequence[tuple[Axis, Formula]]) -> Iterator[tuple[Sum, Formula]]:
    """What covers more than a product of atoms: axes, their parts and products of two."""
    for position, (axis, formula) in enumerate(axes):
        if compound := _is_compound(formula):
            yield Sum(((1, (axis,)),)), formula
            yield from _parts(axis, formula)
        for other, factor in axes[position:]:
            if compound or _is_compound(factor):
                with suppress(Unkept):
                    yield Sum(((1, (axis, other)),)), formula * factor


PARTS = (2, 3, 4, 5, 6, 7, 8, 16, 32)
"""Numbers by which sizes are usually divided."""


def _parts(axis: Axis, formula: Formula) -> Iterator[tuple[Sum, Formula]]:
    """An axis divided, rounded down and up."""
    for divisor in PARTS:
        for more in (0, divisor - 1):
            with suppress(Unkept):
                part = _quotient(_plus(Sum(((1, (axis,)),)), more), divisor)
                yield part, formula.plus(more).floor(divisor)


def _is_compound(formula: Formula) -> bool:
    terms = [times for monomial, times in formula.terms if monomial]
    return len(terms) > 1 or terms[0] != 1 or formula.constant != 0


def as_sum(formula: Formula, symbols: Mapping[str, Sum]) -> Sum:
    """A formula with a sum put in for each of its symbols."""
    terms: list[Term] = []
    for monomial, times in formula.terms:
        factors: list[Factor] = []
        for number in monomial:
            atom = formula.ring.atoms[number]
            if atom.numerator is None:
                found = symbols[atom.name]
            else:
                found = _quotient(as_sum(atom.numerator, symbols), atom.divisor)
            (first, *more) = found.terms
            factors += [found] if more or first[0] != 1 else first[1]
        terms.append((times, tuple(factors)))
    return Sum(tuple(terms))


def _plus(terms: Sum, number: int) -> Sum:
    kept = [(times, factors) for times, factors in terms.terms if factors]
    constant = number + sum(times for times, factors in terms.terms if not factors)
    return Sum((*kept, (constant, ())) if constant else tuple(kept))


def _quotient(of: Sum, divisor: int) -> Sum:
    return Sum(((1, (Quotient(of, divisor),)),))


def evaluated(found: Sum, shapes: Sequence[Shape]) -> Any:
    """Its number for values of these shapes."""
    total: Any = 0
    for times, factors in found.terms:
        product: Any = times
        for factor in factors:
            product = product * _factor(factor, shapes)
        total = total + product
    return total


def _factor(factor: Factor, shapes: Sequence[Shape]) -> Any:
    if isinstance(factor, Axis):
        return shapes[factor.value][factor.axis]
    if isinstance(factor, Quotient):
        return evaluated(factor.of, shapes) // factor.divisor
    return evaluated(factor, shapes)


def source_of(found: Sum, names: Sequence[str]) -> str:
    """Its Python source, with these names for the variables of the values."""
    rest, pieces = _remainders(found, names)
    terms = sorted(rest, key=lambda term: (not term[1], term[0] < 0))
    pieces += [_term(times, factors, names) for times, factors in terms]
    text = pieces[0] if pieces else "0"
    for piece in pieces[1:]:
        text += f" - {piece[1:]}" if piece.startswith("-") else f" + {piece}"
    return text


def _remainders(found: Sum, names: Sequence[str]) -> tuple[list[Term], list[str]]:
    """The terms without pairs such as `x - 3 * (x // 3)`, and those pairs as `x % 3`."""
    left, shown = list(found.terms), []
    for term in found.terms:
        times, factors = term
        if len(factors) != 1 or not isinstance(factors[0], Quotient) or times >= 0:
            continue
        divisor = factors[0].divisor
        whole = (-times // divisor, factors[0].of.terms[0][1])
        if times % divisor == 0 and factors[0].of.terms == ((1, whole[1]),) and whole in left:
            left.remove(term)
            left.remove(whole)
            remainder = f"{_shown(factors[0].of, names, False)} % {divisor}"
            shown.append(remainder if whole[0] == 1 else f"{whole[0]} * ({remainder})")
    return left, shown


def _term(times: int, factors: tuple[Factor, ...], names: Sequence[str]) -> str:
    numbers = [str(times)] if times not in (1, -1) or not factors else []
    alone = len(numbers) + len(factors) == 1 and times != -1
    text = " * ".join([*numbers, *[_shown(factor, names, alone) for factor in factors]])
    return f"-{text}" if times == -1 and factors else text


def _shown(factor: Factor, names: Sequence[str], alone: bool) -> str:
    """The source of a factor, in parentheses unless it stands `alone` or is an axis."""
    if isinstance(factor, Axis):
        return f"{names[factor.value]}.shape[{factor.axis}]"
    if isinstance(factor, Quotient):
        text = f"{_shown(factor.of, names, False)} // {factor.divisor}"
    else:
        text, alone = source_of(factor, names), alone or _is_axis(factor)
    return text if alone else f"({text})"


def _is_axis(found: Sum) -> bool:
    (first, *more) = found.terms
    return not more and first[0] == 1 and len(first[1]) == 1 and isinstance(first[1][0], Axis)
