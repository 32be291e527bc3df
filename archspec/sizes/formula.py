"""Formulas of sizes: polynomials with whole coefficients over symbols and floors of quotients.

A `Ring` makes each formula once, so two of one ring are equal only if they are one object. An atom
is a symbol, such as `H`, or a floor, such as ⌊(H + 1)/2⌋; a monomial is a product of atoms, written
as their numbers in the ring, ascending.

Of one symbol every formula is a polynomial on each residue class of some period: the solver and
the words rest on that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import add, mul
from typing import Literal, TypeAlias, TypeVar

from archspec.record import Record

Monomial: TypeAlias = tuple[int, ...]
Terms: TypeAlias = tuple[tuple[Monomial, int], ...]

Relation: TypeAlias = Literal[">=", "=", "!="]
"""How a formula compares with 0."""

T = TypeVar("T", "Formula", int)

MAX_TERMS = 64
MAX_POWER = 8
MAX_COEFFICIENT = 2**80
MAX_PERIOD = 4096
LARGE = 2**31


class Unkept(Exception):
    """The formula would be too large to keep."""


class Atom:
    """A symbol, or the floor of `numerator / divisor`.

    One of degree 1 over one symbol grows by `rise` over its `period`.
    """

    __slots__ = (
        *("degree", "divisor", "name", "never_falls", "numerator", "period", "rise", "symbols"),
    )

    def __init__(self, name: str, numerator: Formula | None = None, divisor: int = 1) -> None:
        self.name, self.numerator, self.divisor = name, numerator, divisor
        self.never_falls = numerator is None or numerator.never_falls
        self.symbols, self.degree, self.period, self.rise = frozenset((name,)), 1, 1, 1
        if numerator is not None:
            self.symbols, self.degree = numerator.symbols, numerator.degree
            self.period, self.rise = numerator.period * divisor, 0
            if self.degree == 1 and len(self.symbols) == 1:
                self.period //= math.gcd(divisor, numerator.rise(numerator.period))
                self.rise = numerator.rise(self.period) // divisor


def _once(operate: Callable[[Formula, T], Formula]) -> Callable[[Formula, T], Formula]:
    """Remembers results on the formula: the same sizes meet the same rules again and again."""
    name = operate.__name__

    def known(self: Formula, other: T) -> Formula:
        found = self._known.get((name, other))
        if found is None:
            found = self._known[name, other] = operate(self, other)
        return found

    return known


class Formula:
    """One formula of a ring. Compare with `is`; `ring` makes others of it."""

    def __init__(self, ring: Ring, terms: Terms) -> None:
        self.ring, self.terms = ring, terms
        self._known: dict[tuple[str, Formula | int], Formula] = {}
        self.constant = terms[0][1] if terms and not terms[0][0] else 0
        self.is_constant = not (terms and terms[-1][0])  # the constant term comes first

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The names of the symbols that it depends on."""
        atoms = self.ring.atoms
        names = [atoms[number].symbols for monomial, _ in self.terms for number in monomial]
        return frozenset().union(*names)

    @cached_property
    def period(self) -> int:
        """It is a polynomial on each residue class of this period."""
        atoms = self.ring.atoms
        return math.lcm(*[atoms[n].period for monomial, _ in self.terms for n in monomial])

    @cached_property
    def degree(self) -> int:
        """The largest degree of a term; 0 of a constant."""
        atoms = self.ring.atoms
        degrees = [sum([atoms[n].degree for n in monomial]) for monomial, _ in self.terms]
        return max(degrees, default=0)

    @property
    def is_large(self) -> bool:
        """Whether a coefficient is beyond those of sizes that are plainly counted."""
        return any(abs(coefficient) > LARGE for _, coefficient in self.terms)

    @property
    def never_falls(self) -> bool:
        """Whether it is plain that it does not fall where the symbols rise."""
        return all(
            not monomial
            or (coefficient > 0 and len(monomial) == 1 and self.ring.atoms[monomial[0]].never_falls)
            for monomial, coefficient in self.terms
        )

    @property
    def work(self) -> int:
        """How many atoms and terms its value takes."""
        return len(self._all_atoms) + len(self.terms)

    def at(self, values: Mapping[str, int]) -> int:
        """Its value for these values of the symbols."""
        known: dict[int, int] = {}
        for number in self._all_atoms:
            atom = self.ring.atoms[number]
            if atom.numerator is None:
                known[number] = values[atom.name]
            else:
                known[number] = atom.numerator.sum_of(known) // atom.divisor
        return self.sum_of(known)

    def values(self, count: int) -> list[int]:
        """Its values for 1, 2, … up to a count. It depends on one symbol."""
        known: dict[int, list[int]] = {}
        for number in self._all_atoms:
            atom = self.ring.atoms[number]
            if atom.numerator is None:
                known[number] = list(range(1, count + 1))
            else:
                divisor = atom.divisor
                known[number] = [value // divisor for value in atom.numerator._sums(known, count)]
        return self._sums(known, count)

    def _sums(self, known: Mapping[int, list[int]], count: int) -> list[int]:
        """As `sum_of`, for each of so many values of the atoms."""
        totals = [0] * count
        for monomial, coefficient in self.terms:
            products = [coefficient] * count
            for number in monomial:
                products = list(map(mul, products, known[number]))
            totals = list(map(add, totals, products))
        return totals

    def sum_of(self, known: Mapping[int, int]) -> int:
        """Its value where those of its atoms are known, by number."""
        total = 0
        for monomial, coefficient in self.terms:
            for number in monomial:
                coefficient *= known[number]
            total += coefficient
        return total

    @cached_property
    def _all_atoms(self) -> list[int]:
        """The numbers of its atoms and of those inside them: what a floor needs comes before it."""
        found: set[int] = set()
        waiting = [self]
        while waiting:
            for monomial, _ in waiting.pop().terms:
                for number in monomial:
                    numerator = self.ring.atoms[number].numerator
                    if number not in found and numerator is not None:
                        waiting.append(numerator)
                    found.add(number)
        return sorted(found)

    def rise(self, period: int) -> int:
        """How much it grows over `period`, a multiple of its own. It has degree 1, one symbol."""
        total = 0
        for monomial, coefficient in self.terms:
            for number in monomial:
                atom = self.ring.atoms[number]
                total += coefficient * atom.rise * (period // atom.period)
        return total

    @_once
    def __add__(self, other: Formula) -> Formula:
        return self.ring.total((self, other))

    def __sub__(self, other: Formula) -> Formula:
        return self if other.terms == () else self + other.times(-1)

    @_once
    def plus(self, number: int) -> Formula:
        """It, and a number: never too large, since each question about a size is one of these."""
        terms = dict(self.terms)
        terms[()] = terms.get((), 0) + number
        return self.ring.made(terms, checked=False)

    @_once
    def times(self, number: int) -> Formula:
        """It, a number of times."""
        terms = {monomial: c * number for monomial, c in self.terms}
        return self.ring.made(terms, checked=number != -1)

    @_once
    def __mul__(self, other: Formula) -> Formula:
        terms: dict[Monomial, int] = {}
        products = len(self.terms) * len(other.terms)
        if products > min(self.ring.products, MAX_TERMS**2):
            raise Unkept
        self.ring.products -= products
        for a, one in self.terms:
            for b, two in other.terms:
                monomial = tuple(sorted(a + b))
                terms[monomial] = terms.get(monomial, 0) + one * two
        return self.ring.made(terms)

    @_once
    def floor(self, divisor: int) -> Formula:
        """The floor of its quotient by a number above 0."""
        whole: dict[Monomial, int] = {}
        rest: dict[Monomial, int] = {}
        for monomial, coefficient in self.terms:
            # Multiples come out; what is left keeps its sign, but for the constant.
            part = coefficient // divisor
            if part < 0 and monomial and coefficient % divisor:
                part += 1
            whole[monomial], rest[monomial] = part, coefficient - part * divisor
        left = self.ring.made(rest)
        if left.is_constant:  # at least 0, and below the divisor
            return self.ring.made(whole)
        if all(coefficient < 0 for monomial, coefficient in left.terms if monomial):
            # ⌊-q/k⌋ is -⌈q/k⌉.
            inner = left.times(-1).plus(divisor - 1).floor(divisor).times(-1)
        else:
            inner = left._reduced_floor(divisor)
        return self.ring.made(whole) + inner

    def replaced(self, name: str, other: Formula) -> Formula:
        """It, with another formula for a symbol. Raises `Unkept`."""
        if name not in self.symbols:
            return self
        found = self.ring.constant(0)
        for monomial, coefficient in self.terms:
            product = self.ring.constant(coefficient)
            for number in monomial:
                atom = self.ring.atoms[number]
                if atom.numerator is not None:
                    part = atom.numerator.replaced(name, other).floor(atom.divisor)
                else:
                    part = other if atom.name == name else self.ring.symbol(atom.name)
                product = product * part
            found = found + product
        return found

    def quotient(self, divisor: Formula) -> Formula | None:
        """The formula that makes this one of the divisor, as their product; None for none."""
        if divisor.is_constant:
            return None
        first, unit = leading(divisor.terms)
        left, found = self, self.ring.constant(0)
        while left.terms:
            monomial, coefficient = leading(left.terms)
            rest = without(monomial, first)
            if rest is None or coefficient % unit:
                return None
            part = self.ring.made({rest: coefficient // unit})
            found, left = found + part, left - part * divisor
        return found

    def _reduced_floor(self, divisor: int) -> Formula:
        common = math.gcd(divisor, *[c for monomial, c in self.terms if monomial])
        if common > 1:
            terms = {monomial: c // common for monomial, c in self.terms}
            return self.ring.made(terms).floor(divisor // common)
        (last, coefficient), *more = self.terms[::-1]
        if coefficient == 1 and len(last) == 1 and not any(monomial for monomial, _ in more):
            atom = self.ring.atoms[last[0]]
            if atom.numerator is not None:
                # ⌊(⌊a/m⌋ + c)/k⌋ is ⌊(a + c·m)/(m·k)⌋.
                inner = atom.numerator.plus(self.constant * atom.divisor)
                return inner.floor(atom.divisor * divisor)
        return self.ring.floor_atom(self, divisor)


class Condition(Record):
    """What holds of a formula."""

    formula: Formula
    relation: Relation

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it holds for these values of the symbols."""
        value = self.formula.at(values)
        if self.relation == ">=":
            return value >= 0
        return (value == 0) is (self.relation == "=")


class Ring:
    """Makes formulas, each once. `products` bounds the terms that it multiplies in all."""

    __slots__ = ("_formulas", "_numbers", "atoms", "products")

    def __init__(self, products: float = math.inf) -> None:
        self.products = products
        self.atoms: list[Atom] = []
        self._numbers: dict[str | tuple[Formula, int], int] = {}
        self._formulas: dict[Terms, Formula] = {}

    def symbol(self, name: str) -> Formula:
        """The formula that is a symbol alone."""
        if name not in self._numbers:
            self._numbers[name] = len(self.atoms)
            self.atoms.append(Atom(name))
        return self.made({(self._numbers[name],): 1})

    def floor_atom(self, numerator: Formula, divisor: int) -> Formula:
        """The formula that is this floor alone. Raises `Unkept` where its period is too long."""
        key = (numerator, divisor)
        if key not in self._numbers:
            atom = Atom("", numerator, divisor)
            if atom.period > MAX_PERIOD:
                raise Unkept
            self._numbers[key] = len(self.atoms)
            self.atoms.append(atom)
        return self.made({(self._numbers[key],): 1})

    def made(self, terms: Mapping[Monomial, int], *, checked: bool = True) -> Formula:
        """The formula of these terms. Where it is `checked`, too large ones raise `Unkept`."""
        ordered = tuple(sorted([term for term in terms.items() if term[1]]))
        known = self._formulas.get(ordered)
        if known is None:
            if checked and (len(ordered) > MAX_TERMS or not _is_small(ordered)):
                raise Unkept
            known = self._formulas[ordered] = Formula(self, ordered)
        return known

    def total(self, formulas: Iterable[Formula]) -> Formula:
        """Their sum."""
        terms: dict[Monomial, int] = {}
        for formula in formulas:
            for monomial, coefficient in formula.terms:
                terms[monomial] = terms.get(monomial, 0) + coefficient
        return self.made(terms)

    def constant(self, number: int) -> Formula:
        """The formula that is a number alone."""
        return self.made({(): number})


def leading(terms: Terms) -> tuple[Monomial, int]:
    """The term that is written first: of the highest power, and of the first atoms."""
    return max(terms, key=lambda term: (len(term[0]), [-number for number in term[0]]))


def without(monomial: Monomial, atoms: Monomial) -> Monomial | None:
    """The monomial divided by another; None where it holds not all of its atoms."""
    left = list(monomial)
    for atom in atoms:
        if atom not in left:
            return None
        left.remove(atom)
    return tuple(left)


def _is_small(terms: Iterable[tuple[Monomial, int]]) -> bool:
    return all(len(m) <= MAX_POWER and abs(c) < MAX_COEFFICIENT for m, c in terms)
