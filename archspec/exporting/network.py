"""What is exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn

from archspec.ir.graph import Graph
from archspec.record import Record

if TYPE_CHECKING:
    from archspec.contracts.contract import Contract


class Network(Record):
    """What is exported: `net` computes `graph` in eval() and has no checks of its sizes.

    `outputs` are the names of its outputs in eval(). `declared` are the symbols of the spec's
    `sizes:`; `contract` derives their legal sizes.
    """

    net: nn.Module
    graph: Graph
    outputs: tuple[str, ...]
    declared: tuple[str, ...]
    contract: Callable[[], Contract]
    metadata: dict[str, str]
