"""The network as a program of torch.export, with open sizes."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import torch
from torch.fx.experimental import _config

from archspec.exporting.axes import BATCH, Axes
from archspec.exporting.errors import SizesError
from archspec.ir.shape import concrete
from archspec.record import Record
from archspec.runtime.values import drawn

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

    from archspec.exporting.network import Network


class Way(Record):
    """How torch treats conditions on open sizes, beside the bounds that it is told.

    Unless `oblivious`, it asks of each open size that it is not 1, here and within the network.
    With `deferred`, conditions that it cannot derive from the bounds become checks of the program.
    """

    oblivious: bool
    deferred: bool


EXACT, PLAIN = Way(True, False), Way(False, False)
WAYS = (EXACT, Way(True, True), PLAIN)
"""In the order in which they are tried."""


def traced(network: Network, axes: Axes) -> ExportedProgram:
    """The program of the network in eval(). Raises `SizesError`."""
    values = _example(network, axes)
    refusals = _refusals()
    errors = []
    for way in WAYS if axes.symbols else (EXACT, PLAIN):
        try:
            return _export(network, values, axes, way)
        except refusals as error:
            errors.append(error)
    raise _untraceable(next((each for each in errors if _bounds(each)), errors[0]), axes)


def _export(network: Network, values: tuple[Tensor, ...], axes: Axes, way: Way) -> ExportedProgram:
    oblivious = _config.patch(  # type: ignore[attr-defined]
        backed_size_oblivious=way.oblivious
    )
    with torch.no_grad(), warnings.catch_warnings(), oblivious:
        warnings.simplefilter("ignore")
        return torch.export.export(
            network.net,
            values,
            dynamic_shapes=axes.dims,
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=way.deferred,
        )


def _example(network: Network, axes: Axes) -> tuple[Tensor, ...]:
    """Inputs at sizes that torch does not take for constants."""
    graph = network.graph
    batch = 2 if BATCH in axes.names else 1
    shapes = [concrete(shape, batch) for shape in graph.inputs]
    if axes.symbols:
        contract = network.contract()
        sizes = contract.input_shape(**{**contract.stated, **axes.example})
        shapes = [(batch, *sizes[name]) for name in graph.input_names]
    generator = torch.Generator().manual_seed(0)
    pairs = zip(graph.input_types, shapes, strict=True)
    return tuple(drawn(kind, shape, generator) for kind, shape in pairs)


def _refusals() -> tuple[type[Exception], ...]:
    """What torch.export raises where a network, or its open sizes, are not for it."""
    from torch._dynamo.exc import UserError
    from torch.fx.experimental import symbolic_shapes

    return (
        *(UserError, NotImplementedError, symbolic_shapes.ConstraintViolationError),
        symbolic_shapes.GuardOnDataDependentSymNode,
    )


def _untraceable(refused: Exception, axes: Axes) -> SizesError:
    found = re.search(r"Constraints violated \((.*?)\)", str(refused))
    named = {_symbol(each) for each in found[1].split(", ")} if found else set()
    symbols = tuple(each for each in axes.symbols if each in named)
    left = ", ".join(symbols or axes.symbols)
    error = SizesError(
        f"torch.export cannot trace the network: {_reason(refused)}",
        help=f"leave {left} out of the dynamic sizes" if left else None,
    )
    error.symbols, error.bounds = symbols, _bounds(refused)
    return error


def _symbol(dim: str) -> str:
    """The symbol of a dimension, which for multiples of 8 is called H_8."""
    return re.sub(r"_\d+$", "", dim)


def _bounds(error: Exception) -> dict[str, tuple[int, int | None]]:
    """The least and greatest counts that torch suggests, by symbol."""
    fixes = re.findall(r"^  (\w+) = Dim\('\w+'(?:, min=(\d+))?(?:, max=(\d+))?\)", str(error), re.M)
    return {
        _symbol(name): (int(least or 1), int(most) if most else None) for name, least, most in fixes
    }


def _reason(error: Exception) -> str:
    """The first condition that torch names, or else the first line of its text."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = next((line for line in lines if line.startswith("  - ")), lines[0])
    return first.removeprefix("  - ").split(". ")[0].rstrip(".")
