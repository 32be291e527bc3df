"""A few other sizes at which a network is legal, to try its module at."""

from __future__ import annotations

import math
from collections.abc import Iterator

from archspec.contracts.contract import Contract
from archspec.contracts.regions import Values
from archspec.ir.graph import Graph
from archspec.record import Record

MOST_TRIED = 12
"""Sizes of which it is asked whether they are legal: each may take a compilation."""

SMALL = 4096
"""Elements of an input that may be tried, though the stated one has fewer."""


class Elsewhere(Record):
    """Sizes of symbols, and the graph that the spec has there."""

    sizes: dict[str, int]
    graph: Graph

    def __str__(self) -> str:
        return ", ".join([f"{name} = {size}" for name, size in self.sizes.items()])


def elsewhere(contract: Contract, most: int = 2) -> list[Elsewhere]:
    """The least legal sizes, and some between them and the stated ones; none that take longer."""
    found: list[Elsewhere] = []
    stated = _elements(contract, contract.stated)
    bound = max(stated + stated // 4, SMALL)
    tried: list[Values] = [contract.stated]
    for values in _candidates(contract):
        if len(found) == most or len(tried) > MOST_TRIED:
            break
        if values in tried or _elements(contract, values) > bound:
            continue
        tried.append(values)
        is_legal = contract.lists(**values) and contract.accepts(**values)
        graph = contract.graph_at(**values) if is_legal else None
        if graph is not None:
            found.append(Elsewhere(values, graph))
    return found


def _elements(contract: Contract, values: Values) -> int:
    return sum(map(math.prod, contract.input_shape(**values).values()))


def _candidates(contract: Contract) -> Iterator[dict[str, int]]:
    """Sizes that may be legal, each symbol by itself and then all alike."""
    stated, sizes = contract.stated, contract.sizes
    least = {name: sizes[name].least or size for name, size in stated.items()}
    yield least
    yield dict.fromkeys(stated, max(least.values()))
    # Odd and unlike each other, about half way.
    for part in (2, 3, 4):
        apart = {}
        for position, (name, size) in enumerate(stated.items()):
            near = least[name] + (size - least[name]) // part + 2 * position
            apart[name] = sizes[name].above(near // 2 * 2) or size
        yield apart
        yield dict.fromkeys(stated, max(apart.values()))
    yield {name: sizes[name].below(size) or size for name, size in stated.items()}
    yield {name: sizes[name].above(size) or size for name, size in stated.items()}
