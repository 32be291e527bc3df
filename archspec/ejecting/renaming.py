"""Other names for what Python could not tell apart: a list, and what a loop calls its elements."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence

from archspec.ejecting.terms import names as names_of
from archspec.folding.template import Call, Entry, Group, Loop, Op, Parameter, Part, Template
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

Names = Mapping[str, str]


class Renamer:
    """Gives templates whose loops hide no name. Each template is changed once."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Template, Template]] = {}
        self.parameters: dict[int, Names] = {}
        self.counters: list[str] = []

    def template(self, template: Template) -> Template:
        """The template with other names for those of its parameters that a loop would hide."""
        if id(template) not in self.known:
            outer, self.counters = self.counters, []
            hidden = set(_walked(template.parts))
            found = {p.name: f"{p.name}_list" for p in template.parameters if p.name in hidden}
            self.parameters[id(template)] = found
            parameters = [self._parameter(each, found) for each in template.parameters]
            changed = template._replace(
                parameters=tuple(parameters), parts=self._parts(template.parts, found)
            )
            self.known[id(template)] = template, changed
            self.counters = outer
        return self.known[id(template)][1]

    def _parameter(self, parameter: Parameter, names: Names) -> Parameter:
        default = parameter.default and renamed(parameter.default, names)
        return parameter._replace(name=names.get(parameter.name, parameter.name), default=default)

    def _parts(self, parts: Sequence[Part], names: Names) -> tuple[Part, ...]:
        return tuple([self._part(part, names) for part in parts])

    def _part(self, part: Part, names: Names) -> Part:
        name = part.name and renamed(part.name, names)
        when = part.when and renamed(part.when, names)
        if isinstance(part, Entry):
            return part._replace(name=name, when=when, content=self._content(part.content, names))
        counter = part.counter
        while counter in self.counters:
            counter = {"index": "position"}.get(counter, f"{counter}_")
        self.counters.append(counter)
        inner = set(_walked(part.parts))
        own = {each: variable_name(each) for each in part.lists if each != variable_name(each)}
        own |= {each: f"{variable_name(each)}_list" for each in part.lists if each in inner}
        if "in_channels" in part.lists:  # a name for what the list itself reads
            own["in_channels"] = "channels_in"
        inside = {key: each for key, each in names.items() if key not in part.lists} | own
        lists = {own.get(key, key): renamed(each, names) for key, each in part.lists.items()}
        if counter != part.counter:
            inside[part.counter] = counter
            name = name and renamed(name, {part.counter: counter})
        times = part.times and renamed(part.times, names)
        parts = self._parts(part.parts, inside)
        self.counters.pop()
        changed = part._replace(
            counter=counter, name=name, when=when, lists=lists, times=times, parts=parts
        )
        return _with_named_iterations(changed)

    def _content(self, content: Op | Call | Group, names: Names) -> Op | Call | Group:
        if isinstance(content, Group):
            return content._replace(parts=self._parts(content.parts, names))
        arguments = {key: renamed(each, names) for key, each in content.arguments.items()}
        if isinstance(content, Op):
            return content._replace(arguments=arguments)
        template = self.template(content.template)
        new = self.parameters[id(content.template)]
        return Call(template, {new.get(key, key): each for key, each in arguments.items()})


def _with_named_iterations(loop: Loop) -> Loop:
    """The loop, whose one part has the name that the loop gives each iteration."""
    if loop.name is None or loop.counter not in names_of(loop.name):
        return loop
    if len(loop.parts) == 1 and isinstance(loop.parts[0], Entry):
        entry = loop.parts[0]
    else:
        reads = tuple([Edge(INPUT, number) for number in range(len(loop.reads))])
        entry = Entry(None, Group(loop.parts, loop.outputs), reads, len(loop.outputs))
    outputs = tuple([Edge(0, number) for number in range(len(loop.outputs))])
    return loop._replace(name=None, parts=(entry._replace(name=loop.name),), outputs=outputs)


def variable_name(name: str) -> str:
    """A name as Python spells it."""
    if "|" in name:  # it is called after what a node is
        prefix, _, path = name.partition("|")[0].partition("_")
        name = f"{prefix}_{path.rpartition('.')[2] or 'part'}"
    plain = re.sub(r"\W", "_", name).lower()
    return f"{plain}_" if keyword.iskeyword(plain) or plain in ("self", "nn", "torch") else plain


def _walked(parts: Sequence[Part]) -> Iterator[str]:
    """What loops call the elements of their lists."""
    for part in parts:
        if isinstance(part, Loop):
            yield from part.lists
            yield from _walked(part.parts)
        elif isinstance(part.content, Group):
            yield from _walked(part.content.parts)


def renamed(term: Term, names: Names) -> Term:
    """The term with other names."""
    if not names or isinstance(term, Constant):
        return term
    if isinstance(term, Name):
        return Name(names.get(term.name, term.name))
    if isinstance(term, Binary):
        return Binary(term.operator, renamed(term.left, names), renamed(term.right, names))
    if isinstance(term, Conditional):
        return Conditional(*[renamed(each, names) for each in term])
    if isinstance(term, Item):
        return Item(renamed(term.of, names), renamed(term.position, names))
    if isinstance(term, Field):
        return Field(renamed(term.of, names), term.name)
    if isinstance(term, Items):
        return Items(tuple([renamed(each, names) for each in term.items]))
    parts = [part if isinstance(part, str) else renamed(part, names) for part in term.parts]
    return Text(tuple(parts))
