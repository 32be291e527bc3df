"""The statements of a constructor: how the children of a class are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from archspec.ejecting.forward import Line
from archspec.ejecting.loops import Walk, clause, header, is_sequence, walk
from archspec.ejecting.members import Member, Unsayable, is_plain, member
from archspec.ejecting.naming import Naming
from archspec.ejecting.parts import (
    class_word,
    fixed_name,
    flattened,
    grows,
    is_weightless,
    iteration_entry,
    key_source,
    top_names,
    words,
)
from archspec.ejecting.terms import source
from archspec.ejecting.view import OWNER
from archspec.folding.naming import Names
from archspec.folding.template import Call, Entry, Group, Loop, Op, Part
from archspec.folding.terms import Term
from archspec.folding.tree import Edge


class Building(Naming):
    """Writes the statements that make the children of one class."""

    def value(self, content: Op | Call | Group) -> str:
        """Source of a new child."""
        if isinstance(content, Op):
            return self.classes.constructors.call(content, self.spell)
        if isinstance(content, Group):
            return self._group(content)
        return f"{self.classes.name(content.template)}({', '.join(self._arguments(content))})"

    def _arguments(self, call: Call) -> Iterator[str]:
        """The arguments of a class of this file: those without defaults by position."""
        given = call.arguments
        for each in sorted(call.template.parameters, key=lambda each: each.default is not None):
            if each.name in given:
                text = source(given[each.name], self.spell)
                spelled = self.classes.spelled(call.template)[each.name]
                yield text if each.default is None else f"{spelled}={text}"

    def _group(self, group: Group) -> str:
        """A chain on one line."""
        if not is_sequence(group.parts):
            raise Unsayable("a list without a class that is no chain")
        if any(grows(part) for part in group.parts):
            raise Unsayable("a chain with loops or conditions inside another expression")
        entries = [part for part in group.parts if isinstance(part, Entry)]
        made = [self.value(entry.content) for entry in entries]
        if all(entry.name is None for entry in entries):
            return f"nn.Sequential({', '.join(made)})"
        words = Names(top_names(entries))
        keys = [
            words.new(class_word(value)) if is_weightless(entry) else fixed_name(entry, position)
            for position, (entry, value) in enumerate(zip(entries, made, strict=True))
        ]
        self.classes.constructors.needs_ordered = True
        if all(map(is_plain, keys)):
            pairs = [f"{key}={value}" for key, value in zip(keys, made, strict=True)]
            return f"nn.Sequential(OrderedDict({', '.join(pairs)}))"
        pairs = [f'("{key}", {value})' for key, value in zip(keys, made, strict=True)]
        return f"nn.Sequential(OrderedDict([{', '.join(pairs)}]))"

    def _made(self, parts: Sequence[Part], depth: int) -> Iterator[Line]:
        """The statements that make the children of these parts."""
        for part in parts:
            if is_weightless(part):
                yield from self._weightless(part, depth)
            elif isinstance(part, Loop) and part.name is None:
                for inner in flattened([part]):
                    if is_weightless(inner):
                        yield from self._weightless(inner, depth)
                    elif id(inner) in self.found:
                        holders = self.members.new_holders(self.found[id(inner)])
                        yield from (Line(text, depth) for text in holders)
                if body := self._loop_body(part):
                    for line in self._repeated(part, body):
                        yield line._replace(depth=line.depth + depth)
            elif isinstance(part, Loop) or self.kind(part):
                for line in self._child(part):
                    yield line._replace(depth=line.depth + depth)
            elif part.marks.get("both_keys") and part.name is not None:
                yield from self._second_key(part, member(part.name), depth)

    def _second_key(self, part: Entry, own: Member, depth: int) -> Iterator[Line]:
        """The statements that give a shared module another name."""
        giver = self.template.parts[dict(part.links)[OWNER]]
        if id(giver) in self.found and not is_weightless(giver):
            given = self.members.read(self.found[id(giver)], self.spell)
            yield from (Line(text, depth) for text in self.members.new_holders(own))
            yield Line(self.members.write(own, given, self.spell, "module"), depth)

    def _weightless(self, part: Part, depth: int) -> Iterator[Line]:
        """The statements that make a module without weights, once for all that are equal."""
        own = self.found[id(part)]
        if own not in self.written:
            self.written.append(own)
            for line in self._child(part):
                yield line._replace(depth=line.depth + depth)

    def _loop_body(self, loop: Loop) -> list[Line]:
        parts = [part for part in loop.parts if not is_weightless(part)]
        return list(self._made(parts, 0))

    def _child(self, part: Part) -> Iterator[Line]:
        own = self.found[id(part)]
        if isinstance(part, Entry) and part.links and part.links[0][0] == OWNER:
            raise AssertionError("a node that shares a module has no child")
        yield from map(Line, self.members.new_holders(own))
        lines = list(self._child_lines(part, own))
        if part.when is None:
            yield from lines
            return
        if self.is_optional(part):
            yield Line(f"{self.members.read(own, self.spell)} = None")
        yield Line(f"if {source(part.when, self.spell)}:")
        yield from (line._replace(depth=line.depth + 1) for line in lines)

    def _child_lines(self, part: Part, own: Member) -> Iterator[Line]:
        if isinstance(part, Loop):
            yield from self._own_loop(part, own)
            return
        marks, kind = part.marks, self.kind(part)
        if isinstance(part.content, Group) and any(map(grows, part.content.parts)):
            yield from self._grown(part.content, own)
        else:
            more = ", persistent=False" if marks.get("keyless") else ""
            value = self.value(part.content)
            for text in self.members.register(own, value, self.spell, kind, more):
                yield Line(text)
        held = {"module": "_modules", "parameter": "_parameters", "buffer": "_buffers"}[kind]
        made = self.members.read(own, self.spell, held)
        without: Any = marks.get("without", ())
        for name in without:
            yield Line(f'{made}.register_parameter("{name}", None)')
        if marks.get("frozen"):
            yield Line(f"{made}.requires_grad_(False)")
        for mark, how in marks.items():
            if mark.startswith("computed ") and not self.classes.constructors.computes_last:
                yield Line(self.classes.constructors.computed(made, mark.split()[1], how))

    def _own_loop(self, loop: Loop, own: Member) -> Iterator[Line]:
        """A list of its own, whose children are the iterations."""
        before, made = self._iterations(loop, self._list_name(own))
        yield from before
        yield Line(self.members.write(own, made, self.spell, "module"))

    def _iterations(self, loop: Loop, variable: str) -> tuple[list[Line], str]:
        """The statements before a list of iterations, and what makes it."""
        kind = "nn.Sequential" if walk(loop) is Walk.SEQUENTIAL else "nn.ModuleList"
        star = "*" if kind == "nn.Sequential" else ""
        entry = iteration_entry(loop)
        is_long = isinstance(entry.content, Group) and any(map(grows, entry.content.parts))
        if is_long or id(loop) in self.classes.running:
            body = self._made_then(entry, lambda made: f"{variable}.append({made})", variable)
            start = Line(f"{variable}: list[nn.Module] = []")
            return [start, *self._repeated(loop, list(body))], f"{kind}({star}{variable})"
        made = self.value(entry.content)
        return [], f"{kind}({star}[{made} for {clause(loop, words(made), self._say)}])"

    def _list_name(self, own: Member) -> str:
        """A variable for the modules of a child."""
        variable = "layers" if own.fixed is None or not is_plain(own.fixed) else own.fixed
        return f"{variable}_layers" if variable in self.spelled.values() else variable

    def _repeated(self, loop: Loop, body: Sequence[Line]) -> Iterator[Line]:
        """The loop with these statements, and with the variable that it counts channels in."""
        run = self.classes.running.get(id(loop))
        lines = list(body)
        if run is not None and run.name in words(" ".join([line.text for line in lines])):
            start, update = self._say(run.start), self._say(run.update)
            if start != run.name:
                yield Line(f"{run.name} = {start}")
            grown = update.removeprefix(f"{run.name} + ")
            if grown != run.name:
                lines.append(Line(f"{run.name} {'=' if grown == update else '+='} {grown}"))
        yield Line(header(loop, lines, self._say))
        yield from (line._replace(depth=line.depth + 1) for line in lines)

    def _grown(self, group: Group, own: Member) -> Iterator[Line]:
        """A chain with loops and conditions."""
        if all(part.name is None for part in flattened(group.parts)):
            variable = self._list_name(own)
            made = list(self._listed(variable, group.parts))
            if len(made) == 1:
                value = made[0].text.partition(" = ")[2]
                made, variable = [], value
            yield from made
            yield Line(self.members.write(own, f"nn.Sequential(*{variable})", self.spell, "module"))
            return
        first = 0
        while first < len(group.parts) and not grows(group.parts[first]):
            first += 1
        start = self._group(Group(group.parts[:first], (Edge(first - 1),)))
        yield Line(self.members.write(own, start, self.spell, "module"))
        yield from self._added(group.parts[first:], self.members.read(own, self.spell))

    def _added(self, parts: Sequence[Part], to: str) -> Iterator[Line]:
        """Statements that add named children to a chain."""
        for part in parts:
            if isinstance(part, Loop) and part.name is None:
                if part.when is not None:
                    raise Unsayable("a loop of named children that may be left out")
                body = list(self._added(part.parts, to))
                yield from self._repeated(part, body)
                continue
            if isinstance(part, Loop):
                before, made = self._iterations(part, "stages")
                lines = [
                    *before,
                    Line(f"{to}.add_module({key_source(part.name, self.spell)}, {made})"),
                ]
            else:
                key = self._added_key(part)
                add = partial("{0}.add_module({1}, {2})".format, to, key)
                lines = list(self._made_then(part, add, "stages"))
            if part.when is not None:
                yield Line(f"if {source(part.when, self.spell)}:")
                lines = [line._replace(depth=line.depth + 1) for line in lines]
            yield from lines

    def _added_key(self, part: Entry) -> str:
        if is_weightless(part):
            return f'"{class_word(self.value(part.content))}"'
        if part.name is None:
            raise Unsayable("a chain with names, and with children that have none")
        return key_source(part.name, self.spell)

    def _listed(self, variable: str, parts: Sequence[Part]) -> Iterator[Line]:
        """Statements that make a list of modules."""
        first = 0
        while first < len(parts) and not grows(parts[first]):
            first += 1
        if any(part.name is not None for part in parts[:first]):
            raise Unsayable("a named child among others that are numbered")
        start = [self.value(part.content) for part in parts[:first] if isinstance(part, Entry)]
        rest = list(self._appended(variable, parts[first:]))
        if not start and rest[0].text.startswith(f"{variable} += "):
            value = rest.pop(0).text.removeprefix(f"{variable} += ")
            yield Line(f"{variable}: list[nn.Module] = {value}")
            yield from rest
            return
        yield Line(f"{variable}: list[nn.Module] = [{', '.join(start)}]")
        yield from rest

    def _appended(self, variable: str, parts: Sequence[Part]) -> Iterator[Line]:
        for part in parts:
            if isinstance(part, Loop):
                lines = list(self._appended_loop(variable, part))
            elif part.name is not None:
                raise Unsayable("a named child among others that are numbered")
            else:
                add = f"{variable}.append({{0}})".format
                lines = list(self._made_then(part, add, variable))
            if part.when is not None:
                yield Line(f"if {source(part.when, self.spell)}:")
                lines = [line._replace(depth=line.depth + 1) for line in lines]
            yield from lines

    def _appended_loop(self, variable: str, loop: Loop) -> Iterator[Line]:
        if loop.name is not None:
            before, inside = self._iterations(loop, "stages")
            yield from before
            yield Line(f"{variable}.append({inside})")
            return
        body = list(self._appended(variable, loop.parts))
        if len(body) == 1 and id(loop) not in self.classes.running:
            say = clause(loop, words(body[0].text), self._say)
            made = body[0].text.removeprefix(f"{variable}.append(")[:-1]
            yield Line(f"{variable} += [{made} for {say}]")
        else:
            yield from self._repeated(loop, body)

    def _made_then(self, part: Entry, use: Callable[[str], str], taken: str) -> Iterator[Line]:
        """The statements that make a module and use it, a chain that grows in a list of its own."""
        if isinstance(part.content, Group) and any(map(grows, part.content.parts)):
            inner = self.chains.new("stage")
            if all(each.name is None for each in flattened(part.content.parts)):
                yield from self._listed(inner, part.content.parts)
                yield Line(use(f"nn.Sequential(*{inner})"))
            else:
                yield Line(f"{inner} = nn.Sequential()")
                yield from self._added(part.content.parts, inner)
                yield Line(use(inner))
        else:
            yield Line(use(self.value(part.content)))

    def _say(self, term: Term) -> str:
        return source(term, self.spell)

    def _ties(self) -> Iterator[Line]:
        for part in self.template.parts:
            for word, owner in part.links if isinstance(part, Entry) else ():
                if word == OWNER:
                    continue
                name, key = word.split()
                target = self.members.read(self.found[id(part)], self.spell)
                giver = self.template.parts[owner]
                given = self.members.read(self.found[id(giver)], self.spell)
                yield Line(f"{target}.{name} = {given}.{key}")
