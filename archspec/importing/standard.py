"""Which lists of a network are a standard block, by their structure alone.

Arguments are read off the nodes that a block's text gives its parameters to. Whether that is the
very same list then shows by compiling the call.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from archspec.diagnostics.diagnostic import SpecError
from archspec.document.blocks import library_block
from archspec.document.node_keys import NODE_KEYS
from archspec.document.records import Parameter
from archspec.expand.write import scalar
from archspec.folding.columns import key
from archspec.folding.order import in_order
from archspec.folding.tree import Known, Leaf, List, Value
from archspec.ir.facts import facts
from archspec.ir.graph import Graph, Step
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import is_batched
from archspec.loading import loads
from archspec.sizes.size import known
from archspec.text import files
from archspec.text.values import plain

MOST_NODES = 40
"""The most nodes of a list that is compared."""

Bound = dict[str, Value]
Params = Mapping[str, Any]
"""The parameters of a block, with the defaults that its text states."""


class _Unbound(Exception):
    """A list is no call of a block."""


@cache
def _texts() -> Mapping[str, Mapping[str, Any]]:
    """The texts of all standard blocks whose nodes can be told one by one."""
    found = {}
    for name in sorted(files.library_blocks()):
        block = library_block(name)
        if block is not None:
            found[name] = plain(block.raw)
    return found


def match(graph: Graph) -> Known | None:
    """The call of a standard block that a list is, the one with its own name first."""
    if not 0 < len(graph.steps) <= MOST_NODES:
        return None
    if len(graph.steps) == 1 and graph.steps[0].body is None:
        return None
    if not graph.inputs or not all(kind.is_float for kind in graph.input_types):
        return None
    if not is_batched(graph.inputs[0]):
        return None
    for name in sorted(_texts(), key=lambda name: (name != graph.block, name)):
        try:
            bound = _bound(name, graph)
        except _Unbound:
            continue
        calls = [_verified(name, each, graph) for each in _completed(name, bound)]
        found = [call for call in calls if call is not None]
        if found:
            return min(found, key=lambda call: len(call.values) - len(call.usual))
    return None


def _parameters(name: str) -> Mapping[str, Parameter]:
    block = library_block(name)
    assert block is not None
    return block.params


def _completed(name: str, bound: Bound) -> Iterator[Bound]:
    """What is read off, with numbers tried for a parameter that no node is given alone.

    Such a one is mostly one of the numbers, or one of them divided by a default.
    """
    params = _parameters(name)
    missing = [n for n, p in params.items() if p.required and n not in bound]
    if not missing:
        yield bound
    elif len(missing) == 1 and params[missing[0]].type == "int":
        numbers = [v for v in bound.values() if type(v) is int]
        stated = [plain(p.value) for p in params.values() if p.value is not None]
        divisors = [1, *(n for n in stated if type(n) is int and n > 1)]
        tried = {n // d for n in numbers for d in divisors if d and n % d == 0}
        yield from ({missing[0]: number, **bound} for number in sorted(tried))


# --- what a call says ----------------------------------------------------------------------------


def _verified(name: str, bound: Bound, graph: Graph) -> Known | None:
    """The call, if it makes the very same list."""
    params = _parameters(name)
    if any(each.required and each.name not in bound for each in params.values()):
        return None
    stated = {n: plain(p.value) for n, p in params.items() if p.value is not None}
    usual = {n for n, v in bound.items() if n in stated and _same(v, stated[n])}
    given = {n: v for n, v in bound.items() if n not in usual}
    if not _makes(name, given, graph):
        return None
    for each, value in list(given.items()):
        computed = isinstance(stated.get(each), str) and "$" in str(stated[each])
        del given[each]
        if computed and _makes(name, given, graph):
            usual.add(each)
        else:
            given[each] = value
    values = dict(bound)
    for n, default in stated.items():
        free = type(default) is float and _makes(name, {**given, n: default + 0.5}, graph)
        if n not in values and isinstance(default, int | float | bool) and not free:
            values[n] = default
            usual.add(n)
    kinds = {n: p.type for n, p in params.items()}
    values = {n: values[n] for n in params if n in values}
    return Known(name, values, frozenset(usual), kinds)


def _same(value: Value, stated: Any) -> bool:
    """Whether a value is the one that the text of a block states as a default."""
    if isinstance(value, Leaf):
        return bool(stated == _written(value))
    return key(value) == key(tuple(stated) if isinstance(stated, list) else stated)


def _makes(name: str, given: Bound, graph: Graph) -> bool:
    inputs = {}
    nodes: list[dict[str, Any]] = []
    names = [f"x{number}" for number in range(len(graph.inputs))]
    for each, shape in zip(names, graph.inputs, strict=True):
        if is_batched(shape):
            inputs[each] = [known(size) for size in shape[1:]]
        else:
            nodes.append({"name": each, "parameter": list(map(known, shape))})
    args = {n: _written(value) for n, value in given.items()}
    nodes.append({"name": "call", name: args, "from": names})
    text = f"inputs: {scalar(inputs)}\nlayers: {scalar(nodes)}\n"
    try:
        made = loads(text, warn=False).graph.steps[-1].body
    except (SpecError, ValueError):
        return False
    return made is not None and facts(made)[1:] == facts(graph)[1:]


def _written(value: Value) -> Any:
    if isinstance(value, Leaf):
        return {value.kind: dict(value.values)} if value.values else value.kind
    return value


# --- arguments off the nodes ---------------------------------------------------------------------


def _bound(name: str, graph: Graph) -> Bound:
    """What the parameters of a block would be. Raises `_Unbound`."""
    text = _texts().get(name)
    if text is None:
        raise _Unbound
    return _bind_list(text["layers"], graph.steps, text.get("params", {}), {})


def _bind_list(nodes: Sequence[Any], steps: Sequence[Step], params: Params, found: Bound) -> Bound:
    """What the parameters are where the nodes are these steps, beside what was found before.

    A node under a condition may be there or not.
    """
    if not nodes:
        if steps:
            raise _Unbound
        return found
    said = nodes[0] if isinstance(nodes[0], dict) else {nodes[0]: None}
    form = next((k for k in said if k not in NODE_KEYS), None)
    if form is None or not _UNTOLD.isdisjoint(said):
        raise _Unbound
    condition = said.get("when")
    if steps:
        try:
            trial = dict(found)
            _bind_node(str(form), said, steps[0], params, trial)
            if condition is not None:
                _bind_condition(str(condition), True, params, trial)
            return _bind_list(nodes[1:], steps[1:], params, trial)
        except _Unbound:
            if condition is None:
                raise
    if condition is None:
        raise _Unbound
    trial = dict(found)
    _bind_condition(str(condition), False, params, trial)
    return _bind_list(nodes[1:], steps, params, trial)


_UNTOLD = frozenset(("repeat", "parallel", "branches", "share", "else"))
"""Keys of nodes whose steps are not known one by one."""


def _bind_layer(param: str, op: Op, stated: Any, found: Bound) -> None:
    """An op for a parameter that is layers: an activation for an activation, and so on."""
    word = next(iter(stated)) if isinstance(stated, dict) else stated
    usual = REGISTRY.get(word) if isinstance(word, str) else None
    if usual is not None and not type(op).passes_through and not usual.passes_through:
        active = type(op).is_activation
        if active is not usual.is_activation or active is ("eps" in op.fields()):
            raise _Unbound
    _bind(param, Leaf(op.op_name, op.arguments()), found)


def _bind_node(form: str, said: dict[str, Any], step: Step, params: Params, found: Bound) -> None:
    _bind_name(said.get("name"), step, params, found)
    if step.shares is not None or step.ties or step.training_only or step.frozen:
        raise _Unbound
    if form.startswith("$"):
        if step.op is None:
            raise _Unbound
        _bind_layer(form[1:], step.op, params.get(form[1:]), found)
    elif form == "layers":
        if step.body is None:
            raise _Unbound
        found.update(_bind_list(said["layers"], step.body.steps, params, found))
    elif form in REGISTRY:
        _bind_op(form, said[form], step, params, found)
    else:
        _bind_call(form, said[form], step, params, found)


def _bind_name(name: str | None, step: Step, params: Params, found: Bound) -> None:
    if name is None:
        if step.named and not step.name.isdigit():
            raise _Unbound
        return
    inserted = re.fullmatch(r"\{(\w+)\}", name)
    if inserted and inserted[1] in params:
        _bind(inserted[1], step.name, found)
    elif name != step.name:
        raise _Unbound


def _bind_op(form: str, args: Any, step: Step, params: Params, found: Bound) -> None:
    if step.op is None or step.op.op_name != form or type(step.op) is not REGISTRY[form]:
        raise _Unbound
    if not isinstance(args, dict):
        args = {REGISTRY[form].primary: args} if REGISTRY[form].primary else {}
    for name, value in args.items():
        held = getattr(step.op, name, None)
        if isinstance(value, list) and isinstance(held, tuple) and len(value) == len(held):
            pairs = list(zip(value, held, strict=True))
        else:
            pairs = [(value, held)]
        for said, number in pairs:
            if (param := _param(said, params)) is not None:
                _bind(param, number, found)


def _bind_call(form: str, args: Any, step: Step, params: Params, found: Bound) -> None:
    if step.body is None:
        raise _Unbound
    inner = _bound(form, step.body)
    for name, value in (args or {}).items():
        name = name.removeprefix("$")
        param = _param(value, params)
        if param is not None and name in inner:
            _bind(param, inner[name], found)


def _param(value: Any, params: Params) -> str | None:
    """The parameter that an argument is, alone."""
    name = value.removeprefix("$") if isinstance(value, str) else None
    return name if name in params else None


def _bind(param: str, value: Value, found: Bound) -> None:
    if param in found and key(found[param]) != key(value):
        raise _Unbound
    found[param] = value


_LEFT_OUT = re.compile(r"(\w+) (!=|>) ('identity'|0)")


def _bind_condition(text: str, there: bool, params: Params, found: Bound) -> None:
    """What a condition says of parameters when it is true or not."""
    negated = text.startswith("not ")
    name = text.removeprefix("not ")
    if name in params:
        _bind(name, there is not negated, found)
    elif not there and (said := _LEFT_OUT.fullmatch(text)) and said[1] in params:
        if said[2] == "!=":
            _bind(said[1], Leaf("identity", {}), found)
        elif said[1] not in found:
            found[said[1]] = 0


# --- a whole network -----------------------------------------------------------------------------


def standard_lists(
    root: List, graphs: Mapping[List, Graph], others: Container[List] = ()
) -> dict[List, Known]:
    """The lists that are standard blocks: whole classes, and groups of some length.

    Lists inside of one are not asked: the block has them. `others` are none.
    """
    found: dict[List, Known] = {}
    reached: dict[List, None] = {}

    def descend(tree: List) -> None:
        for node in tree.nodes:
            if isinstance(node.content, List):
                inner = node.content
                if inner.of is not None:
                    reached[inner] = None
                elif inner not in others and (known := _group(graphs[inner])) is not None:
                    found[inner] = known
                else:
                    descend(inner)

    descend(root)
    for members in reversed(in_order(root)):
        there = [each for each in members if each in reached]
        calls = [None if each in others else match(graphs[each]) for each in there]
        blocks = {call.block if call is not None else None for call in calls}
        if len(blocks) == 1 and None not in blocks:
            found.update({m: c for m, c in zip(there, calls, strict=True) if c is not None})
        else:
            for each in there:
                descend(each)
    return found


LEAST_GROUP = 3
"""The fewest nodes of a group that is called by the name of a block: two read well as they are."""


def _group(graph: Graph) -> Known | None:
    return match(graph) if len(graph.steps) >= LEAST_GROUP else None
