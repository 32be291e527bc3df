"""The nodes of a list as data of a spec: names, edges and what each node is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.folding.template import Call, Entry, Group, Loop, Op, Part
from archspec.folding.terms import Constant, Term
from archspec.folding.tree import INPUT, Edge, Value
from archspec.importing.data import argument, is_textual, takes_numbers
from archspec.importing.expressions import expression, name_text
from archspec.importing.layout import NodeData, Nodes, Plain
from archspec.importing.view import INPUTS, SHARE, WEIGHTS
from archspec.ir.op import REGISTRY
from archspec.record import Record

PREVIOUS = Plain("-1")


class Unwritten(Exception):
    """A template says what no spec can."""


class Outer(Record):
    """What all lists of a spec share: the names of its blocks, by the identity of templates."""

    blocks: Mapping[int, str]


class Listing:
    """One list of parts that is written.

    `inputs` are the edges of what it reads. In a `loop` no node has a number of its own; the
    `counter` tells names apart.
    """

    def __init__(
        self,
        parts: tuple[Part, ...],
        inputs: Sequence[str],
        outer: Outer,
        loop: bool = False,
        counter: str = "",
    ) -> None:
        self.parts, self.outer, self.loop, self.counter = parts, outer, loop, counter
        self.inputs = inputs if loop or len(inputs) > 1 else ("input",)
        self.aliases: dict[int, str] = {}
        for edge in self._far():
            part = parts[edge.node]
            if part.name is None and self._number(edge.node) is None:
                self.aliases[edge.node] = self._alias(part, edge.node)

    def _far(self) -> Iterator[Edge]:
        """The edges to nodes that are not the one before."""
        for index, part in enumerate(self.parts):
            for edge in part.reads:
                if edge.node not in (INPUT, index - 1):
                    yield edge

    def _alias(self, part: Part, index: int) -> str:
        word = part.content.kind if isinstance(part, Entry) and isinstance(part.content, Op) else ""
        number = f"_{index}" if self.loop is False else f"_{index}_{{{self.counter}}}"
        return f"{word or 'value'}{number}"

    def nodes(self) -> Nodes:
        """All nodes as data."""
        found = Nodes()
        for index in range(len(self.parts)):
            found.append(self.node(index))
            if index in self.aliases:
                found.append(NodeData({"name": Plain(self.aliases[index]), "from": PREVIOUS}))
        return found

    def gives(self, index: int) -> tuple[Edge, ...]:
        """All that a part gives; before the first one, what the list's first node reads."""
        if index < 0:
            return (Edge(INPUT, 0),)
        return tuple([Edge(index, i) for i in range(_count(self.parts[index]))])

    # edges

    def _number(self, index: int) -> int | None:
        """The number of a node in its list, if it has the same in every network."""
        if self.loop:
            return None
        before = self.parts[: index + 1]
        if any(isinstance(part, Loop) or part.when is not None for part in before):
            return None
        return index

    def edge(self, edge: Edge, at: int | None = None) -> str:
        """A value as an edge names it, for the node `at` or behind the last one."""
        if edge.node == INPUT:
            return Plain(self.inputs[edge.output])
        name = self._name(edge.node, len(self.parts) if at is None else at)
        text = name if _count(self.parts[edge.node]) == 1 else f"{name}[{edge.output}]"
        return text if text.isdigit() else Plain(text)

    def _name(self, index: int, at: int) -> str:
        part = self.parts[index]
        if part.name is not None:
            return name_text(part.name)
        if index == at - 1 and self._hands_on(index):
            return PREVIOUS
        if index in self.aliases:
            return self.aliases[index]
        number = self._number(index)
        if number is None:
            raise Unwritten("a node without a name is read")
        return str(number)

    def _owner(self, index: int) -> str:
        """The node at `index`, whose module or weight is used again."""
        part = self.parts[index]
        name = name_text(part.name) if part.name is not None else self._number(index)
        if name is None:
            raise Unwritten("a node without a name is shared")
        return str(name) if isinstance(name, int) else Plain(name)

    def _hands_on(self, index: int) -> bool:
        """Whether the next node may read a part by its place, though it may not be there."""
        part = self.parts[index]
        return part.when is None or self._says_else(index) or self._reads_last(index)

    def _says_else(self, index: int) -> bool:
        """Whether a node says what stands in its place where it is not there."""
        part = self.parts[index]
        if not isinstance(part, Entry) or part.when is None:
            return False
        unnamed = part.name is None and bool(part.reads) and not self._reads_last(index)
        return part.passes > 0 or unnamed

    def _reads_last(self, index: int) -> bool:
        return self.parts[index].reads[:1] == self.gives(index - 1)[:1]

    def edges(self, edges: Sequence[Edge], at: int | None = None) -> list[str]:
        """Values as a list names them: all that one node gives by its name alone."""
        found: list[str] = []
        place = 0
        while place < len(edges):
            edge = edges[place]
            whole = self.gives(edge.node) if edge.node != INPUT else (edge,)
            if len(whole) > 1 and tuple(edges[place : place + len(whole)]) == whole:
                found.append(Plain(self._name(edge.node, len(self.parts) if at is None else at)))
                place += len(whole)
            else:
                found.append(self.edge(edge, at))
                place += 1
        return found

    def source(self, edges: Sequence[Edge], at: int | None = None) -> Any:
        """Values as `from` names them."""
        texts = self.edges(edges, at)
        return texts[0] if len(texts) == 1 else texts

    def in_turn(self, reads: tuple[Edge, ...], index: int) -> bool:
        """Whether a node need not say what it reads."""
        if reads != self.gives(index - 1):
            return False
        return index == 0 or self._hands_on(index - 1)

    # nodes

    def node(self, index: int) -> Any:
        """The data of one part."""
        part = self.parts[index]
        if isinstance(part, Loop):
            return self._loop(part, index)
        data = NodeData()
        if part.name is not None:
            data["name"] = Plain(name_text(part.name))
        own, weights = self._weights(part, index)
        self._content(data, part, own, index)
        if names := _words(part.marks.get(INPUTS)):
            read = [self.edge(each, index) for each in own]
            data["from"] = dict(zip(names, read, strict=True))
        elif own and not _in_form(part) and not self.in_turn(own, index):
            data["from"] = self.source(own, index)
        if weights:
            data["weights"] = weights
        if part.when is not None:
            data["when"] = Plain(expression(part.when))
            if self._says_else(index):
                data["else"] = self.edge(part.reads[part.passes], index)
        data.update({k: v for k, v in part.marks.items() if k not in (WEIGHTS, INPUTS)})
        return _short(data)

    def _weights(self, part: Entry, index: int) -> tuple[tuple[Edge, ...], dict[str, str]]:
        """What a node reads, and what stands in the place of its weights."""
        given = _words(part.marks.get(WEIGHTS))
        own = part.reads[: len(part.reads) - len(given)]
        read = [self.edge(each, index) for each in part.reads[len(own) :]]
        weights = dict(zip(given, read, strict=True))
        for word, owner in part.links:
            if word.startswith(WEIGHTS):
                _, name, key = word.split(".", 2)
                weights[name] = Plain(f"{self._owner(owner)}.{key}")
        return own, weights

    def _content(self, data: NodeData, part: Entry, own: tuple[Edge, ...], index: int) -> None:
        content = part.content
        if isinstance(content, Group):
            self._group(data, part, content)
        elif isinstance(content, Call):
            data.form = Plain(self.outer.blocks.get(id(content.template), content.template.name))
            kinds = {each.name: each.kind for each in content.template.parameters}
            data[data.form] = {
                name: argument(term, kinds.get(name) in ("str", "layers"))
                for name, term in content.arguments.items()
            } or None
        elif content.kind == SHARE:
            (owner,) = [owner for word, owner in part.links if word == SHARE]
            data[SHARE] = self._owner(owner)
        else:
            data.form = Plain(content.kind)
            data[data.form] = self._op(content, own, index)

    def _group(self, data: NodeData, part: Entry, content: Group) -> None:
        inner = Listing(content.parts, ("input",), self.outer)
        if not part.marks and _is_numbered(content) and _is_fixed(data.get("name")):
            body = inner.node(0)
            if isinstance(body, NodeData):
                data.form = body.form
                data.update(body)
                return
        nodes = inner.nodes()
        if content.outputs != inner.gives(len(content.parts) - 1):
            name = "outputs"
            while any(p.name is not None and name_text(p.name) == name for p in content.parts):
                name += "_"
            nodes.append(NodeData({"name": name, "from": inner.source(content.outputs)}))
        data.form = "layers"
        data["layers"] = nodes

    def _op(self, op: Op, own: tuple[Edge, ...], index: int) -> Any:
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
            reads = self.edges(own, index)
            return {"inputs": reads, **args} if args else reads
        if kind.primary is not None and list(args) == [kind.primary]:
            return args[kind.primary]
        return args or None

    # loops

    def _loop(self, loop: Loop, index: int) -> Any:
        outer = [self.edge(each, index) for each in loop.reads[1:]]
        inputs = ("input", *outer)
        body = Listing(loop.parts, inputs, self.outer, True, loop.counter)
        data = NodeData({"repeat": _repeat(loop)})
        nodes = body.nodes()
        if not self.in_turn(loop.reads[:1], index):
            data["from"] = self.edge(loop.reads[0], index)
        if loop.when is not None:
            data["when"] = Plain(expression(loop.when))
        if len(nodes) == 1 and (joined := _joined(nodes[0], loop.parts[0])) is not None:
            named = {"name": joined.pop("name")} if "name" in joined else {}
            made = NodeData({**data, **named, **joined})
            made.form = joined.form
            return made
        data.form = "layers"
        data["layers"] = nodes
        return data


def _joined(node: Any, part: Part) -> NodeData | None:
    """The only node of a loop, where it may stand beside `repeat`."""
    if not isinstance(node, NodeData):
        made = NodeData({node: None})
        made.form = node
        return made
    if isinstance(part, Loop) or part.when is not None or "from" in node or "repeat" in node:
        return None
    if isinstance(part.content, Group) and part.name is None:
        return None
    if _is_fixed(node.get("name")) or part.links or _in_form(part):
        return None
    joined = NodeData(node)
    joined.form = node.form
    return joined


def _is_fixed(name: str | None) -> bool:
    return name is not None and "{" not in name


def _is_numbered(content: Group) -> bool:
    """Whether a group holds the iterations of a loop alone, as 0, 1, …"""
    if len(content.parts) != 1 or not isinstance(content.parts[0], Loop):
        return False
    loop = content.parts[0]
    if content.outputs != (Edge(0),) or len(loop.parts) != 1 or loop.when is not None:
        return False
    (body,) = loop.parts
    if isinstance(body, Loop) or body.name is not None or body.when is not None:
        return False
    if body.marks or body.links or isinstance(body.content, Group):
        return False
    return body.reads == (Edge(INPUT),)


def _repeat(loop: Loop) -> Any:
    """How often: a count, or the lists that are walked."""
    if loop.counter == "index":
        if not loop.lists:
            assert loop.times is not None
            return argument(loop.times, False)
        return {Plain(name): argument(term, False) for name, term in loop.lists.items()}
    walked = {Plain(name): argument(term, False) for name, term in loop.lists.items()}
    return {**walked, Plain(loop.counter): _count_of(loop)}


def _count_of(loop: Loop) -> Any:
    if loop.times is not None:
        return argument(loop.times, False)
    term: Term = next(iter(loop.lists.values()))
    if isinstance(term, Constant) and isinstance(term.value, tuple):
        return len(term.value)
    return Plain(f"len({expression(term)})")


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
