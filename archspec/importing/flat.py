"""Writes a tree of nodes as a spec: every number stated, a group or a block for each list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.diagnostics.diagnostic import SpecError
from archspec.document.forms import FIXED
from archspec.document.node_keys import NODE_KEYS
from archspec.expand.write import scalar
from archspec.importing.lifting import Edge, Node
from archspec.importing.scopes import Item, Scope, Share, nodes_of, reads_of
from archspec.importing.symbolic import Followed, follows, plain, spelled
from archspec.importing.trace import cannot, refused
from archspec.ir.fields import ArgumentsError
from archspec.ir.op import REGISTRY
from archspec.record import Record

WIDTH = 100


class Input(Record):
    """An input of the network: its name, sizes without the batch, type and bound.

    `shape` has the names of symbols for sizes that are left open, and `at_sizes` all of several
    runs.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float"
    below: int | None = None
    at_sizes: tuple[tuple[int, ...], ...] = ()


def flat_text(
    root: Scope,
    inputs: Sequence[Input],
    outputs: Mapping[str, Edge],
    name: str,
    *,
    named: bool,
    sizes: Mapping[str, int] | None = None,
) -> str:
    """The text of a spec. `named` outputs are returned as a dict, else there is one.

    `sizes` are the stated ones of its symbols.

    Raises `SpecError` where a number follows sizes by no formula.
    """
    writer = _Writer(root, inputs, outputs, named)
    return "\n".join(writer.lines(name, sizes or {})) + "\n"


class _List:
    """A list that is being written: what comes in, what goes out, and the names of its items."""

    def __init__(self, scope: Scope, inputs: list[Edge], outputs: list[Edge]) -> None:
        self.scope, self.inputs, self.outputs = scope, inputs, outputs
        self.names: dict[Item, str] = {}
        self.input_names: list[str] = []
        self.values: dict[Edge, str] = {}


class _Writer:
    def __init__(
        self, root: Scope, inputs: Sequence[Input], outputs: Mapping[str, Edge], named: bool
    ) -> None:
        self.root, self.inputs, self.outputs, self.named = root, inputs, outputs, named
        self.lists: dict[Scope, _List] = {}
        self.blocks: dict[Scope, str] = {}
        self.taken = {*REGISTRY, *FIXED, *NODE_KEYS}
        self.again: dict[Share, Scope | Node] = {}

    def lines(self, name: str, sizes: Mapping[str, int]) -> Iterator[str]:
        wanted = [Edge(each.name) for each in self.inputs]
        self._prepare(self.root, set(self.outputs.values()), wanted)
        yield f"name: {scalar(name)}"
        if sizes:
            yield f"sizes: {scalar(dict(sizes))}"
        yield from self._inputs()
        layers = list(self._layers(self.root, "", top=True))
        if self.blocks:
            yield "blocks:"
            for scope, block in self.blocks.items():
                made = self.lists[scope]
                yield f"  {block}:"
                if made.input_names != ["input"]:
                    yield f"    inputs: {scalar(made.input_names)}"
                yield from self._layers(scope, "    ")
                if made.outputs != self._last(scope):
                    named = [made.values[edge] for edge in made.outputs]
                    yield f"    outputs: {scalar(named)}"
        yield from layers
        if self.named:
            top = self.lists[self.root]
            yield "outputs:"
            for key, edge in self.outputs.items():
                yield f"  {scalar(key)}: {scalar(top.values[edge])}"

    def _inputs(self) -> Iterator[str]:
        if len(self.inputs) == 1:
            yield f"input: {self._input(self.inputs[0])}"
            return
        yield "inputs:"
        for each in self.inputs:
            yield f"  {each.name}: {self._input(each)}"

    def _input(self, each: Input) -> str:
        if each.dtype == "float":
            return scalar(each.shape)
        said: dict[str, Any] = {"shape": each.shape, "dtype": each.dtype}
        if each.below is not None:
            said["below"] = each.below
        return scalar(said)

    def _prepare(self, scope: Scope, wanted: set[Edge], inputs: list[Edge] | None = None) -> None:
        """Work out what comes into each list and goes out, inner ones first; then the names."""
        inside = set(scope.nodes())
        if inputs is None:
            read = (edge for node in scope.nodes() for edge in reads_of(node))
            inputs = list(dict.fromkeys(edge for edge in read if edge.node not in inside))
        outputs = [edge for edge in wanted if edge.node in inside]
        made = _List(scope, inputs, sorted(outputs, key=lambda e: self._rank(scope, e)))
        self.lists[scope] = made
        for item in scope.items:
            if isinstance(item, Scope):
                self._prepare(item, self._wanted_of(scope, item, wanted))
                inner = self.lists[item]
                if len(inner.inputs) > 1 or len(inner.outputs) != 1:
                    self.blocks[item] = self._block_name(item)
        for item in scope.items:
            if isinstance(item, Share):
                self.again[item] = self._first_use(scope, item)
        self._name_inputs(made, scope is self.root)
        self._name_items(made)

    def _rank(self, scope: Scope, edge: Edge) -> tuple[int, int]:
        return list(scope.nodes()).index(edge.node), edge.output  # type: ignore[arg-type]

    def _wanted_of(self, scope: Scope, item: Scope, wanted: set[Edge]) -> set[Edge]:
        """The values of an inner list that are read outside of it, or of another use of it."""
        nodes = list(item.nodes())
        found = self._read_outside(scope, set(nodes)) | {e for e in wanted if e.node in set(nodes)}
        for share in scope.items:
            if isinstance(share, Share) and share.of == item.path:
                if len(share.items) != len(nodes):
                    self._refuse_share(share)
                first = dict(zip(share.items, nodes, strict=True))
                used = self._read_outside(scope, set(share.items))
                used |= {edge for edge in wanted if edge.node in first}
                found |= {Edge(first[edge.node], edge.output) for edge in used}  # type: ignore[index]
        return found

    def _read_outside(self, scope: Scope, nodes: set[Node]) -> set[Edge]:
        found = set()
        for node in scope.nodes():
            if node not in nodes:
                found |= {edge for edge in reads_of(node) if edge.node in nodes}
        return found

    def _refuse_share(self, share: Share) -> None:
        raise refused(
            cannot(f"{share.of} does something else when it is applied again"), share.items[0].place
        )

    def _first_use(self, scope: Scope, share: Share) -> Scope | Node:
        for item in scope.items:
            if isinstance(item, Scope) and item.path == share.of:
                for mine, theirs in zip(share.items, item.nodes(), strict=True):
                    if (mine.op, mine.args) != (theirs.op, theirs.args):
                        self._refuse_share(share)
                return item
            if isinstance(item, Node) and item.owner == share.of:
                return item
        raise AssertionError(f"{share} has no first use")

    def _name_inputs(self, made: _List, top: bool) -> None:
        if top:
            several = len(self.inputs) > 1
            names = [str(edge.node) if several else "input" for edge in made.inputs]
        elif len(made.inputs) <= 1:
            names = ["input"] * len(made.inputs)
        else:
            taken = {name.split(".")[0] for name in self._required(made.scope).values()}
            # One name for the first everywhere: who gives it makes no block another one.
            names = [_unused("x", {*taken, "input"})]
            for edge in made.inputs[1:]:
                names.append(_unused(_suggested(edge), {*taken, *names, "input"}))
        made.input_names = names
        made.values.update(zip(made.inputs, names, strict=True))

    def _required(self, scope: Scope) -> dict[Item, str]:
        named = dict(scope.names)
        named.update({item: item.name for item in scope.items if isinstance(item, Scope)})
        return named

    def _name_items(self, made: _List) -> None:
        """A name for every item: its number where that may stand for it."""
        required = self._required(made.scope)
        firsts = {name.split(".")[0] for name in required.values()} | set(made.input_names)
        read = {edge.node for node in made.scope.nodes() for edge in reads_of(node)}
        taken = set(firsts)
        for number, item in enumerate(made.scope.items):
            if item in required:
                name = required[item]
            elif str(number) in firsts or self._read_later(made.scope, number, read):
                name = _unused(_own_name(item), taken | {"input"})
            else:
                name = str(number)
            taken.add(name)
            made.names[item] = name
            for edge, value in self._values(item, name):
                made.values[edge] = value

    def _read_later(self, scope: Scope, number: int, read: set[Node | str]) -> bool:
        """Whether another item than the next one reads an item, or the next one reads more."""
        item = scope.items[number]
        own = set(nodes_of(item))
        if not own & read and not any(edge.node in own for edge in self.outputs.values()):
            return False
        for place, other in enumerate(scope.items):
            reads = [e for n in nodes_of(other) if n not in own for e in reads_of(n)]
            outside = set(nodes_of(other))
            several = {e for e in reads if e.node not in outside}
            next_alone = place == number + 1 and len(several) == 1
            if place != number and not next_alone and any(e.node in own for e in reads):
                return True
        out = {e.node for e in self.lists[scope].outputs} & own
        return bool(out) and number != len(scope.items) - 1

    def _values(self, item: Item, name: str) -> Iterator[tuple[Edge, str]]:
        """The values of an item, and how edges of its list name them."""
        if isinstance(item, Node):
            count = len(item.shapes)
            for output in range(count):
                yield Edge(item, output), name if count == 1 else f"{name}[{output}]"
            return
        if isinstance(item, Share):
            first = self.again[item]
            nodes = [first] if isinstance(first, Node) else list(first.nodes())
            there = dict(zip(nodes, item.items, strict=True))
            for edge, value in self._values(first, name):
                yield Edge(there[edge.node], edge.output), value  # type: ignore[index]
            return
        outputs = self.lists[item].outputs
        for number, edge in enumerate(outputs):
            yield edge, name if len(outputs) == 1 else f"{name}[{number}]"

    def _last(self, scope: Scope) -> list[Edge]:
        """What a list gives if nothing is said: all that its last item gives."""
        if not scope.items:
            return [self.lists[scope].inputs[0]]
        return [edge for edge, _ in self._values(scope.items[-1], "")]

    def _block_name(self, scope: Scope) -> str:
        name = re.sub(r"\W", "_", scope.path)
        name = name if not name[:1].isdigit() else f"block_{name}"
        name = _unused(name, self.taken)
        self.taken.add(name)
        return name

    def _layers(self, scope: Scope, indent: str, *, top: bool = False) -> Iterator[str]:
        made = self.lists[scope]
        yield f"{indent}layers:" if scope.items else f"{indent}layers: []"
        previous = made.inputs[:1]
        for number, item in enumerate(scope.items):
            yield from self._item(made, item, number, previous, indent + "  ")
            previous = [edge for edge, _ in self._values(item, "")]
        wanted = list(self.outputs.values()) if top else made.outputs
        if scope not in self.blocks and not (top and self.named) and wanted != previous:
            name = _unused("result", set(made.names.values()) | set(made.input_names))
            yield f"{indent}  - {{name: {name}, from: {scalar(made.values[wanted[0]])}}}"

    def _item(
        self, made: _List, item: Item, number: int, previous: list[Edge], indent: str
    ) -> Iterator[str]:
        said: dict[str, Any] = {}
        name = made.names[item]
        if name != str(number):
            said["name"] = name
        reads = self._reads(item)
        variadic = isinstance(item, Node) and REGISTRY[item.op].variadic
        if reads and reads != previous and not variadic:
            names = [made.values[edge] for edge in reads]
            given = item.names if isinstance(item, Node) else ()
            said["from"] = dict(zip(given, names, strict=True)) if given else _one(names)
        if isinstance(item, Share):
            said["share"] = made.names[self.again[item]]
        nodes = list(nodes_of(item))
        if all(node.training_only for node in nodes) and not self._marked_around(made):
            said["training_only"] = True
        if isinstance(item, Node):
            self._facts(made, item, said)
            line = self._flow(said, self._op(made, item, reads))
            yield f"{indent}- {line}"
        elif isinstance(item, Share):
            yield f"{indent}- {self._flow(said, '')}"
        elif item in self.blocks:
            said[self.blocks[item]] = _Bare()
            yield f"{indent}- {self._flow(said, '')}"
        else:
            lead = f"{indent}- "
            for key, value in said.items():
                yield f"{lead}{key}: {scalar(value)}"
                lead = f"{indent}  "
            inner = self._layers(item, f"{indent}  ")
            yield lead + next(inner).lstrip()
            yield from inner

    def _marked_around(self, made: _List) -> bool:
        """Whether the whole list is marked by the node that stands for it."""
        nodes = list(made.scope.nodes())
        return made.scope is not self.root and all(node.training_only for node in nodes)

    def _reads(self, item: Item) -> list[Edge]:
        if isinstance(item, Node):
            return list(item.inputs)
        if isinstance(item, Scope):
            return self.lists[item].inputs
        first = self.again[item]
        if isinstance(first, Node):
            return list(item.items[0].inputs)
        there = dict(zip(first.nodes(), item.items, strict=True))
        made = []
        for edge in self.lists[first].inputs:
            found = {
                mine
                for node, again in there.items()
                for theirs, mine in zip(reads_of(node), reads_of(again), strict=True)
                if theirs == edge
            }
            if len(found) != 1:
                self._refuse_share(item)
            made.append(found.pop())
        return made

    def _facts(self, made: _List, node: Node, said: dict[str, Any]) -> None:
        if not node.trainable and node.owner is not None:
            said["trainable"] = False
        if node.computed:
            said["parametrize"] = {name: _one_scheme(each) for name, each in node.computed.items()}
        if node.weights:
            said["weights"] = {
                name: edge if isinstance(edge, str) else made.values[edge]
                for name, edge in node.weights.items()
            }

    def _op(self, made: _List, node: Node, reads: list[Edge]) -> str:
        try:
            op = REGISTRY[node.op](**{k: _tuples(plain(v)) for k, v in node.args.items()})
        except ArgumentsError as error:
            problems = "; ".join(str(getattr(p, "message", p)) for p in error.args[0])
            raise refused(
                cannot(f"{node.op} is not possible here: {problems}"), node.place
            ) from None
        args = {key: _quoted(value) for key, value in op.arguments().items()}
        for key, value in node.args.items():
            if follows(value):
                args[key] = self._formula(made, node, value)
        if op.variadic:
            names = [made.values[edge] for edge in reads]
            if not args:
                return f"{node.op}: {scalar(names)}"
            return f"{node.op}: {scalar({'inputs': _one(names), **args})}"
        if not args:
            return node.op
        if op.primary is not None and list(args) == [op.primary]:
            return f"{node.op}: {scalar(args[op.primary])}"
        return f"{node.op}: {scalar(args)}"

    def _formula(self, made: _List, node: Node, value: Any) -> Any:
        """An argument with formulas of sizes of earlier values for the numbers that follow them."""
        if isinstance(value, list):
            return [self._formula(made, node, each) for each in value]
        if not isinstance(value, Followed):
            return value
        near = [size for edge in node.inputs for size in self._sizes(made, edge, node)]
        found = spelled(value.values, near)
        if found is None:
            place = made.scope.items.index(node)
            earlier = [
                edge for item in made.scope.items[:place] for edge, _ in self._values(item, "")
            ]
            edges = [*made.inputs, *reversed(earlier)]
            found = spelled(value.values, [s for e in edges for s in self._sizes(made, e, None)])
        if found is None:
            numbers = ", ".join(map(str, value.values))
            raise refused(
                cannot(
                    f"a number here is {numbers} at several sizes of the input, and no formula of "
                    "the sizes around it gives these",
                    help="import it at one size, without --symbolic",
                ),
                node.place,
            )
        return found

    def _sizes(
        self, made: _List, edge: Edge, reader: Node | None
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The sizes of a value at each run, under the names that expressions have for them."""
        if isinstance(edge.node, Node):
            samples = edge.node.samples
            runs = [shapes[edge.output] for shapes in edge.node.at_sizes]
        else:
            samples = True
            runs = [*next(each.at_sizes for each in self.inputs if each.name == edge.node)]
        name = made.values[edge]
        quoted = name if name.isidentifier() else repr(name)
        own = reader is not None and edge == reader.inputs[0] and samples
        for axis, several in enumerate(zip(*runs, strict=True)):
            text = f"size({quoted}, {axis + samples})"
            if own:
                text = f"in_shape[{axis}]"
                if len(runs[0]) == 3 and axis:
                    text = ("in_height", "in_width")[axis - 1]
            yield text, several

    def _flow(self, said: Mapping[str, Any], op: str) -> str:
        """A node in one line."""
        entries = [
            key if isinstance(value, _Bare) else f"{key}: {scalar(value)}"
            for key, value in said.items()
        ]
        entries += [op] if op else []
        if len(entries) == 1 and (op or isinstance(next(iter(said.values())), _Bare)):
            return entries[0]
        return "{" + ", ".join(entries) + "}"


def _one_scheme(scheme: Mapping[str, Any]) -> Any:
    """How a weight is computed: the scheme's name alone where it has no arguments."""
    ((name, arguments),) = scheme.items()
    return {name: arguments} if arguments else name


class _Bare:
    """The value of a key that stands alone."""


def _one(names: Sequence[str]) -> Any:
    return names[0] if len(names) == 1 else list(names)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value


def _quoted(value: Any) -> Any:
    """Texts that could be expressions, quoted."""
    if isinstance(value, str):
        return f"$({value!r})" if value.startswith("$") else value
    if isinstance(value, tuple):
        return tuple(map(_quoted, value))
    return value


def _own_name(item: Item) -> str:
    if isinstance(item, Node):
        return item.name or item.op
    if isinstance(item, Share):
        return f"{item.of.rpartition('.')[2]}_again"
    return item.name


def _suggested(edge: Edge) -> str:
    """A name for a value that comes into a block."""
    node = edge.node
    if isinstance(node, str):
        return node
    name = node.owner.rpartition(".")[2] if node.owner else node.name or node.op
    return name if not name[:1].isdigit() else "x"


def _unused(name: str, taken: set[str]) -> str:
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}_{number}"
    return made


__all__ = ["Input", "SpecError", "flat_text"]
