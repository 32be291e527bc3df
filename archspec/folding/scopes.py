"""Scopes: what names stand for in each row, and how a column is said with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.folding.arithmetic import derived
from archspec.folding.columns import ABSENT, Column, Unalike, key, majority, spread
from archspec.folding.naming import Names, element_names, is_size, list_name, of_given
from archspec.folding.runs import counting
from archspec.folding.terms import (
    Binary,
    Conditional,
    Constant,
    Name,
    Term,
    Text,
)
from archspec.folding.terms import (
    Sequence as Items,
)
from archspec.folding.tree import Formula, Leaf, Value

Local = Mapping[str, Column]
"""Names that one node knows, over the rows of its scope."""

NOTHING: Local = {}


class Scope(ABC):
    """Says columns over its rows."""

    def __init__(self, size: int) -> None:
        self.size = size

    @abstractmethod
    def variables(self) -> Iterator[tuple[Term, Column]]:
        """The names of the scope itself, with what they stand for in each row."""

    @abstractmethod
    def found(self, column: Column, local: Local = NOTHING) -> Term | None:
        """The term for a column, if there is one that needs no new name."""

    @abstractmethod
    def lifted(self, column: Column) -> Term | None:
        """As `found`, for a loop inside."""

    @abstractmethod
    def walked_for(self, column: Column, wanted: str) -> Term:
        """As `made`, for a loop inside."""

    @abstractmethod
    def made(self, column: Column, wanted: str, local: Local = NOTHING) -> Term:
        """A new name for a column, or a term with new names."""

    def meant(self, column: Column, wanted: str) -> Term | None:
        """The parameter of the same argument elsewhere, for a node that some rows lack.

        What is one number in all rows that have the node would often be another with more rows.
        """
        return None

    @abstractmethod
    def note(self, name: str, wanted: str) -> None:
        """A parameter is used for an argument of that name."""

    def said(self, column: Column, wanted: str, local: Local = NOTHING) -> Term:
        """The term for a column; `wanted` is what a new name would be."""
        term = self.meant(column, wanted) or self.found(column, local)
        if isinstance(term, Name):
            self.note(term.name, wanted)
        if term is None and (parts := _parts(column)) is not None:
            terms = [self.found(part, local) for part in parts]
            if sum(term is None for term in terms) < len([p for p in parts if not p.is_constant]):
                return Items(
                    tuple(
                        [
                            self.said(part, wanted, local) if term is None else term
                            for part, term in zip(parts, terms, strict=True)
                        ]
                    )
                )
        if term is not None:
            return term
        if any(isinstance(column.values[i], Formula) for i in column.present):
            raise Unalike
        return self.made(column, wanted, local)

    @abstractmethod
    def reserve(self, name: str) -> None:
        """Keeps a name from becoming a parameter's."""

    def ratio(self, column: Column, local: Local) -> tuple[str, Column] | None:
        """A size of the node's input, and how often a column holds it, where that differs less."""
        if not column.are_numbers:
            return None
        for name, other in local.items():
            if not is_size(name) or any(other.values[i] is ABSENT for i in column.present):
                continue
            pairs = [(column.values[i], other.values[i]) for i in column.present]
            if any(b < 1 or a % b for a, b in pairs):
                continue
            times = spread(len(column), column.present, [a // b for a, b in pairs])
            if not times.is_constant and 2 * len(times.distinct) <= len(column.distinct):
                return name, times
        return None

    def equal(self, column: Column, local: Local) -> Term | None:
        """A constant or a name that has these values."""
        if column.is_constant:
            return Constant(column.first)
        for term, other in self.variables():
            if column.within(other):
                return term
        for name, other in local.items():
            if column.within(other):
                return Name(name)
        return None

    def computed(self, column: Column, local: Local) -> Term | None:
        """A term over names of the scope and the node that has these values."""
        if not column.are_numbers or len(column.distinct) < 2:
            return None
        near = [(Name(name), other) for name, other in local.items()]
        return derived(column, [*self.variables(), *near])


def _parts(column: Column) -> list[Column] | None:
    """The columns of the items of lists that are all of one length."""
    values = [column.values[i] for i in column.present]
    if not values or not all(type(value) is tuple for value in values):
        return None
    lengths = {len(value) for value in values}
    if len(lengths) > 1 or lengths == {0}:
        return None
    return [
        spread(len(column), column.present, [value[i] for value in values])
        for i in range(lengths.pop())
    ]


class Made:
    """A parameter while its class is folded. `wanted` are the arguments that it is given to."""

    def __init__(
        self, name: str, column: Column, default: Term | None, derived: bool, wanted: str
    ) -> None:
        self.name, self.column, self.default, self.derived = name, column, default, derived
        self.wanted = [wanted]
        self.is_known = False


class ClassScope(Scope):
    """The parameters of a class, over its instances.

    `given` are names that its instances always know, `known` such as tell how to call a parameter.
    """

    def __init__(self, size: int, given: Local, known: Local, gives: Local = NOTHING) -> None:
        super().__init__(size)
        self.given, self.known, self.gives = given, known, gives
        self.params: list[Made] = []
        self.names = Names({*RESERVED, *given})
        self.used: set[str] = set()

    def variables(self) -> Iterator[tuple[Term, Column]]:
        for each in self.params:
            yield Name(each.name), each.column

    def found(self, column: Column, local: Local = NOTHING) -> Term | None:
        if (term := self.equal(column, local)) is not None:
            return term
        for each in self.params:
            if not each.derived and column.agrees(each.column) and _mergeable(each, column):
                each.column = each.column.filled(column)
                return Name(each.name)
        if (term := self.computed(column, local)) is not None:
            return term
        for name, other in self.given.items():
            if column.within(other):
                return self._of_given(name)
        if column.are_numbers and len(column.distinct) > 1:
            near = [(Name(name), other) for name, other in self.given.items()]
            if (term := derived(column, near)) is not None:
                return self._with_given(term)
        return None

    def meant(self, column: Column, wanted: str) -> Term | None:
        if len(column.present) == len(column):
            return None
        for each in self.params:
            if wanted in each.wanted and not each.derived and column.within(each.column):
                return Name(each.name)
        return None

    def lifted(self, column: Column) -> Term | None:
        return self.found(column)

    def walked_for(self, column: Column, wanted: str) -> Term:
        return self.made(column, wanted)

    def reserve(self, name: str) -> None:
        self.names.taken.add(name)

    def note(self, name: str, wanted: str) -> None:
        for each in self.params:
            if each.name == name:
                each.wanted.append(wanted)

    def _of_given(self, name: str) -> Term:
        """A parameter that stands for a given name, which nodes may hide."""
        made = Made(self.names.new(of_given(name)), self.given[name], Name(name), True, "")
        self.params.append(made)
        self.used.add(name)
        return Name(made.name)

    def _with_given(self, term: Term) -> Term:
        if isinstance(term, Name):
            return self._of_given(term.name)
        if isinstance(term, Binary):
            return Binary(term.operator, self._with_given(term.left), self._with_given(term.right))
        return term

    def made(self, column: Column, wanted: str, local: Local = NOTHING) -> Term:
        if (ratio := self.ratio(column, local)) is not None:
            size, times = ratio
            return Binary("*", self.said(times, "expand"), Name(size))
        name = next((n for n, c in self.known.items() if column.within(c)), wanted)
        made = Made(self.names.new(_word(name)), column, None, False, wanted)
        made.is_known = name is not wanted
        self.params.append(made)
        return Name(made.name)

    def condition(self, term: Term, column: Column, wanted: str, given: Sequence[str]) -> Term:
        """A parameter whose default is a condition, over given names among others."""
        made = Made(self.names.new(wanted), column, term, True, wanted)
        self.params.append(made)
        self.used.update(given)
        return Name(made.name)

    def close(self) -> None:
        """Fills all parameters, and gives them defaults: what most instances have."""
        for made in self.params:
            if made.derived:
                continue
            usual = majority(made.column)
            if _is_usual(made.wanted[0], usual, made.column):
                made.default = Constant(usual)
            made.column = Column([usual if v is ABSENT else v for v in made.column.values])


def _mergeable(made: Made, column: Column) -> bool:
    """Whether a parameter may get values where it had none: most instances have both."""
    both = sum(made.column.values[i] is not ABSENT for i in column.present)
    return both * 2 >= len(column.present) and len(column.distinct) > 1


def _is_usual(name: str, usual: Value, column: Column) -> bool:
    """Whether a value is a default: most have it, and it is no number of channels."""
    share = sum(1 for i in column.present if column.keys[i] == key(usual))
    if is_size(name) and usual != 0:
        return False
    return share * 2 >= len(column.present) and share > 1


def kind_of(column: Column) -> str:
    """The word for the type of a parameter. Raises `Unalike` where it has several."""
    kinds = {type(value) for value in column.values if value is not ABSENT}
    if kinds == {tuple}:
        return "list"
    if kinds == {Leaf}:
        return "layers"
    if len(kinds) > 1:
        if kinds == {int, float}:
            return "float"
        raise Unalike
    return {int: "int", float: "float", bool: "bool", str: "str"}[kinds.pop()]


_WORDS = """
index input len min max range round ceil floor abs sum int log sqrt exp sin cos divisible pi true
false null and or not in if else for size float bool str list layers
"""
RESERVED = frozenset(_WORDS.split())
"""Words that mean something in expressions, or that say a type."""


def _word(name: str) -> str:
    return name if name.isidentifier() else "value"


class LoopScope(Scope):
    """What a loop walks, over all its iterations of all rows around it."""

    def __init__(
        self, parent: Scope, rows: Sequence[tuple[int, int]], times: Column, counter: str
    ) -> None:
        super().__init__(len(rows))
        self.parent, self.rows, self.times, self.counter = parent, rows, times, counter
        self.owners = [row for row, _ in rows]
        self.index = Column([t for _, t in rows])
        self.lists: dict[str, Term] = {}
        self.walked: dict[str, Column] = {}

    def variables(self) -> Iterator[tuple[Term, Column]]:
        for name, column in self.walked.items():
            yield Name(name), column
        for term, column in self.parent.variables():
            yield term, column.taken(self.owners)

    def found(self, column: Column, local: Local = NOTHING) -> Term | None:
        if column.is_constant:
            return Constant(column.first)
        outer = self.outer(column)
        if outer is not None and (term := self.parent.lifted(outer)) is not None:
            return term
        if (term := self.equal(column, local)) is not None:
            return term
        if (term := self._counted(column)) is not None:
            return term
        if (term := self.computed(column, local)) is not None:
            return term
        return self._first_differs(column)

    def lifted(self, column: Column) -> Term | None:
        """The term for a loop inside, without the counter of this one."""
        if column.is_constant:
            return Constant(column.first)
        outer = self.outer(column)
        if outer is not None and (term := self.parent.lifted(outer)) is not None:
            return term
        return self.equal(column, NOTHING) or self.computed(column, NOTHING)

    def outer(self, column: Column) -> Column | None:
        """The column over the rows around the loop, where it is the same in each iteration."""
        found: list[Any] = [ABSENT] * self.parent.size
        keys: dict[int, Any] = {}
        for i in column.present:
            row = self.owners[i]
            if row in keys and keys[row] != column.keys[i]:
                return None
            keys[row], found[row] = column.keys[i], column.values[i]
        return Column(found)

    def _counted(self, column: Column) -> Term | None:
        """`index`, or `index + 1`."""
        if not column.are_numbers or max(self.times.values[r] for r in self.times.present) < 3:
            return None
        more = column.values[column.present[0]] - self.index.values[column.present[0]]
        if any(column.values[i] != self.index.values[i] + more for i in column.present):
            return None
        return plus(Name(self.counter), more)

    def _progress(self, column: Column) -> Term | None:
        """A rate that grows with each iteration: `0.2 * (before + index) / 16`."""
        if len(column.distinct) < 3 or any(
            type(column.values[i]) is not float for i in column.present
        ):
            return None
        for total in (len(column), len(column) - 1):
            last = column.present[-1]
            rate = float(f"{column.values[last] * total / last:.4g}") if last else 0.0
            if rate and all(column.values[i] == rate * i / total for i in column.present):
                product = Binary("*", Constant(rate), self._place())
                return Binary("/", product, Constant(total))
        return None

    def _place(self) -> Term:
        """The number of an iteration among those of all rows."""
        if self.parent.size == 1:
            return Name(self.counter)
        starts = {row: i for i, (row, t) in reversed(list(enumerate(self.rows))) if t == 0}
        before = spread(self.parent.size, list(starts), list(starts.values()))
        return Binary("+", self.parent.walked_for(before, "before"), Name(self.counter))

    def _first_differs(self, column: Column) -> Term | None:
        """`2 if index == 0 else 1`."""
        first, rest = self._split(column)
        if not first.present or not rest.present:
            return None
        one, other = self.outer(first), self.outer(rest)
        if one is None or other is None:
            return None
        then = self.parent.lifted(one)
        otherwise = None if then is None else self.parent.lifted(other)
        if then is None or otherwise is None:
            return None
        return Conditional(Binary("==", Name(self.counter), Constant(0)), then, otherwise)

    def _split(self, column: Column) -> tuple[Column, Column]:
        first = [
            v if t == 0 else ABSENT for v, t in zip(column.values, self.index.values, strict=True)
        ]
        rest = [
            v if t != 0 else ABSENT for v, t in zip(column.values, self.index.values, strict=True)
        ]
        return Column(first), Column(rest)

    def made(self, column: Column, wanted: str, local: Local = NOTHING) -> Term:
        outer = self.outer(column)
        if outer is not None:
            return self.parent.walked_for(outer, wanted)
        if (ratio := self.ratio(column, local)) is not None:
            name, times = ratio
            return Binary("*", self.said(times, "expand"), Name(name))
        if (term := self._progress(column)) is not None:
            return term
        first, rest = self._split(column)
        tail = self.outer(rest)
        if first.present and rest.present and tail is not None and self.outer(first) is not None:
            otherwise = self.parent.lifted(tail)
            if otherwise is not None:
                return self._either(first, otherwise, wanted)
        return self._walk(column, wanted)

    def _either(self, first: Column, otherwise: Term, wanted: str) -> Term:
        head = self.outer(first)
        assert head is not None
        then = self.parent.lifted(head)
        if then is None:
            then = self.parent.walked_for(head, wanted)
        return Conditional(Binary("==", Name(self.counter), Constant(0)), then, otherwise)

    def walked_for(self, column: Column, wanted: str) -> Term:
        outer = self.outer(column)
        return (
            self._walk(column, wanted) if outer is None else self.parent.walked_for(outer, wanted)
        )

    def _walk(self, column: Column, wanted: str) -> Term:
        """A list with an element for each iteration. Raises `Unalike` where it would be layers."""
        if any(isinstance(column.values[i], Leaf) for i in column.present):
            raise Unalike
        rows: dict[int, list[Any]] = {}
        usual = majority(column)
        for (row, _), value in zip(self.rows, column.values, strict=True):
            rows.setdefault(row, []).append(usual if value is ABSENT else value)
        lists = spread(self.parent.size, list(rows), [tuple(each) for each in rows.values()])
        name = list_name(wanted)
        term = self.parent.said(lists, name if name.endswith("s") else f"{name}s")
        taken = {*self.walked, *RESERVED, *self._outer_names(), *_names_in(term)}
        name = next(each for each in element_names(name) if each not in taken)
        self.walked[name] = Column([usual if v is ABSENT else v for v in column.values])
        self.lists[name] = term
        self.reserve(name)
        return Name(name)

    def reserve(self, name: str) -> None:
        self.parent.reserve(name)

    def note(self, name: str, wanted: str) -> None:
        self.parent.note(name, wanted)

    def _outer_names(self) -> set[str]:
        return {t.name for t, _ in self.parent.variables() if isinstance(t, Name)}

    def name(self, column: Column) -> Term:
        """The names of nodes, which count up. Raises `Unalike`."""
        if column.is_constant:
            return Constant(column.first)
        outer = self.outer(column)
        if outer is not None and isinstance(self.parent, LoopScope):
            return self.parent.name(outer)
        ordered = sorted(column.present, key=lambda i: self.index.values[i])
        by_count = {self.index.values[i]: column.values[i] for i in ordered}
        names = [by_count[t] for t in sorted(by_count)]
        if any(column.values[i] != by_count[self.index.values[i]] for i in column.present):
            raise Unalike
        found = counting([str(name) for name in names])
        if found is None:
            raise Unalike
        before, first, behind = found
        number = plus(Name(self.counter), first - min(by_count))
        return Text(tuple([part for part in (before, number, behind) if part != ""]))


def _names_in(term: Term) -> set[str]:
    return {term.name} if isinstance(term, Name) else set()


def plus(term: Term, more: int) -> Term:
    """A term and a whole number."""
    if more == 0:
        return term
    return Binary("+" if more > 0 else "-", term, Constant(abs(more)))
