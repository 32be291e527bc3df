"""A formula as a product, where it is one: of atoms, of parts over other atoms, of linear parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archspec.sizes.formula import Formula, Monomial, Ring, leading, without

Factors = tuple[int, list[tuple[Formula, int]]]
"""A number, and formulas with their powers."""


def factors(formula: Formula) -> Factors:
    """Their product is the formula."""
    if formula.is_constant:
        return formula.constant, []
    ring = formula.ring
    number = math.gcd(*[coefficient for _, coefficient in formula.terms])
    if leading(formula.terms)[1] < 0:
        number = -number
    terms = {monomial: c // number for monomial, c in formula.terms}
    found: dict[Formula, int] = {}
    common = _common_atoms(list(terms))
    for atom in common:
        part = ring.made({(atom,): 1})
        found[part] = found.get(part, 0) + 1
    rest = {without(monomial, common) or (): c for monomial, c in terms.items()}
    for part in _split(ring.made(rest)):
        if not part.is_constant:
            found[part] = found.get(part, 0) + 1
    return number, sorted(found.items(), key=lambda each: (len(each[0].terms), each[0].terms))


def _common_atoms(monomials: Sequence[Monomial]) -> Monomial:
    left = list(monomials[0])
    for monomial in monomials[1:]:
        here, kept = list(monomial), []
        for atom in left:
            if atom in here:
                here.remove(atom)
                kept.append(atom)
        left = kept
    return tuple(left)


def _split(formula: Formula) -> list[Formula]:
    """The parts of a formula without common factors."""
    atoms = sorted({atom for monomial, _ in formula.terms for atom in monomial})
    if len(atoms) == 1:
        return _linear_parts(formula, atoms[0])
    for atom in atoms:
        pair = _apart(formula, atom)
        if pair is not None:
            return [part for each in pair for part in _split(each)]
    return [formula]


def _apart(formula: Formula, atom: int) -> tuple[Formula, Formula] | None:
    """A part over one atom times a part over the others: all rows of its table are alike."""
    rows: dict[int, dict[Monomial, int]] = {}
    for monomial, coefficient in formula.terms:
        others = tuple([each for each in monomial if each != atom])
        rows.setdefault(monomial.count(atom), {})[others] = coefficient
    first = rows[max(rows)]
    common = math.gcd(*first.values())
    if leading(tuple(first.items()))[1] < 0:
        common = -common
    base = {monomial: coefficient // common for monomial, coefficient in first.items()}
    some, unit = next(iter(base.items()))
    scales: dict[Monomial, int] = {}
    for power, row in rows.items():
        scale, rest = divmod(row.get(some, 0), unit)
        if rest or row != {monomial: c * scale for monomial, c in base.items()}:
            return None
        scales[(atom,) * power] = scale
    return formula.ring.made(scales), formula.ring.made(base)


def _linear_parts(formula: Formula, atom: int) -> list[Formula]:
    """A polynomial of one atom: its parts with whole roots, and what is left."""
    ring = formula.ring
    degree = max(len(monomial) for monomial, _ in formula.terms)
    table = dict(formula.terms)
    left = [table.get((atom,) * power, 0) for power in range(degree, -1, -1)]
    found: list[Formula] = []
    while len(left) > 2 and (root := _whole_root(left)) is not None:
        quotient: list[int] = []
        carried = 0
        for coefficient in left[:-1]:
            carried = coefficient + root * carried
            quotient.append(carried)
        left = quotient
        found.append(ring.made({(atom,): 1, (): -root}))
    return [*found, _polynomial(ring, left, atom)]


def _polynomial(ring: Ring, coefficients: Sequence[int], atom: int) -> Formula:
    top = len(coefficients) - 1
    return ring.made({(atom,) * (top - i): c for i, c in enumerate(coefficients)})


MAX_ROOT = 4_096


def _whole_root(coefficients: Sequence[int]) -> int | None:
    last = abs(coefficients[-1])
    for size in range(min(last, MAX_ROOT) + 1):
        if size and last % size:
            continue
        for root in (size, -size):
            value = 0
            for coefficient in coefficients:
                value = value * root + coefficient
            if value == 0:
                return root
    return None
