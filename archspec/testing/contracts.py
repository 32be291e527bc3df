"""Contracts held against compiling at each size: an oracle that shares no rule with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

from archspec.architecture import Architecture
from archspec.contracts.contract import Contract
from archspec.diagnostics.diagnostic import SpecError
from archspec.ir.graph import Graph, Step

Of: TypeAlias = Literal["network", "arguments", "all"]


def contract_mismatches(
    arch: Architecture, contract: Contract, cases: Iterable[dict[str, int]]
) -> Iterator[str]:
    """What a contract says of some sizes and compiling there does not, in words.

    It must compile where the contract says so; the graph must be the one that the formulas give;
    and it must be the network of the stated sizes where, and only where, these sizes are accepted.
    """
    for values in cases:
        said = ", ".join(f"{name} = {size}" for name, size in values.items())
        real, derived = compiled(arch, contract, values), contract.graph_at(**values)
        if (real is None) is not (derived is None):
            yield f"{said}: it {'does not compile' if real is None else 'compiles'}"
            continue
        if real is None or derived is None:
            if contract.accepts(**values):
                yield f"{said}: it is accepted, and does not compile"
            continue
        if difference := next(differences(real, derived), None):
            yield f"{said}: {difference}"
        accepted = contract.accepts(**values)
        if accepted and (difference := next(differences(real, arch.graph, "network"), None)):
            yield f"{said}: it is accepted, and is another network: {difference}"
        # The code of the module computes arguments by the formulas that it has at its own sizes.
        modules = arch.graph, contract.module_graph_at(**values)
        if not accepted and not any(
            next(differences(real, module, "arguments"), None) for module in modules
        ):
            yield f"{said}: it is refused, and is the same network"


def compiled(arch: Architecture, contract: Contract, values: dict[str, int]) -> Graph | None:
    """The graph at these sizes, by compiling the text again; None where it does not compile."""
    shape = contract.input_shape(**values)
    try:
        return arch.variant(input_shape=shape).graph
    except SpecError:
        return None


def differences(
    a: Graph, b: Graph, of: Of = "all", seen: set[tuple[Graph, Graph]] | None = None
) -> Iterator[str]:
    """Where two graphs differ, step by step, those in blocks too.

    Of a network its ops, weights and wiring; the arguments of its ops too; or all, with shapes.
    """
    seen = set() if seen is None else seen
    if (a, b) in seen:
        return
    seen.add((a, b))
    if len(a.steps) != len(b.steps) or a.outputs != b.outputs:
        yield "the graphs have other steps"
        return
    for one, two in zip(a.steps, b.steps, strict=True):
        if _said(one, of) != _said(two, of):
            yield f"{one.name} ({one.kind}, line {one.span.line}) differs"
        if one.body is not None and two.body is not None:
            yield from differences(one.body, two.body, of, seen)


def _said(step: Step, of: Of) -> Any:
    op = step.op
    said: list[Any] = [
        step.name,
        step.inputs,
        step.shares,
        step.training_only,
        step.idle,
        step.frozen,
        step.ties,
        step.both_keys,
    ]
    if op is not None:
        said += [type(op), op.weights(*step.input_shapes), op.module_key(*step.input_shapes)]
    if op is not None and of != "network":
        said.append(vars(op))
    return [*said, step.input_shapes, step.outputs] if of == "all" else said
