"""The scope of a class: its parameters, over its instances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archspec.folding.arithmetic import derived
from archspec.folding.columns import ABSENT, Column, Unalike, key, majority
from archspec.folding.naming import Names, is_size, of_given
from archspec.folding.scopes import NOTHING, RESERVED, Local, Scope
from archspec.folding.terms import Binary, Constant, Name, Term
from archspec.folding.tree import Leaf, Value


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
        """Gives parameters defaults: what most instances have.

        One that some instances do not need has a default in any case.
        """
        for made in self.params:
            if made.derived:
                continue
            usual = majority(made.column)
            if len(made.column.present) < len(made.column):
                made.default = Constant(0.0 if isinstance(usual, float) else usual)
            elif _is_usual(made.wanted[0], usual, made.column):
                made.default = Constant(usual)


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


def _word(name: str) -> str:
    return name if name.isidentifier() else "value"
