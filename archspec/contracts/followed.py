"""The graph of a spec with a symbol for each size of its inputs, for code that follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archspec.diagnostics.diagnostic import Source
from archspec.expand.program import read_document, stated_inputs, trial
from archspec.ir.graph import Graph
from archspec.sizes.formula import Ring
from archspec.text.limits import Limits


def followed(
    source: Source,
    folder: str | None,
    params: Mapping[str, Any],
    input_shape: Any,
    limits: Limits,
    allow_outside: bool,
) -> Graph | None:
    """The graph of a spec that compiles; None where it has code that runs at known sizes alone."""
    spec, given = read_document(source, folder, params, limits, allow_outside)
    inputs = stated_inputs(spec, given, input_shape, limits)
    sizes = {name: shape[1:] for name, shape in inputs.items()}
    axes = {
        name: [f"{name}[{axis}]" for axis in range(1, len(shape))] for name, shape in inputs.items()
    }
    return trial(spec, given, sizes, axes, limits, Ring()).graph
