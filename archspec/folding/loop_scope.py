"""The scope of a loop: what it walks, over all its iterations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archspec.folding.columns import ABSENT, Column, Unalike, majority, spread
from archspec.folding.naming import counting, element_names, list_name
from archspec.folding.scopes import NOTHING, RESERVED, Local, Scope
from archspec.folding.terms import Binary, Conditional, Constant, Name, Term, Text
from archspec.folding.tree import Leaf


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
            if not rate:
                continue
            if all(column.values[i] == rate * i / total for i in column.present):
                product = Binary("*", Constant(rate), self._place())
                return Binary("/", product, Constant(total))
            steps = round(total / rate)  # where the numbers were rounded
            if all(column.values[i] == i / steps for i in column.present):
                return Binary("/", self._place(), Constant(steps))
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
