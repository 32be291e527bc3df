"""The graph of a spec with symbols for the sizes of its inputs, for code that follows them."""

from __future__ import annotations

from archspec.contracts.derive import declared_sizes, read
from archspec.expand.program import Origin, Trial, stated_inputs, trial
from archspec.ir.computed import parts
from archspec.ir.graph import Graph, Step
from archspec.ir.op import Op
from archspec.sizes.formula import Ring
from archspec.sizes.size import depends


def followed(origin: Origin) -> Graph | None:
    """The graph of a spec that compiles; None where code need not compute any number.

    It is None too where the spec has code that runs at known sizes alone. Symbols are those that
    the spec declares, else one for each size of each input.
    """
    spec, given = read(origin)
    declared = {**declared_sizes(spec), **origin.sizes}
    limits, ring = origin.limits, Ring()
    if origin.input_shape is None and declared:
        return _needed(trial(spec, given, None, {}, declared, limits, ring))
    inputs = stated_inputs(spec, given, origin.input_shape, limits, declared)
    sizes = {name: shape[1:] for name, shape in inputs.items()}
    axes = {
        name: [f"{name}[{axis}]" for axis in range(1, len(shape))] for name, shape in inputs.items()
    }
    return _needed(trial(spec, given, sizes, axes, {}, limits, ring))


def _needed(found: Trial) -> Graph | None:
    found.path.asker = _nobody  # so that the graph lets go of the compiler, and can be pickled
    return found.graph if found.graph is not None and is_needed(found.graph) else None


def _nobody() -> None:
    """Asks for nothing."""


def is_following(step: Step) -> bool:
    """Whether code computes the arguments of a step's op: a weight has its size for good."""
    op = step.op
    return op is not None and op.follows and not op.weights(*step.input_shapes)


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
