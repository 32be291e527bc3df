"""Loops of two iterations that differ, written out: two calls read better than two conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archspec.ejecting.terms import names
from archspec.folding.template import Call, Entry, Group, Loop, Op, Part, Template
from archspec.folding.terms import (
    Binary,
    Conditional,
    Constant,
    Field,
    Item,
    Name,
    Term,
    Text,
)
from archspec.folding.terms import Sequence as Items
from archspec.folding.tree import INPUT, Edge

MOST = 2
"""A loop of more iterations stays one."""

Values = Mapping[str, Term]


class Unroller:
    """Gives templates without such loops. Each template is changed once."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Template, Template]] = {}

    def template(self, template: Template) -> Template:
        """The template, and those that it calls, without loops of two different iterations."""
        if id(template) not in self.known:
            parts, outputs = self.list(template.parts, template.outputs, {})
            changed = template._replace(parts=parts, outputs=outputs)
            self.known[id(template)] = template, changed
        return self.known[id(template)][1]

    def list(
        self, parts: Sequence[Part], outputs: Sequence[Edge], values: Values
    ) -> tuple[tuple[Part, ...], tuple[Edge, ...]]:
        """The parts and outputs of one list."""
        writer = _List(self, values)
        for position, part in enumerate(parts):
            writer.add(position, part)
        return tuple(writer.parts), tuple(map(writer.edge, outputs))

    def content(self, content: Op | Call | Group, values: Values) -> Op | Call | Group:
        """What an entry is, with some names replaced."""
        if isinstance(content, Group):
            return Group(*self.list(content.parts, content.outputs, values))
        arguments = {key: replaced(term, values) for key, term in content.arguments.items()}
        if isinstance(content, Op):
            return Op(content.kind, arguments)
        return Call(self.template(content.template), arguments)


class _List:
    """Collects the parts of a list; `moved` says what stands for each edge of the list before."""

    def __init__(self, unroller: Unroller, values: Values) -> None:
        self.unroller, self.values = unroller, values
        self.parts: list[Part] = []
        self.moved: dict[Edge, Edge] = {}
        self.places: dict[int, int] = {}

    def edge(self, edge: Edge) -> Edge:
        """What stands for an edge."""
        return self.moved.get(edge, edge)

    def add(self, position: int, part: Part) -> None:
        """Adds a part, or its iterations."""
        if isinstance(part, Loop) and _is_short(part):
            self._unroll(position, part)
            return
        self.places[position] = len(self.parts)
        changed = self._changed(part)
        count = len(part.outputs) if isinstance(part, Loop) else part.outputs
        for output in range(count):
            self.moved[Edge(position, output)] = Edge(len(self.parts), output)
        self.parts.append(changed)

    def _changed(self, part: Part) -> Part:
        name = part.name and replaced(part.name, self.values)
        when = part.when and replaced(part.when, self.values)
        reads = tuple(map(self.edge, part.reads))
        if isinstance(part, Entry):
            links = tuple([(word, self.places[owner]) for word, owner in part.links])
            content = self.unroller.content(part.content, self.values)
            return part._replace(name=name, when=when, reads=reads, links=links, content=content)
        inside = {k: v for k, v in self.values.items() if k not in (part.counter, *part.lists)}
        parts, outputs = self.unroller.list(part.parts, part.outputs, inside)
        lists = {key: replaced(term, self.values) for key, term in part.lists.items()}
        times = part.times and replaced(part.times, self.values)
        changed = part._replace(name=name, when=when, reads=reads, lists=lists, times=times)
        return changed._replace(parts=parts, outputs=outputs)

    def _unroll(self, position: int, loop: Loop) -> None:
        carried = list(map(self.edge, loop.reads))
        for number in range(_times(loop) or 0):
            values: dict[str, Term] = {loop.counter: Constant(number)}
            for name, term in loop.lists.items():
                value: Any = term.value if isinstance(term, Constant) else None
                values[name] = Constant(value[number])
            inner = _List(self.unroller, {**self.values, **values})
            inner.parts = self.parts
            inner.moved = {Edge(INPUT, k): edge for k, edge in enumerate(carried)}
            for place, part in enumerate(loop.parts):
                inner.add(place, part)
            carried[: len(loop.outputs)] = map(inner.edge, loop.outputs)
        for output, edge in enumerate(carried[: len(loop.outputs)]):
            self.moved[Edge(position, output)] = edge


def _is_short(loop: Loop) -> bool:
    """Whether it is a loop of two iterations that differ."""
    times = _times(loop)
    if loop.name is not None or loop.when is not None or times is None or times > MOST:
        return False
    return bool(_asked(loop.parts) & {loop.counter, *loop.lists})


def _times(loop: Loop) -> int | None:
    if loop.times is not None:
        value = loop.times.value if isinstance(loop.times, Constant) else None
        return value if isinstance(value, int) else None
    lengths = {
        len(term.value) if isinstance(term, Constant) and isinstance(term.value, tuple) else None
        for term in loop.lists.values()
    }
    return lengths.pop() if len(lengths) == 1 else None


def _asked(parts: Sequence[Part]) -> set[str]:
    """The names that the arguments and conditions of parts read; those of children do not count."""
    found: set[str] = set()
    for part in parts:
        found |= names(part.when) if part.when is not None else set()
        if isinstance(part, Loop):
            found |= _asked(part.parts)
        elif isinstance(part.content, Group):
            found |= _asked(part.content.parts)
        else:
            found = found.union(*map(names, part.content.arguments.values()))
    return found


_OPERATORS: Mapping[str, Any] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
}


def replaced(term: Term, values: Values) -> Term:
    """The term with other terms for names, and computed where it is a number then."""
    if isinstance(term, Constant) or not values:
        return term
    if isinstance(term, Name):
        return values.get(term.name, term)
    if isinstance(term, Conditional):
        condition = replaced(term.condition, values)
        if isinstance(condition, Constant):
            return replaced(term.then if condition.value else term.otherwise, values)
        return Conditional(condition, replaced(term.then, values), replaced(term.otherwise, values))
    if isinstance(term, Binary):
        left, right = replaced(term.left, values), replaced(term.right, values)
        compute = _OPERATORS.get(term.operator)
        if compute and isinstance(left, Constant) and isinstance(right, Constant):
            return Constant(compute(left.value, right.value))
        if compute and isinstance(left, Conditional) and isinstance(right, Constant):
            sides = (left.then, left.otherwise)
            made = [compute(s.value, right.value) for s in sides if isinstance(s, Constant)]
            if made == [True, False] and all(isinstance(each, bool) for each in made):
                return left.condition
        return Binary(term.operator, left, right)
    if isinstance(term, Item):
        of, place = replaced(term.of, values), replaced(term.position, values)
        if isinstance(of, Constant) and isinstance(place, Constant):
            value: Any = of.value
            return Constant(value[place.value])
        return Item(of, place)
    if isinstance(term, Field):
        return Field(replaced(term.of, values), term.name)
    if isinstance(term, Items):
        return Items(tuple([replaced(item, values) for item in term.items]))
    return _text([p if isinstance(p, str) else replaced(p, values) for p in term.parts])


def _text(parts: Sequence[str | Term]) -> Term:
    said = [str(part.value) if isinstance(part, Constant) else part for part in parts]
    if all(isinstance(part, str) for part in said):
        return Constant("".join(map(str, said)))
    return Text(tuple(said))
