"""Truth values of rows as conditions over what their scope knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from archspec.folding.columns import Column, Unalike
from archspec.folding.scopes import ClassScope, LoopScope, Scope
from archspec.folding.terms import Binary, Constant, Name, Term

Atom = tuple[Term, int]
"""A comparison, and the rows in which it is true, as bits."""


def condition(scope: Scope, column: Column, local: Mapping[str, Column], wanted: str) -> Term:
    """When a node is there. `wanted` names a parameter for it, where there is no condition."""
    for term, other in scope.variables():
        if column.within(other):
            return term
    if isinstance(scope, LoopScope):
        return _in_loop(scope, column, local, wanted)
    assert isinstance(scope, ClassScope)
    return _in_class(scope, column, local, wanted)


def _in_loop(scope: LoopScope, column: Column, local: Mapping[str, Column], wanted: str) -> Term:
    outer = scope.outer(column)
    if outer is not None:
        return condition(scope.parent, outer, {}, wanted)
    pairs = [(column.values[i], scope.rows[i]) for i in column.present]
    counter = Name(scope.counter)
    if all(there == (t > 0) for there, (_, t) in pairs):
        return Binary(">", counter, Constant(0))
    if all(there == (t == 0) for there, (_, t) in pairs):
        return Binary("==", counter, Constant(0))
    last = {r: scope.times.values[r] - 1 for r in scope.times.present}
    if len(set(last.values())) == 1 and all(there == (t < last[r]) for there, (r, t) in pairs):
        return Binary("<", counter, Constant(next(iter(last.values()))))
    if len(set(last.values())) == 1 and all(there == (t == last[r]) for there, (r, t) in pairs):
        return Binary("==", counter, Constant(next(iter(last.values()))))
    near = [(Name(name), other) for name, other in local.items()]
    found = _mined(column, [*scope.variables(), *near])
    if found is not None:
        return found
    raise Unalike


def _in_class(scope: ClassScope, column: Column, local: Mapping[str, Column], wanted: str) -> Term:
    near = [(Name(name), other) for name, other in local.items()]
    found = _mined(column, [*near, *scope.variables()])
    if found is not None:
        return found
    given = [(Name(name), other) for name, other in scope.given.items()]
    found = _mined(column, [*given, *scope.variables()])
    if found is not None:
        used = [name for name in scope.given if _names(found, name)]
        return scope.condition(found, column, wanted, used)
    return scope.made(column, wanted)


def _names(term: Term, name: str) -> bool:
    if isinstance(term, Name):
        return term.name == name
    return isinstance(term, Binary) and (_names(term.left, name) or _names(term.right, name))


def _mined(column: Column, variables: Sequence[tuple[Term, Column]]) -> Term | None:
    """A comparison that says when, or two of them."""
    wanted = _bits(column, column.values)
    whole = _bits(column, [True] * len(column))
    atoms: dict[int, Term] = {}
    for term, bits in _atoms(column, variables):
        atoms.setdefault(bits, term)
    if wanted in atoms:
        return atoms[wanted]
    below = [(bits, term) for bits, term in atoms.items() if bits & ~wanted == 0 and bits]
    above = [(bits, term) for bits, term in atoms.items() if wanted & ~bits == 0 and bits != whole]
    for place, (one, first) in enumerate(below):
        for two, second in below[place + 1 :]:
            if one | two == wanted:
                return Binary("or", first, second)
    for place, (one, first) in enumerate(above):
        for two, second in above[place + 1 :]:
            if one & two == wanted:
                return Binary("and", first, second)
    return None


def _bits(column: Column, values: Sequence[object]) -> int:
    return sum(1 << i for i in column.present if values[i])


def _atoms(column: Column, variables: Sequence[tuple[Term, Column]]) -> Iterator[Atom]:
    there = set(column.present)
    covering = [(t, c) for t, c in variables if there <= set(c.present)]
    for term, other in covering:
        if all(isinstance(other.values[i], bool) for i in column.present):
            yield term, _bits(column, other.values)
    for place, (term, other) in enumerate(covering):
        for more, two in covering[place + 1 :]:
            if other.are_numbers and two.are_numbers:
                same = [a == b for a, b in zip(other.keys, two.keys, strict=True)]
                yield Binary("==", term, more), _bits(column, same)
                yield Binary("!=", term, more), _bits(column, [not each for each in same])
    for term, other in covering:
        values = {other.keys[i]: other.values[i] for i in column.present}
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | str | float):
                continue
            same = [each == key for each in other.keys]
            if value == 0:
                yield Binary(">", term, Constant(0)), _bits(column, [not s for s in same])
            yield Binary("==", term, Constant(value)), _bits(column, same)
            yield Binary("!=", term, Constant(value)), _bits(column, [not s for s in same])
