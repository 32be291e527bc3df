"""The graph of a spec with symbols for the sizes of its inputs, for code that follows them."""

from __future__ import annotations

from archspec.contracts.derive import declared_sizes, read
from archspec.expand.program import Origin, stated_inputs, trial
from archspec.ir.graph import Graph
from archspec.sizes.formula import Ring


def followed(origin: Origin) -> Graph | None:
    """The graph of a spec that compiles; None where it has code that runs at known sizes alone.

    Symbols are those that the spec declares, else one for each size of each input.
    """
    spec, given = read(origin)
    declared = {**declared_sizes(spec), **origin.sizes}
    limits, ring = origin.limits, Ring()
    if origin.input_shape is None and declared:
        return trial(spec, given, None, {}, declared, limits, ring).graph
    inputs = stated_inputs(spec, given, origin.input_shape, limits, declared)
    sizes = {name: shape[1:] for name, shape in inputs.items()}
    axes = {
        name: [f"{name}[{axis}]" for axis in range(1, len(shape))] for name, shape in inputs.items()
    }
    return trial(spec, given, sizes, axes, {}, limits, ring).graph
