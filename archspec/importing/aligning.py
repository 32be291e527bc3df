"""The nodes of a run in `train()` beside those of one in `eval()`: one network for both.

`eval()` has what `train()` has, but for what passes its input through there, as stochastic depth,
and for what is computed in training alone.
"""

from __future__ import annotations

from typing import Any

from archspec.diagnostics.diagnostic import SpecError
from archspec.importing.lifting import Edge, Node
from archspec.importing.trace import cannot, refused

Outputs = dict[str, Edge]

PASSING = frozenset(
    (
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "stochastic_depth"),
        *("alpha_dropout", "feature_alpha_dropout"),
    )
)
"""Ops that give back their input in `eval()`."""


def align(
    training: list[Node], evaluation: list[Node], trained: Outputs, evaluated: Outputs
) -> tuple[list[Node], Outputs]:
    """The nodes of `train()`, with those marked that `eval()` leaves out; the outputs by name.

    Raises `SpecError` where the two compute something else.
    """
    paired = _paired(training, evaluation)
    back = {each: node for node, each in paired.items()}
    _check_inputs(paired, back)
    _mark(training, paired, trained)
    names = dict(trained)
    if len(evaluated) == 1 and set(evaluated) - set(trained):
        (edge,) = evaluated.values()
        there = [name for name, each in trained.items() if _same(each, edge, paired)]
        if not there:
            raise _differ(edge.node if isinstance(edge.node, Node) else None)
        evaluated = {there[0]: edge}
    for name, edge in evaluated.items():
        if name not in names or not _same(names[name], edge, paired):
            raise _differ(edge.node if isinstance(edge.node, Node) else None)
    for name in names:
        node = names[name].node
        if name not in evaluated and isinstance(node, Node) and node in paired:
            raise _differ(node)
    return training, names


def _key(node: Node) -> Any:
    args = {key: value for key, value in node.args.items() if key not in ("dropout_p",)}
    inside = node.inside.path if node.inside is not None else ""
    return node.op, node.owner, repr(args), inside


def _paired(training: list[Node], evaluation: list[Node]) -> dict[Node, Node]:
    """The node of `eval()` for each one of `train()` that it has too, found in order."""
    paired: dict[Node, Node] = {}
    place = 0
    for node in evaluation:
        key = _key(node)
        found = place
        while found < len(training) and _key(training[found]) != key:
            found += 1
        if found == len(training):
            raise _differ(node)
        paired[training[found]] = node
        place = found + 1
    return paired


def _through(edge: Edge, paired: dict[Node, Node]) -> Edge:
    """The value that stands for one of `train()` in `eval()`, where some ops pass it through."""
    node = edge.node
    while isinstance(node, Node) and node not in paired and node.op in PASSING:
        edge = node.inputs[0]
        node = edge.node
    return edge


def _same(trained: Edge, evaluated: Edge, paired: dict[Node, Node]) -> bool:
    behind = _through(trained, paired)
    node = paired.get(behind.node) if isinstance(behind.node, Node) else behind.node
    return node == evaluated.node and behind.output == evaluated.output


def _check_inputs(paired: dict[Node, Node], back: dict[Node, Node]) -> None:
    for node, other in paired.items():
        if len(node.inputs) != len(other.inputs):
            raise _differ(node)
        for mine, theirs in zip(node.inputs, other.inputs, strict=True):
            if not _same(mine, theirs, paired):
                raise _differ(node)


def _mark(training: list[Node], paired: dict[Node, Node], outputs: Outputs) -> None:
    """Mark what only training needs: what is not in `eval()` and passes nothing through to it."""
    needed = {_through(edge, paired).node for node in paired for edge in node.inputs}
    on_the_way = set()
    for node in paired:
        for edge in node.inputs:
            each = edge.node
            while isinstance(each, Node) and each not in paired and each not in on_the_way:
                on_the_way.add(each)
                each = each.inputs[0].node
    for edge in outputs.values():
        each = edge.node
        if _through(edge, paired) != edge and _through(edge, paired).node in paired:
            while isinstance(each, Node) and each not in paired:
                on_the_way.add(each)
                each = each.inputs[0].node
    del needed
    for node in training:
        node.training_only = node not in paired and node not in on_the_way


def _differ(node: Node | None) -> SpecError:
    return refused(
        cannot(
            "train() and eval() compute different things here",
            help="a spec has one network; what training has alone are dropout, stochastic depth, "
            "statistics of norms, and outputs that eval() leaves out",
        ),
        node.place if node is not None else None,
    )
