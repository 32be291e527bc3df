"""The nodes of a list as data of a spec: names, edges and what each node is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archspec.folding.template import Call, Entry, Group, Loop, Op, Part
from archspec.folding.terms import Constant
from archspec.folding.tree import INPUT, Edge, Value
from archspec.importing.data import argument, is_textual, takes_numbers
from archspec.importing.expressions import name_text
from archspec.importing.layout import NodeData, Nodes, Plain
from archspec.importing.view import INPUTS, SHARE, WEIGHTS
from archspec.ir.op import REGISTRY
from archspec.record import Record


class Outer(Record):
    """What all lists of a spec share: the names of its blocks, by the identity of templates."""

    blocks: Mapping[int, str]


class Listing:
    """One list of parts that is written."""

    def __init__(self, parts: tuple[Part, ...], inputs: tuple[str, ...], outer: Outer) -> None:
        self.parts, self.outer = parts, outer
        self.inputs = inputs

    def nodes(self) -> Nodes:
        """All nodes as data."""
        return Nodes(map(self.node, range(len(self.parts))))

    def gives(self, index: int) -> tuple[Edge, ...]:
        """All that a part gives; before the first one, what the list's first node reads."""
        if index < 0:
            return (Edge(INPUT, 0),)
        part = self.parts[index]
        return tuple([Edge(index, i) for i in range(_count(part))])

    def edge(self, edge: Edge) -> str:
        """A value as an edge names it."""
        if edge.node == INPUT:
            name = self.inputs[edge.output] if len(self.inputs) > 1 else "input"
            return Plain(name)
        part = self.parts[edge.node]
        name = str(edge.node) if part.name is None else name_text(part.name)
        text = name if _count(part) == 1 else f"{name}[{edge.output}]"
        return text if text.isdigit() else Plain(text)

    def edges(self, edges: tuple[Edge, ...]) -> Any:
        """Values as `from` names them."""
        texts = [self.edge(each) for each in edges]
        return texts[0] if len(texts) == 1 else texts

    def node(self, index: int) -> Any:
        """The data of one part."""
        part = self.parts[index]
        assert isinstance(part, Entry)
        data = NodeData()
        if part.name is not None:
            data["name"] = Plain(name_text(part.name))
        previous = self.gives(index - 1)
        own = part.reads
        weights: dict[str, str] = {}
        if given := _words(part.marks.get(WEIGHTS)):
            own = part.reads[: -len(given)]
            read = map(self.edge, part.reads[-len(given) :])
            weights.update(zip(given, read, strict=True))
        for word, owner in part.links:
            if word.startswith(WEIGHTS):
                _, name, key = word.split(".", 2)
                weights[name] = Plain(f"{self.edge(Edge(owner))}.{key}")
        self._content(data, part, own)
        if names := _words(part.marks.get(INPUTS)):
            data["from"] = dict(zip(names, map(self.edge, own), strict=True))
        elif own and own != previous and not _in_form(part):
            data["from"] = self.edges(own)
        if weights:
            data["weights"] = weights
        data.update({k: v for k, v in part.marks.items() if k not in (WEIGHTS, INPUTS)})
        return _short(data)

    def _content(self, data: NodeData, part: Entry, own: tuple[Edge, ...]) -> None:
        content = part.content
        if isinstance(content, Group):
            data.form = "layers"
            data["layers"] = self._group(content)
            return
        if isinstance(content, Call):
            data.form = Plain(self.outer.blocks[id(content.template)])
            data[data.form] = {
                name: argument(term, False) for name, term in content.arguments.items()
            } or None
        elif content.kind == SHARE:
            (owner,) = [owner for word, owner in part.links if word == SHARE]
            data[SHARE] = self.edge(Edge(owner))
        else:
            data.form = Plain(content.kind)
            data[data.form] = self._op(content, own)

    def _group(self, content: Group) -> Nodes:
        inner = Listing(content.parts, ("input",), self.outer)
        nodes = inner.nodes()
        if content.outputs != inner.gives(len(content.parts) - 1):
            name = "outputs"
            while any(p.name is not None and name_text(p.name) == name for p in content.parts):
                name += "_"
            nodes.append(NodeData({"name": name, "from": inner.edges(content.outputs)}))
        return nodes

    def _op(self, op: Op, own: tuple[Edge, ...]) -> Any:
        kind = REGISTRY[op.kind]
        args: dict[str, Any] = {
            name: argument(
                term,
                is_textual(op.kind, name)
                and (isinstance(term, Constant) or not takes_numbers(op.kind, name)),
            )
            for name, term in op.arguments.items()
        }
        if kind.variadic:
            reads = [self.edge(each) for each in own]
            return {"inputs": reads, **args} if args else reads
        if kind.primary is not None and list(args) == [kind.primary]:
            return args[kind.primary]
        return args or None


def _words(mark: Value) -> tuple[str, ...]:
    return tuple(map(str, mark)) if isinstance(mark, tuple) else ()


def _short(data: NodeData) -> Any:
    """A node that is a word alone, as that word."""
    if len(data) == 1 and data.form is not None and data[data.form] is None:
        return data.form
    return data


def _in_form(part: Entry) -> bool:
    content = part.content
    return isinstance(content, Op) and content.kind in REGISTRY and REGISTRY[content.kind].variadic


def _count(part: Part) -> int:
    return len(part.outputs) if isinstance(part, Loop) else part.outputs
