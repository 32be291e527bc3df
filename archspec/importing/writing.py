"""Templates to the YAML of a spec, as a careful person would write it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from archspec.document.forms import FIXED
from archspec.document.keys import KEYS
from archspec.document.node_keys import NODE_KEYS
from archspec.expand.program import Program
from archspec.expand.write import scalar
from archspec.folding.naming import Names
from archspec.folding.template import Call, Group, Loop, Part, Template
from archspec.importing.data import declared
from archspec.importing.layout import entries, mapping, prose
from archspec.importing.listing import Listing, Outer
from archspec.ir.op import REGISTRY

INDENT = "  "


def write(root: Template, program: Program) -> str:
    """The text of a spec with the network of `root`, and all else that `program` states."""
    writer = _Writer(root)
    return "\n".join(writer.lines(program)) + "\n"


class _Writer:
    def __init__(self, root: Template) -> None:
        self.root = root
        self.blocks: dict[int, tuple[str, Template]] = {}
        self.names = Names({*REGISTRY, *NODE_KEYS, *FIXED, *standard_in(root.parts)})
        self._collect(root.parts)

    def _collect(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            inner: tuple[Part, ...] = ()
            if isinstance(part, Loop):
                inner = part.parts
            elif isinstance(part.content, Group):
                inner = part.content.parts
            elif isinstance(part.content, Call):
                self._block(part.content.template)
            self._collect(inner)

    def _block(self, template: Template) -> None:
        if id(template) in self.blocks or template.standard:
            return
        self._collect(template.parts)
        name = self.names.new(snake_case(template.name))
        self.blocks[id(template)] = name, template

    def lines(self, program: Program) -> Iterator[str]:
        outer = Outer({key: name for key, (name, _) in self.blocks.items()})
        yield from _said(program, late=False)
        yield from params(self.root)
        if self.blocks:
            yield "blocks:"
            for name, template in self.blocks.values():
                yield f"{INDENT}{name}:"
                yield from block(template, outer)
        yield from listed(self.root, outer, "")
        yield from outputs(self.root, outer, "")
        yield from _said(program, late=True)


def standard_in(parts: tuple[Part, ...]) -> set[str]:
    """The names of standard blocks that parts call, also within other blocks."""
    found: set[str] = set()
    for part in parts:
        inner = part.parts if isinstance(part, Loop) else ()
        if not isinstance(part, Loop) and isinstance(part.content, Group):
            inner = part.content.parts
        if not isinstance(part, Loop) and isinstance(part.content, Call):
            template = part.content.template
            inner = template.parts
            if template.standard:
                found.add(template.name)
        found |= standard_in(inner)
    return found


def block(template: Template, outer: Outer) -> Iterator[str]:
    """The body of an entry of `blocks:`."""
    inner = INDENT * 2
    yield from (f"{inner}# {line}" for line in template.notes)
    if template.inputs != ("input",):
        yield f"{inner}inputs: {scalar(template.inputs)}"
    yield from params(template, inner)
    yield from listed(template, outer, inner)
    yield from outputs(template, outer, inner)


def params(template: Template, indent: str = "") -> Iterator[str]:
    """The `params:` of a block or of a spec."""
    if found := declared(template):
        yield from mapping({"params": found}, indent)


def listed(template: Template, outer: Outer, indent: str) -> Iterator[str]:
    """The `layers:` of a block or of a spec."""
    nodes = Listing(template.parts, template.inputs, outer).nodes()
    if not nodes:
        yield f"{indent}layers: []"
        return
    yield f"{indent}layers:"
    yield from entries(nodes, indent + INDENT)


def outputs(template: Template, outer: Outer, indent: str) -> Iterator[str]:
    """The `outputs:` of a block or of a spec, where they are not those of the last node."""
    listing = Listing(template.parts, template.inputs, outer)
    if template.output_names is not None:
        named = zip(template.output_names, template.outputs, strict=True)
        yield from mapping({"outputs": {n: listing.edge(e) for n, e in named}}, indent)
    elif template.outputs != listing.gives(len(template.parts) - 1):
        yield from mapping({"outputs": listing.source(template.outputs)}, indent)


def _said(program: Program, *, late: bool) -> Iterator[str]:
    """The keys of one line each, before the layers or behind them."""
    for key in sorted(KEYS, key=lambda key: key.behind_layers):
        if bool(key.behind_layers) is late:
            value = key.written(program.said, program.graph)
            if value is None:
                continue
            if isinstance(value, str) and " " in value:
                yield from prose(key.name, value)
            else:
                yield f"{key.name}: {scalar(value)}"


def snake_case(name: str) -> str:
    """The name of a Python class as that of a block: `BasicConv2d` is `basic_conv2d`."""
    text = re.sub(r"\W+", "_", name).strip("_") or "block"
    text = re.sub(r"(?<=[a-zA-Z0-9])(?=[A-Z][a-z]{2})|(?<=[a-z])(?=[A-Z]{2,}(?![a-z]))", "_", text)
    return text.lower()
