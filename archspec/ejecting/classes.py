"""Template → the source of its class, after those of the classes that it calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from archspec.ejecting.channels import Running
from archspec.ejecting.constructors import Constructors
from archspec.ejecting.forward import Line, Scope, Writer
from archspec.ejecting.layout import WIDTH, docstring, statement
from archspec.ejecting.loops import Walk, clause, header, is_sequence, walk
from archspec.ejecting.members import Member, Members, Unsayable, is_plain, member
from archspec.ejecting.phrases import Phrase
from archspec.ejecting.renaming import variable_name
from archspec.ejecting.terms import names, source
from archspec.ejecting.view import OWNER
from archspec.folding.naming import Names
from archspec.folding.template import Call, Entry, Group, Loop, Op, Part, Template
from archspec.folding.terms import Constant, Term, Text
from archspec.folding.tree import INPUT, Edge
from archspec.record import Record

_ANNOTATIONS = {
    **{kind: kind for kind in ("int", "float", "bool", "str")},
    "list": "Sequence[int]",
    "any": "int | tuple[int, ...]",
}


class Root(Record):
    """What the class of the network has beside its own parts.

    `last` are statements at the end of its constructor. `named` are the names of its outputs.
    """

    doc: str
    last: Sequence[Line]


class Classes:
    """The classes of one file, in the order in which they are written."""

    def __init__(
        self,
        constructors: Constructors,
        shapes: Mapping[tuple[str, str], str],
        running: Mapping[int, Running] | None = None,
    ) -> None:
        self.constructors, self.shapes = constructors, shapes
        self.running: Mapping[int, Running] = {} if running is None else running
        self.names = Names(constructors.reserved)
        self.known: dict[int, tuple[Template, str]] = {}
        self.sources: list[str] = []

    def spelled(self, template: Template) -> dict[str, str]:
        """The parameters of a class as Python spells them."""
        taken = Names()
        return {each.name: taken.new(variable_name(each.name)) for each in template.parameters}

    def name(self, template: Template, root: Root | None = None) -> str:
        """The name of a template's class, which is written if it is not there."""
        if id(template) not in self.known:
            try:
                made = Class(self, template, root)
                lines = made.lines()
            except Unsayable as error:
                raise error if error.of else Unsayable(str(error), template.name) from error
            name = self.names.new(class_name(template.name)).replace("_", "")
            self.known[id(template)] = template, name
            self.sources.append("\n".join([made.header(name), *lines]))
        return self.known[id(template)][1]


def class_name(name: str) -> str:
    """The name of a block or spec as a class name: `vgg_block` becomes `VggBlock`."""
    from archspec.emit.classes import class_name as emitted_name

    return emitted_name(name.replace(".", "_"))


class Class:
    """Writes one class."""

    def __init__(self, classes: Classes, template: Template, root: Root | None) -> None:
        self.classes, self.template, self.root = classes, template, root
        self.spelled = classes.spelled(template)
        self.stored: dict[str, str] = {}
        self.sequential = root is None and self._is_sequential()
        self.members = Members([])
        self.found: dict[int, Member] = {}
        self.written: list[Member] = []
        if not self.sequential:
            self._find_members(template.parts, None)
            self.members = Members([(each, kind == "module") for each, kind in self.every])

    def _is_sequential(self) -> bool:
        parts = self.template.parts
        return (
            len(self.template.inputs) == 1
            and is_sequence(parts)
            and all(part.name is None for part in parts)
            and self.template.outputs == (Edge(len(parts) - 1),)
            and bool(parts)
        )

    # --- names ----------------------------------------------------------------------------------

    @property
    def every(self) -> list[tuple[Member, str]]:
        """All children, each as a "module", a "parameter" or a "buffer"."""
        return self._every

    def _find_members(self, parts: Sequence[Part], loop: Loop | None) -> None:
        if loop is None:
            self._every: list[tuple[Member, str]] = []
            self.weightless: dict[tuple[str, str], Member] = {}
            self.words = Names(_top_names(parts))
        for position, part in enumerate(parts):
            if isinstance(part, Loop) and part.name is None:
                self._check_loop(part)
                self._find_members(part.parts, part)
                continue
            if isinstance(part, Entry) and part.marks.get("both_keys") and part.name is not None:
                self._every.append((member(part.name), "module"))
            kind = "module" if isinstance(part, Loop) else self.kind(part)
            if kind and is_weightless(part):
                self._name_weightless(part, loop)
            elif kind:
                name = part.name
                if name is None:
                    if loop is not None or any(_moves(each) for each in parts[:position]):
                        raise Unsayable("the name of a child is its position, which is not known")
                    name = Constant(str(position))
                self.found[id(part)] = each = member(name)
                self._every.append((each, kind))

    def _name_weightless(self, part: Part, loop: Loop | None) -> None:
        """Names a module without weights, which has no key. Equal ones are one child."""
        assert isinstance(part, Entry)
        made = self.value(part.content)
        when = "" if part.when is None else source(part.when, self.spell)
        if loop is not None and {loop.counter, *loop.lists} & set(_words(f"{made} {when}")):
            raise Unsayable("a module without weights that differs between iterations")
        key = (made, when)
        if key not in self.weightless:
            self.weightless[key] = each = Member((), Constant(self.words.new(class_word(made))))
            self._every.append((each, "module"))
        self.found[id(part)] = self.weightless[key]

    def _check_loop(self, loop: Loop) -> None:
        if loop.when is not None:
            raise Unsayable("a loop that may be left out")

    def kind(self, entry: Entry) -> str:
        """What an entry is in its class; an empty text for code alone."""
        if not isinstance(entry.content, Op):
            return "module"
        phrase = Phrase.of(entry.content.kind)
        if phrase.path:
            return "module" if self.classes.constructors.is_class(phrase.path) else "buffer"
        if not phrase.tensor:
            return ""
        return "parameter" if phrase.tensor.startswith("nn.Parameter(") else "buffer"

    def spell(self, name: str) -> str:
        """A parameter in the constructor."""
        return self.spelled.get(name, name)

    def stored_name(self, name: str) -> str:
        """A parameter in `forward`: an attribute, which the constructor sets."""
        if name not in self.stored:
            own = self.spell(name)
            while any(not each.holders and each.fixed == own for each, _ in self.every) or hasattr(
                self.classes.constructors.module, own
            ):
                own += "_"
            self.stored[name] = own
        return f"self.{self.stored[name]}"

    # --- the class ------------------------------------------------------------------------------

    def header(self, name: str) -> str:
        """The first line of the class."""
        return f"class {name}({'nn.Sequential' if self.sequential else 'nn.Module'}):"

    def lines(self) -> list[str]:
        """All lines below the first."""
        doc = self.root.doc if self.root else "\n".join(self.template.notes)
        shown = self.template.name.rpartition(".")[2].replace("_", " ")
        lines = docstring(doc.strip() or f"The part `{shown}` of the network.", 4)
        forward = [] if self.sequential else self.forward()
        made = list(self.constructor())
        if made[1:] != ["        super().__init__()"]:
            lines += ["", *made]
        return lines + (["", *forward] if forward else [])

    def constructor(self) -> Iterator[str]:
        """The lines of `__init__`."""
        parameters, late = self._signature()
        yield from statement(f"def __init__({', '.join(['self', *parameters])}) -> None:", 4)
        lines = list(late)
        if self.sequential:
            lines += self._sequential_lines()
        else:
            lines += [Line("super().__init__()"), *self._stored_lines()]
            lines += self._made(self.template.parts, 0)
            lines += self._ties()
        lines += self.root.last if self.root else ()
        for line in lines:
            yield from statement(line.text, 8 + 4 * line.depth)

    def _stored_lines(self) -> Iterator[Line]:
        for name, own in self.stored.items():
            yield Line(f"self.{own} = {self.spell(name)}")

    def _signature(self) -> tuple[list[str], list[Line]]:
        """The parameters, those without a default first, and what computes the others."""
        required, optional, late = [], [], []
        for each in self.template.parameters:
            name, kind = self.spell(each.name), _ANNOTATIONS.get(each.kind, "int | tuple[int, ...]")
            if "Sequence" in kind:
                self.classes.constructors.needs_sequence = True
            if each.default is None:
                required.append(f"{name}: {kind}")
            elif each.derived:
                late.append(Line(f"{name} = {source(each.default, self.spell)}"))
            elif names(each.default):
                optional.append(f"{name}: {kind} | None = None")
                late.append(Line(f"if {name} is None:"))
                late.append(Line(f"{name} = {source(each.default, self.spell)}", 1))
            else:
                optional.append(f"{name}: {kind} = {source(each.default)}")
        return [*required, *optional], late

    def _sequential_lines(self) -> Iterator[Line]:
        parts = self.template.parts
        if any(_grows(part) for part in parts):
            yield from self._listed("layers", parts)
            yield Line("super().__init__(*layers)")
            return
        made = [self.value(part.content) for part in parts if isinstance(part, Entry)]
        yield Line(f"super().__init__({', '.join(made)})")

    # --- constructors of children -----------------------------------------------------------------

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
        if any(_grows(part) for part in group.parts):
            raise Unsayable("a chain with loops or conditions inside another expression")
        entries = [part for part in group.parts if isinstance(part, Entry)]
        made = [self.value(entry.content) for entry in entries]
        if all(entry.name is None for entry in entries):
            return f"nn.Sequential({', '.join(made)})"
        words = Names(_top_names(entries))
        keys = [
            words.new(class_word(value)) if is_weightless(entry) else _fixed(entry, position)
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
                for inner in _flattened([part]):
                    if is_weightless(inner):
                        yield from self._weightless(inner, depth)
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
        if self._is_optional(part):
            yield Line(f"{self.members.read(own, self.spell)} = None")
        yield Line(f"if {source(part.when, self.spell)}:")
        yield from (line._replace(depth=line.depth + 1) for line in lines)

    def _child_lines(self, part: Part, own: Member) -> Iterator[Line]:
        if isinstance(part, Loop):
            yield from self._own_loop(part, own)
            return
        marks, kind = part.marks, self.kind(part)
        if isinstance(part.content, Group) and any(map(_grows, part.content.parts)):
            yield from self._grown(part.content, own)
        else:
            more = ", persistent=False" if marks.get("keyless") else ""
            value = self.value(part.content)
            yield Line(self.members.write(own, value, self.spell, kind, more))
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
        entry = _iteration_entry(loop)
        grows = isinstance(entry.content, Group) and any(map(_grows, entry.content.parts))
        if grows or id(loop) in self.classes.running:
            body = self._made_then(entry, lambda made: f"{variable}.append({made})", variable)
            start = Line(f"{variable}: list[nn.Module] = []")
            return [start, *self._repeated(loop, list(body))], f"{kind}({star}{variable})"
        made = self.value(entry.content)
        return [], f"{kind}({star}[{made} for {clause(loop, _words(made), self._say)}])"

    def _list_name(self, own: Member) -> str:
        """A variable for the modules of a child."""
        variable = "layers" if own.fixed is None or not is_plain(own.fixed) else own.fixed
        return f"{variable}_layers" if variable in self.spelled.values() else variable

    def _repeated(self, loop: Loop, body: Sequence[Line]) -> Iterator[Line]:
        """The loop with these statements, and with the variable that it counts channels in."""
        run = self.classes.running.get(id(loop))
        lines = list(body)
        if run is not None and run.name in _words(" ".join([line.text for line in lines])):
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
        if all(part.name is None for part in _flattened(group.parts)):
            variable = self._list_name(own)
            made = list(self._listed(variable, group.parts))
            if len(made) == 1:
                value = made[0].text.partition(" = ")[2]
                made, variable = [], value
            yield from made
            yield Line(self.members.write(own, f"nn.Sequential(*{variable})", self.spell, "module"))
            return
        first = 0
        while first < len(group.parts) and not _grows(group.parts[first]):
            first += 1
        start = self._group(Group(group.parts[:first], (Edge(first - 1),)))
        yield Line(self.members.write(own, start, self.spell, "module"))
        yield from self._added(group.parts[first:], self.members.read(own, self.spell))

    def _added(self, parts: Sequence[Part], to: str) -> Iterator[Line]:
        """Statements that add named children to a chain."""
        for part in parts:
            if isinstance(part, Loop) and part.name is None:
                body = list(self._added(part.parts, to))
                yield from self._repeated(part, body)
                continue
            if isinstance(part, Loop):
                before, made = self._iterations(part, "stages")
                lines = [*before, Line(f"{to}.add_module({_key(part.name, self.spell)}, {made})")]
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
        return _key(part.name, self.spell)

    def _listed(self, variable: str, parts: Sequence[Part]) -> Iterator[Line]:
        """Statements that make a list of modules."""
        first = 0
        while first < len(parts) and not _grows(parts[first]):
            first += 1
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
                if part.name is not None:
                    before, inside = self._iterations(part, "stages")
                    yield from before
                    yield Line(f"{variable}.append({inside})")
                    continue
                body = list(self._appended(variable, part.parts))
                if len(body) == 1 and id(part) not in self.classes.running:
                    say = clause(part, _words(body[0].text), self._say)
                    made = body[0].text.removeprefix(f"{variable}.append(")[:-1]
                    yield Line(f"{variable} += [{made} for {say}]")
                else:
                    yield from self._repeated(part, body)
                continue
            lines = list(self._made_then(part, lambda made: f"{variable}.append({made})", variable))
            if part.when is not None:
                yield Line(f"if {source(part.when, self.spell)}:")
                lines = [line._replace(depth=line.depth + 1) for line in lines]
            yield from lines

    def _made_then(self, part: Entry, use: Callable[[str], str], taken: str) -> Iterator[Line]:
        """The statements that make a module and use it, a chain that grows in a list of its own."""
        if isinstance(part.content, Group) and any(map(_grows, part.content.parts)):
            inner = "block" if taken == "stage" else "stage"
            inner = f"{inner}s" if inner == taken else inner
            yield from self._listed(inner, part.content.parts)
            yield Line(use(f"nn.Sequential(*{inner})"))
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

    # --- forward ----------------------------------------------------------------------------------

    def forward(self) -> list[str]:
        """The lines of `forward`."""
        template = self.template
        inputs = _inputs(template.inputs)
        scope = Scope(self._read, self.stored_name, self._shape, self._is_optional)
        writer = Writer(template.parts, dict(enumerate(inputs)), template.outputs, scope)
        plain = template.output_names is None and len(template.outputs) == 1
        lines = writer.write(returns=plain)
        if not lines or not lines[-1].text.startswith("return "):
            lines += self._returned(writer)
        shown = ", ".join([f"{n}: {'int' if n.startswith('size') else 'Tensor'}" for n in inputs])
        result = "Tensor"
        if not plain:
            result = "tuple[Tensor, ...]" if template.output_names is None else "dict[str, Tensor]"
        lines = _without_detour(lines)
        made = statement(f"def forward(self, {shown}) -> {result}:", 4)
        for line in lines:
            made += _with_comment(statement(line.text, 8 + 4 * line.depth), line.shape)
        return made

    def _returned(self, writer: Writer) -> Iterator[Line]:
        refs, output_names = self.template.outputs, self.template.output_names
        values = [writer.values[edge] for edge in refs]
        if output_names is None:
            yield Line(f"return {', '.join(values)}")
            return
        trained = [edge.node != INPUT and self._is_trained(edge) for edge in refs]
        pairs = [f'"{name}": {value}' for name, value in zip(output_names, values, strict=True)]
        every = pairs[0].partition(": ")[2] if len(pairs) == 1 else f"{{{', '.join(pairs)}}}"
        if any(trained):
            yield Line("if self.training:")
            yield Line(f"return {every}", 1)
            kept = [pair for pair, only in zip(pairs, trained, strict=True) if not only]
            alone = kept[0].partition(": ")[2] if len(kept) == 1 else f"{{{', '.join(kept)}}}"
            yield Line(f"return {alone}")
        else:
            yield Line(f"return {every}")

    def _is_trained(self, edge: Edge) -> bool:
        part = self.template.parts[edge.node]
        return isinstance(part, Entry) and bool(part.marks.get("training_only"))

    def _read(self, part: Part, position: int, read: tuple[str, ...]) -> str:
        """How `forward` reads the child of a part."""
        if isinstance(part, Entry):
            owner = next((owner for word, owner in part.links if word == OWNER), None)
            if owner is not None:
                return self._read(self.template.parts[owner], owner, read)
        kind = self.kind(part) if isinstance(part, Entry) else "module"
        held = {"module": "_modules", "parameter": "_parameters", "buffer": "_buffers"}[kind]
        return self.members.read(self.found[id(part)], self.scope_spell, held)

    def scope_spell(self, name: str) -> str:
        """A name within the name of a child, as `forward` reads it."""
        return self.stored_name(name) if name in self.spelled else name

    def _is_optional(self, part: Part) -> bool:
        """Whether a child is None where it is left out."""
        own = self.found.get(id(part))
        return (
            part.when is not None
            and own is not None
            and not own.holders
            and own.fixed is not None
            and is_plain(own.fixed)
        )

    def _shape(self, entry: Entry) -> str:
        if not isinstance(entry.name, Constant):
            return ""
        return self.classes.shapes.get((self.template.name, str(entry.name.value)), "")


# --- parts ----------------------------------------------------------------------------------------


def is_weightless(part: Part) -> bool:
    """Whether it is a module without weights and without a name, which may bear any."""
    return isinstance(part, Entry) and part.name is None and "weightless" in part.marks


def class_word(made: str) -> str:
    """A name for a module: `relu` for `nn.ReLU()`, `avg_pool` for `nn.AdaptiveAvgPool2d(1)`."""
    name = made.partition("(")[0].rpartition(".")[2].removeprefix("Adaptive")
    plain = re.sub(r"\dd\Z", "", name)
    if re.search(r"LU\d?\Z", plain):
        return plain.lower()
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2,})", "_", plain).lower()


def _top_names(parts: Sequence[Part]) -> Iterator[str]:
    """The names, and beginnings of names, that children of a list have."""
    for part in parts:
        if isinstance(part.name, Constant):
            yield str(part.name.value).partition(".")[0]
        elif isinstance(part.name, Text) and isinstance(part.name.parts[0], str):
            yield part.name.parts[0].partition(".")[0]


def _iteration_entry(loop: Loop) -> Entry:
    """An iteration as one entry."""
    if len(loop.parts) == 1 and isinstance(loop.parts[0], Entry):
        return loop.parts[0]
    reads = tuple([Edge(INPUT, number) for number in range(len(loop.reads))])
    return Entry(None, Group(loop.parts, loop.outputs), reads, len(loop.outputs))


def _moves(part: Part) -> bool:
    """Whether the positions behind a part depend on numbers."""
    return part.when is not None or (isinstance(part, Loop) and part.name is None)


def _grows(part: Part) -> bool:
    """Whether statements make a part: a loop, a condition, or a chain that has one."""
    if _moves(part) or isinstance(part, Loop):
        return True
    return isinstance(part.content, Group) and any(map(_grows, part.content.parts))


def _flattened(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, Loop) and part.name is None:
            yield from _flattened(part.parts)
        else:
            yield part


def _fixed(entry: Entry, position: int) -> str:
    if entry.name is None:
        return str(position)
    if not isinstance(entry.name, Constant):
        raise Unsayable("a name that depends on numbers within an expression")
    return str(entry.name.value)


def _key(name: Term | None, spell: Any) -> str:
    assert name is not None
    return f'"{name.value}"' if isinstance(name, Constant) else source(_as_text(name), spell)


def _as_text(name: Term) -> Text:
    return name if isinstance(name, Text) else Text((name,))


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", text)


def _inputs(given: Sequence[str]) -> list[str]:
    """The arguments of `forward`."""
    taken = Names(("self",))
    return [
        taken.new("x" if each == "input" and len(given) == 1 else variable_name(each))
        for each in given
    ]


def _without_detour(lines: list[Line]) -> list[Line]:
    """The lines, which return a value where the last one but one would only name it."""
    if len(lines) > 1 and lines[-1].depth == lines[-2].depth:
        name, equals, value = lines[-2].text.partition(" = ")
        if equals and lines[-1].text == f"return {name}":
            return [*lines[:-2], Line(f"return {value}", lines[-2].depth, lines[-2].shape)]
    return lines


def _with_comment(lines: list[str], shape: str) -> list[str]:
    if shape and len(lines) == 1 and len(lines[0]) + len(shape) + 4 <= WIDTH:
        return [f"{lines[0]}  # {shape}"]
    return lines
