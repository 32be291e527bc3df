"""Truth values of rows as conditions over what their scope knows.

A condition that a person would write comes first. One that happens to be true of these rows, such
as a comparison with some number of channels, is none: it would be wrong for any other network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from archspec.folding.class_scope import ClassScope
from archspec.folding.columns import Column, Unalike
from archspec.folding.loop_scope import LoopScope
from archspec.folding.naming import is_size
from archspec.folding.scopes import Scope
from archspec.folding.terms import Binary, Constant, Name, Term

Atom = tuple[Term, int]
"""A comparison, and the rows in which it is true, as bits."""

Variables = Sequence[tuple[Term, Column]]


def condition(scope: Scope, column: Column, local: Mapping[str, Column], wanted: str) -> Term:
    """When a node is there. `wanted` names a parameter for it, where there is no condition."""
    for term, other in scope.variables():
        if column.within(other):
            return term
    if isinstance(scope, LoopScope):
        return _in_loop(scope, column, local, wanted)
    assert isinstance(scope, ClassScope)
    return _in_class(scope, column, local, wanted)


# --- in a loop -----------------------------------------------------------------------------------


def _in_loop(scope: LoopScope, column: Column, local: Mapping[str, Column], wanted: str) -> Term:
    outer = scope.outer(column)
    if outer is not None:
        return condition(scope.parent, outer, {}, wanted)
    term = _counted(scope, column)
    if term is None:
        near = [(Name(name), other) for name, other in local.items()]
        atoms = list(_comparisons(column, [*scope.variables(), *near]))
        term = _mined(column, atoms)
    if term is None:
        raise Unalike
    return term


def _counted(scope: LoopScope, column: Column) -> Term | None:
    """`index > 0` and its like."""
    pairs = [(column.values[i], scope.rows[i]) for i in column.present]
    counter = Name(scope.counter)
    if all(there == (t > 0) for there, (_, t) in pairs):
        return Binary(">", counter, Constant(0))
    if all(there == (t == 0) for there, (_, t) in pairs):
        return Binary("==", counter, Constant(0))
    last = {scope.times.values[r] - 1 for r in scope.times.present}
    if len(last) == 1:
        (end,) = last
        if all(there == (t < end) for there, (_, t) in pairs):
            return Binary("<", counter, Constant(end))
        if all(there == (t == end) for there, (_, t) in pairs):
            return Binary("==", counter, Constant(end))
    return None


# --- in a class ----------------------------------------------------------------------------------


def _in_class(scope: ClassScope, column: Column, local: Mapping[str, Column], wanted: str) -> Term:
    sizes = list(_changes(scope, column))
    small = [(t, c) for t, c in scope.variables() if not (isinstance(t, Name) and is_size(t.name))]
    others = list(_comparisons(column, small))
    found = _joined(column, [a for a in others if _is_stride(a[0])], sizes)
    if found is None:
        found = _mined(column, [*sizes, *others])
    if found is not None:
        given = [name for name in scope.given if _names(found, name)]
        return scope.condition(found, column, wanted, given) if given else found
    near = [(Name(name), other) for name, other in local.items() if is_size(name)]
    found = _mined(column, list(_relations(column, [*near, *scope.variables()])))
    return scope.made(column, wanted) if found is None else found


def _is_stride(term: Term) -> bool:
    return isinstance(term, Binary) and isinstance(term.left, Name) and "stride" in term.left.name


def _changes(scope: ClassScope, column: Column) -> Iterator[Atom]:
    """Whether a list gives as many channels as it is given."""
    for name, given in scope.given.items():
        gives = scope.gives.get(name)
        if gives is None or not is_size(name):
            continue
        term = scope.found(gives)
        if term is None or term == Name(name) or isinstance(term, Constant):
            continue
        same = [a == b for a, b in zip(given.keys, gives.keys, strict=True)]
        yield Binary("!=", Name(name), term), _bits(column, [not each for each in same])
        yield Binary("==", Name(name), term), _bits(column, same)


def _joined(column: Column, strides: Sequence[Atom], sizes: Sequence[Atom]) -> Term | None:
    """`stride != 1 or in_channels != out_channels`, and the opposite."""
    wanted = _bits(column, column.values)
    for first, one in strides:
        for second, two in sizes:
            if isinstance(first, Binary) and isinstance(second, Binary):
                if first.operator == second.operator == "!=" and one | two == wanted:
                    return Binary("or", first, second)
                if first.operator == second.operator == "==" and one & two == wanted:
                    return Binary("and", first, second)
    return None


def _names(term: Term, name: str) -> bool:
    if isinstance(term, Name):
        return term.name == name
    return isinstance(term, Binary) and (_names(term.left, name) or _names(term.right, name))


# --- comparisons ---------------------------------------------------------------------------------


def _mined(column: Column, found: Sequence[Atom]) -> Term | None:
    """A comparison that says when, or two of them."""
    wanted = _bits(column, column.values)
    whole = _bits(column, [True] * len(column))
    atoms: dict[int, Term] = {}
    for term, bits in found:
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


def _comparisons(column: Column, variables: Variables) -> Iterator[Atom]:
    """Truth values, and comparisons with numbers and words."""
    there = set(column.present)
    covering = [(t, c) for t, c in variables if there <= set(c.present)]
    for term, other in covering:
        if all(isinstance(other.values[i], bool) for i in column.present):
            yield term, _bits(column, other.values)
    for term, other in covering:
        values = {other.keys[i]: other.values[i] for i in column.present}
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | str | float):
                continue
            same = [each == key for each in other.keys]
            if value == 0:
                yield Binary(">", term, Constant(0)), _bits(column, [not s for s in same])
            if not isinstance(value, str) and value not in (0, 1):
                continue  # what it happens to be in these rows
            if not isinstance(value, str):
                yield Binary("!=", term, Constant(value)), _bits(column, [not s for s in same])
            yield Binary("==", term, Constant(value)), _bits(column, same)
            yield Binary("!=", term, Constant(value)), _bits(column, [not s for s in same])


def _relations(column: Column, variables: Variables) -> Iterator[Atom]:
    """Whether two numbers are equal."""
    there = set(column.present)
    numbers = [(t, c) for t, c in variables if there <= set(c.present) and c.are_numbers]
    for place, (term, one) in enumerate(numbers):
        for more, two in numbers[place + 1 :]:
            same = [a == b for a, b in zip(one.keys, two.keys, strict=True)]
            yield Binary("!=", term, more), _bits(column, [not each for each in same])
            yield Binary("==", term, more), _bits(column, same)
