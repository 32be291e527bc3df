"""Template → the source of its class, after those of the classes that it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from archspec.ejecting.building import Building
from archspec.ejecting.channels import Running
from archspec.ejecting.constructors import Constructors
from archspec.ejecting.forward import Line, Scope, Writer
from archspec.ejecting.layout import WIDTH, docstring, statement
from archspec.ejecting.members import Unsayable
from archspec.ejecting.parts import grows
from archspec.ejecting.renaming import variable_name
from archspec.ejecting.terms import names, source
from archspec.ejecting.view import OWNER
from archspec.folding.naming import Names
from archspec.folding.template import Entry, Part, Template
from archspec.folding.terms import Constant, Term
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


class Class(Building):
    """Writes one class."""

    def __init__(self, classes: Classes, template: Template, root: Root | None) -> None:
        self.root, self.shapes = root, classes.shapes
        super().__init__(classes, template, root is not None)

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
                kind = "Sequence[float]" if _has_floats(each.default) else kind
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
        if any(grows(part) for part in parts):
            yield from self._listed("layers", parts)
            yield Line("super().__init__(*layers)")
            return
        made = [self.value(part.content) for part in parts if isinstance(part, Entry)]
        yield Line(f"super().__init__({', '.join(made)})")

    def forward(self) -> list[str]:
        """The lines of `forward`."""
        template = self.template
        inputs = _inputs(template.inputs)
        scope = Scope(self._read, self.stored_name, self._shape, self.is_optional)
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

    def _shape(self, entry: Entry) -> str:
        if not isinstance(entry.name, Constant):
            return ""
        return self.shapes.get((self.template.name, str(entry.name.value)), "")


def _has_floats(default: Term | None) -> bool:
    values = default.value if isinstance(default, Constant) else None
    return isinstance(values, tuple) and any(isinstance(each, float) for each in values)


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
