"""A few other legal sizes of a network, at which its module can be tried."""

from __future__ import annotations

import math
from collections.abc import Iterator

from archspec.contracts.contract import Contract
from archspec.contracts.regions import Values
from archspec.ir.graph import Graph
from archspec.record import Record

MOST_TRIED = 12
"""The most sizes that are tested for being legal: each test may take a compilation."""

SMALL = 4096
"""How many elements an input may always have, even where the stated one has fewer."""


class Elsewhere(Record):
    """Sizes of the symbols, and the graph of the spec at these sizes."""

    sizes: dict[str, int]
    graph: Graph

    def __str__(self) -> str:
        return ", ".join([f"{name} = {size}" for name, size in self.sizes.items()])


def elsewhere(contract: Contract, most: int = 2) -> list[Elsewhere]:
    """The least legal sizes, and some between these and the stated ones. None takes longer."""
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
    """Sizes that may be legal: a size for each symbol, then one for all, in turns."""
    stated, sizes = contract.stated, contract.sizes
    least = {name: sizes[name].least or size for name, size in stated.items()}
    yield least
    yield dict.fromkeys(stated, max(least.values()))
    # Odd sizes that differ from each other, about half way.
    for part in (2, 3, 4):
        apart = {}
        for position, (name, size) in enumerate(stated.items()):
            near = least[name] + (size - least[name]) // part + 2 * position
            apart[name] = sizes[name].above(near // 2 * 2) or size
        yield apart
        yield dict.fromkeys(stated, max(apart.values()))
    yield {name: sizes[name].below(size) or size for name, size in stated.items()}
    yield {name: sizes[name].above(size) or size for name, size in stated.items()}
