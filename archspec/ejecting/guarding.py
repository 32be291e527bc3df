"""The guard: the written file is the network of the graph, or it is not written.

The text is read as a program (`interpreting`), the tree of the graph is followed node by node, and
the two must agree: every module with its arguments, in the order of the state dict, and what the
network gives in `eval()` and in `train()`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from archspec.ejecting.calling import as_buffer, construct
from archspec.ejecting.constructors import Constructors
from archspec.ejecting.interpreting import Interpreter, Ran
from archspec.ejecting.phrases import Phrase
from archspec.ejecting.symbols import Differs, Made, Row, Symbols, Tie, leaves, rows
from archspec.ejecting.view import OWNER
from archspec.emit.children import listed
from archspec.folding.template import Op
from archspec.folding.terms import Constant
from archspec.folding.tree import INPUT, Edge, Leaf, List, Node

_PLACE = re.compile(r"(\{\{|\}\})|\{(\w+)\}")


def check(text: str, network: str, root: List, constructors: Constructors) -> None:
    """Compares the classes of a file with the tree. Raises `Differs` at the first difference."""
    symbols = Symbols()
    paths = {path.rpartition(".")[2]: path for path in (*constructors.own, *constructors.others)}
    program = Interpreter(text, paths, symbols)
    wanted = _Wanted(program, constructors)
    expected = wanted.tree(root)
    weightless = list(leaves(expected, lambda each: id(each) in wanted.weightless))
    symbols.weightless = {symbols.leaf(each) for each in weightless}
    made: Made | None = None
    try:
        expected_rows = rows(expected, symbols)
        made = program.instance(network, (), {})
        _compare_rows(expected_rows, rows(made, symbols))
        _compare_ties(_ties(wanted.ties, symbols), _ties(program.methods.ties, symbols))
        _compare_results(wanted, program, (root, expected), made)
    except Differs as error:
        inside = program.inside if made is None or program.inside else _around(made, error.path)
        error.classes = [*reversed(inside), *[network] * (network not in inside)]
        raise


def _compare_results(
    wanted: _Wanted, program: Interpreter, network: tuple[List, Made], made: Made
) -> None:
    """Compares what the network gives in both modes."""
    (root, expected), symbols = network, program.symbols
    inputs = [symbols.of("input", number) for number in range(len(root.inputs))]
    for training in (False, True):
        program.training, program.ran, wanted.ran = training, [], []
        given = wanted.run(root, expected, inputs)
        if symbols.of(program.applied(made, inputs, {})) != symbols.of(given):
            raise Differs("other computations", _first_other(wanted.ran, program.ran))


def _around(made: Made, path: str) -> list[str]:
    """The classes of the modules around a path, the outermost first."""
    found = [made.of] if made.of else []
    for name in path.split("."):
        if name not in made.children:
            break
        made = made.children[name]
        found += [made.of] if made.of else []
    return found


def _compare_rows(wanted: Sequence[Row], found: Sequence[Row]) -> None:
    for one, other in zip_longest(wanted, found):
        if one != other:
            first, second = [each[0] if each else "" for each in (one, other)]
            if first == second:
                raise Differs(f"other arguments of {first}", first)
            raise Differs(f"{second or 'nothing'} where {first or 'nothing'} is", second or first)


def _ties(ties: Sequence[Tie], symbols: Symbols) -> set[tuple[str, str]]:
    def name(of: Made, key: str) -> str:
        return ".".join([part for part in (symbols.paths.get(id(of), "?"), key) if part])

    return {(name(each.of, each.name), name(each.giver, each.key)) for each in ties}


def _compare_ties(wanted: set[tuple[str, str]], found: set[tuple[str, str]]) -> None:
    for own, giver in sorted(wanted ^ found):
        raise Differs(f"{own} is tied to {giver} in one of them", own)


def _first_other(wanted: Sequence[Ran], found: Sequence[Ran]) -> str:
    """The first module that is given what it should be, and gives something else."""
    results = {(each.path, each.given): each.result for each in wanted}
    for each in found:
        if results.get((each.path, each.given), each.result) != each.result:
            return each.path
    return ""


class _Wanted:
    """The modules of the tree, and what they compute."""

    def __init__(self, program: Interpreter, constructors: Constructors) -> None:
        self.program, self.constructors = program, constructors
        self.symbols = program.symbols
        self.weightless: set[int] = set()
        self.child: dict[tuple[int, int], Made] = {}
        self.ties: list[Tie] = []
        self.ran: list[Ran] = []
        self.kept: list[Made] = []

    def tree(self, found: List) -> Made:
        """The module of a list, with its children as `build` registers them."""
        made = Made(of=found.of)
        children: dict[str, Made] = {}
        for position, node in enumerate(found.nodes):
            own = self._child(made, node)
            if own is None:
                continue
            self.child[id(made), position] = own
            if not (isinstance(node.content, Leaf) and _is_shared(node)) or node.marks.get(
                "both_keys"
            ):
                children[node.name] = own
        for position, node in enumerate(found.nodes):
            for word, owner in node.links:
                if word != OWNER:
                    name, key = word.split()
                    giver = self.child[id(made), owner]
                    self.ties.append(Tie(self.child[id(made), position], name, giver, key))
        self.kept.append(made)
        _adopt(made, children)
        return made

    def _child(self, made: Made, node: Node) -> Made | None:
        content = node.content
        if isinstance(content, List):
            own = self.tree(content)
        elif _is_shared(node):
            return self.child[id(made), dict(node.links)[OWNER]]
        else:
            new = self._new(content)
            if new is None:
                return None
            own = new
            own.keyless = bool(node.marks.get("keyless"))
            self._add_extras(own, node)
            if "weightless" in node.marks:
                self.weightless.add(id(own))
        if node.marks.get("frozen"):
            own.frozen = True
        return own

    def _new(self, leaf: Leaf) -> Made | None:
        phrase = Phrase.of(leaf.kind)
        if phrase.path:
            taken = self.constructors.parameters(phrase.path)
            values = {n: v for n, v in leaf.values.items() if not taken or n in taken}
            made = construct(phrase.path, (), values, self.symbols)
            return as_buffer(made)
        if not phrase.tensor:
            return None
        terms = {name: Constant(value) for name, value in leaf.values.items()}
        source = self.constructors.call(Op(leaf.kind, terms), str)
        return as_buffer(self.program.value(_parsed(source), {}))

    def _add_extras(self, made: Made, node: Node) -> None:
        without: Any = node.marks.get("without", ())
        made.extras += [self.symbols.of("without", name) for name in without]
        for mark, how in node.marks.items():
            if mark.startswith("computed "):
                source = self.constructors.computed("made", mark.split()[1], how)
                statement = ast.Expr(_parsed(source))
                path = str(how[0]) if isinstance(how, tuple) else ""
                self.program.paths = {**self.program.paths, path.rpartition(".")[2]: path}
                self.program.run([statement], {"made": made})

    def run(self, found: List, made: Made, given: Sequence[Any]) -> Any:
        """What a list gives."""
        values = {Edge(INPUT, number): each for number, each in enumerate(given)}
        for position, node in enumerate(found.nodes):
            only_training = node.marks.get("training_only")
            if node.marks.get("idle") or (only_training and not self.program.training):
                continue
            reads = [values[edge] for edge in node.reads]
            result = self._applied(made, position, node, reads, found)
            if node.outputs == 1:
                values[Edge(position)] = result
                continue
            every = self.program.unpacked(result, node.outputs)
            values |= {Edge(position, number): each for number, each in enumerate(every)}
        result = self._given(found, values)
        if found.of is not None:
            path, symbols = self.symbols.paths[id(made)], self.symbols
            self.ran.append(Ran(path, symbols.of(*given), symbols.of(result)))
        return result

    def _given(self, found: List, values: Mapping[Edge, Any]) -> Any:
        if found.output_names is None:
            every = [values[edge] for edge in found.outputs]
            return every[0] if len(every) == 1 else tuple(every)
        named = zip(found.output_names, found.outputs, strict=True)
        pairs = {name: values[edge] for name, edge in named if edge in values}
        return next(iter(pairs.values())) if len(pairs) == 1 else pairs

    def _applied(
        self, made: Made, position: int, node: Node, reads: Sequence[Any], found: List
    ) -> Any:
        own = self.child.get((id(made), position))
        content = node.content
        if isinstance(content, Leaf) and _is_shared(node):
            content = self._owned(found, node)
        if isinstance(content, List):
            assert own is not None
            return self.run(content, own, reads)
        assert isinstance(node.content, Leaf)
        phrase = Phrase.of(node.content.kind)
        env = {f"v{number}_": each for number, each in enumerate(reads)}
        env |= {f"n_{name}": value for name, value in node.content.values.items()}
        return self.program.value(_parsed(_source(phrase.call)), {**env, "own_": own})

    def _owned(self, found: List, node: Node) -> Leaf | List:
        """What the node is whose module another calls."""
        owner = found.nodes[dict(node.links)[OWNER]]
        return self._owned(found, owner) if _is_shared(owner) else owner.content


def _is_shared(node: Node) -> bool:
    return any(word == OWNER for word, _ in node.links)


@cache
def _parsed(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


@cache
def _source(call: str) -> str:
    """The code of a phrase with variables in its places."""

    def placed(found: re.Match[str]) -> str:
        if found[1]:
            return found[1][0]
        name = found[2]
        return "own_" if name == "own" else f"v{name}_" if name.isdecimal() else f"n_{name}"

    return _PLACE.sub(placed, call)


def _adopt(made: Made, children: Mapping[str, Made]) -> None:
    """Registers children by their paths, as emitted modules do."""
    lists = listed({name: each.kind == "module" for name, each in children.items()})
    holders: dict[str, Made] = {"": made}

    def holder(path: str) -> Made:
        if path not in holders:
            outer, _, last = path.rpartition(".")
            holders[path] = holder(outer).children[last] = Made()
        return holders[path]

    for name, child in children.items():
        outer, _, last = name.rpartition(".")
        holder(outer).children[last] = child
    for path in lists:
        inside = holders[path].children
        holders[path].children = {key: inside[key] for key in sorted(inside, key=int)}
