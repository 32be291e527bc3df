"""The graph of a spec with symbols for its input sizes, for code that computes with sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.contracts.networks import with_formulas
from archspec.document.records import Spec
from archspec.document.spec import chain, said_along
from archspec.expand.program import Origin, Trial, read_document, stated_inputs, trial
from archspec.expressions.arguments import Argument
from archspec.ir.computed import parts
from archspec.ir.graph import Graph, is_following
from archspec.ir.op import Op
from archspec.sizes.formula import Ring
from archspec.sizes.size import depends, known


def read(origin: Origin) -> tuple[Spec, dict[str, Argument]]:
    """The checked document, and the values of its parameters."""
    return read_document(
        origin.source, origin.folder, origin.params, origin.limits, origin.allow_outside
    )


def declared_sizes(spec: Spec) -> dict[str, int]:
    """The symbols that a spec declares, with the sizes that it states."""
    return dict(said_along(chain(spec))["sizes"])


def followed(origin: Origin) -> Graph | None:
    """The graph of a spec that compiles; None where code computes no number.

    It is None too where the spec has code that runs only at known sizes. The symbols are those that
    the spec declares, or else one for each size of each input.
    """
    spec, given = read(origin)
    declared = {**declared_sizes(spec), **origin.sizes}
    limits, ring = origin.limits, Ring()
    if origin.input_shape is None and declared:
        return _needed(trial(spec, given, None, {}, declared, limits, ring))
    return _needed(_with_every_size(origin, ring))


def emitted_with(
    origin: Origin, ring: Ring, axes: Mapping[str, Sequence[str | None]]
) -> Graph | None:
    """The graph of `followed` for given inputs, with the names of their sizes in `axes`.

    Code reads each size by itself. So where two sizes have one name, or a size has none, its
    numbers may differ from those of a compilation that knows this.
    """
    found = _with_every_size(origin, ring)
    if found.graph is None:
        return None
    graph, values = found.graph, {}
    for name, shape in zip(graph.input_names, graph.inputs, strict=True):
        symbols = axes.get(name) or (None,) * (len(shape) - 1)
        for axis, symbol in enumerate(symbols, start=1):
            size = known(shape[axis])
            values[f"{name}[{axis}]"] = ring.symbol(symbol) if symbol else ring.constant(size)
    return with_formulas(graph, values)


def _with_every_size(origin: Origin, ring: Ring) -> Trial:
    """A compilation in which each size of each input is a symbol."""
    spec, given = read(origin)
    declared = {**declared_sizes(spec), **origin.sizes}
    inputs = stated_inputs(spec, given, origin.input_shape, origin.limits, declared)
    sizes = {name: shape[1:] for name, shape in inputs.items()}
    axes = {
        name: [f"{name}[{axis}]" for axis in range(1, len(shape))] for name, shape in inputs.items()
    }
    return trial(spec, given, sizes, axes, {}, origin.limits, ring)


def _needed(found: Trial) -> Graph | None:
    found.path.asker = _nobody  # so that the graph lets go of the compiler, and can be pickled
    return found.graph if found.graph is not None and is_needed(found.graph) else None


def _nobody() -> None:
    """Says that no node asks."""


def is_symbolic(op: Op) -> bool:
    """Whether an argument depends on symbols."""
    return any(map(depends, parts(vars(op))))


def is_needed(graph: Graph) -> bool:
    """Whether the code of a graph, or of one inside it, computes any number."""
    waiting, met = [graph], {graph}
    while waiting:
        for step in waiting.pop().steps:
            if step.op is not None:
                if is_symbolic(step.op) and is_following(step):
                    return True
            elif step.body is not None and step.body not in met:
                met.add(step.body)
                waiting.append(step.body)
    return False
