"""Shapes, MACs and memory of a network as formulas of its input sizes, with their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from archspec.analyses.cost import Costs
from archspec.analyses.layers import Layer, layers
from archspec.analyses.memory import memory
from archspec.contracts.contract import Contract
from archspec.contracts.regions import Box, Region
from archspec.ir.graph import Graph, trained_only
from archspec.ir.types import PRECISION
from archspec.record import Record
from archspec.sizes.sets import Sizes
from archspec.sizes.size import depends, known
from archspec.sizes.solve import Solver
from archspec.sizes.words import condition_text, formula_text, sizes_text

T = TypeVar("T")


class Figure(Record):
    """A number: its `value` at the stated sizes, and the `text` of its formula.

    The formula holds at the sizes that `where` describes; at all legal sizes if it is None.
    """

    value: int
    text: str
    where: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The figure as plain data for JSON output."""
        return {"value": self.value, "formula": self.text, "where": self.where}


class NodeFormulas(Record):
    """One node: the shapes of its outputs, N first, and its MACs for one sample, in `eval()`."""

    path: str
    op: str
    output_shapes: tuple[str, ...]
    num_parameters: int
    macs: Figure | None

    def as_dict(self) -> dict[str, Any]:
        """The node as plain data for JSON output."""
        return {**self._asdict(), "macs": self.macs and self.macs.as_dict()}


class Formulas:
    """The figures of a network as formulas, which hold at all sizes that its contract accepts.

    `num_parameters` of a node are numbers: the contract keeps the weights as they are. `macs` is
    None where they are not known. `activation_bytes` and `saved_bytes` are for one sample, in a
    network whose floats have type `dtype`.
    """

    def __init__(self, contract: Contract, precision: str = PRECISION) -> None:
        self.dtype = precision
        cell = contract.main
        graph, self._legal = cell.graph, contract.sizes
        assert graph is not None
        self.stated = contract.stated
        costs, self._costs_hold = _apart(graph, self._legal, contract.solver, lambda: Costs(graph))
        self.input_shapes = _named(graph.input_names, graph.inputs, self._legal)
        names = graph.output_names or ("output",)
        outputs = [ref for ref in graph.outputs if not trained_only(graph, ref)]
        shapes = [graph.shape(ref) for ref in outputs]
        self.output_shapes = _named(names, shapes, self._legal)
        self.nodes = [self._node(layer) for layer in layers(graph, costs)]
        self.macs = self._figure(costs.total.known_macs)
        self.num_parameters: int = known(costs.total.num_parameters)
        # Copies in a pass depend on memory layouts, which depend on the sizes that are 1.
        kept, where = _apart(
            *(graph, self._legal, contract.solver),
            lambda: memory(graph, 1, precision=precision),
        )
        self.activation_bytes, self.saved_bytes = [
            Figure(known(value), _number(value, self._legal), where) for value in kept
        ]

    def _node(self, layer: Layer) -> NodeFormulas:
        shapes = tuple([_shape(shape, self._legal) for shape in layer.output_shapes])
        parameters = known(layer.num_parameters)
        return NodeFormulas(layer.path, layer.op, shapes, parameters, self._figure(layer.macs))

    def _figure(self, value: Any) -> Figure | None:
        if value is None:
            return None
        return Figure(known(value), _number(value, self._legal), self._costs_hold)

    def as_dict(self) -> dict[str, Any]:
        """The formulas as plain data for JSON output."""
        figures = ("macs", "activation_bytes", "saved_bytes")
        return {
            "sizes": self.stated,
            **({} if self.dtype == PRECISION else {"dtype": self.dtype}),
            "input_shapes": self.input_shapes,
            "output_shapes": self.output_shapes,
            **{name: (f := getattr(self, name)) and f.as_dict() for name in figures},
            "nodes": [node.as_dict() for node in self.nodes],
        }

    def lines(self) -> Iterator[str]:
        """The formulas of the whole network for a terminal."""
        shapes = [" and ".join(each.values()) for each in (self.input_shapes, self.output_shapes)]
        yield f"shapes: {' → '.join(shapes)}"
        for name in ("macs", "saved_bytes"):
            figure = getattr(self, name)
            if figure is not None and figure.text != str(figure.value):
                where = f" where {figure.where}" if figure.where else ""
                yield f"{_CALLED[name]}: {figure.text}{where}"


_CALLED = {"macs": "MACs", "saved_bytes": "bytes saved for backward, of one sample"}


def _named(names: Any, shapes: Any, legal: Mapping[str, Sizes]) -> dict[str, str]:
    return {name: _shape(shape, legal) for name, shape in zip(names, shapes, strict=False)}


def _shape(shape: Any, legal: Mapping[str, Sizes]) -> str:
    return f"({', '.join([_number(dim, legal) for dim in shape])})"


def _number(value: Any, legal: Mapping[str, Sizes]) -> str:
    return formula_text(value.formula, legal) if depends(value) else str(value)


def _apart(
    graph: Graph, legal: Box, solver: Solver, compute: Callable[[], T]
) -> tuple[T, str | None]:
    """The result, and the legal sizes at which its formulas hold; None for all.

    They hold where every question about sizes has the same answer. A sum of too many terms is
    replaced by its number at the stated size.
    """
    dims: list[Any] = [dim for shape in graph.inputs for dim in shape if depends(dim)]
    if not dims:
        return compute(), None
    with dims[0].path.apart() as asked:
        found = compute()
    region = Region(dict(legal)).meeting(list(asked), solver)
    texts = [sizes_text(sizes, name) for name, sizes in region.box.items() if sizes != legal[name]]
    texts += [condition_text(condition) for condition in region.joint]
    return found, "; ".join(texts) or None
