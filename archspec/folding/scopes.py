"""Scopes: what names stand for in each row, and how a column is said with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from archspec.folding.arithmetic import derived
from archspec.folding.columns import ABSENT, Column, Unalike, spread
from archspec.folding.naming import is_size
from archspec.folding.terms import Constant, Name, Term
from archspec.folding.terms import Sequence as Items
from archspec.folding.tree import Formula

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


_WORDS = """
index input len min max range round ceil floor abs sum int log sqrt exp sin cos divisible pi true
false null and or not in if else for size float bool str list layers
"""
RESERVED = frozenset(_WORDS.split())
"""Words that mean something in expressions, or that say a type."""
