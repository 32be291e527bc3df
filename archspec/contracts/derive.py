"""From a spec and names for the sizes of its inputs to its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archspec.contracts.cells import Cells, Values
from archspec.contracts.contract import Contract
from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Source, SpecError
from archspec.expand.program import Trial, read_document, stated_inputs, trial
from archspec.expressions.names import check_identifier
from archspec.ir.shape import Shape
from archspec.sizes.formula import Ring
from archspec.text.limits import Limits

DEFAULT_NAMES = {1: ("F",), 2: ("T",), 3: ("H", "W"), 4: ("D", "H", "W")}
"""Names of the last sizes of an input, by how many sizes it has: the channels keep theirs."""

Axes = dict[str, tuple[str | None, ...]]


def derived(
    source: Source,
    folder: str | None,
    params: Mapping[str, Any],
    input_shape: Any,
    limits: Limits,
    allow_outside: bool,
    symbols: Sequence[str] | None,
) -> Contract:
    """The contract of a spec, at the sizes that it states.

    `symbols` name the last sizes of each input that has so many; a name that stands twice makes
    its sizes equal. Raises `SpecError` where they do not suit the spec, or it does not compile.
    """
    spec, given = read_document(source, folder, params, limits, allow_outside)
    inputs = stated_inputs(spec, given, input_shape, limits)
    axes = _axes(inputs, symbols)
    stated = _stated(inputs, axes)
    ring = Ring()

    def sizes(values: Values) -> dict[str, tuple[int, ...]]:
        return {name: _sizes(shape[1:], axes.get(name), values) for name, shape in inputs.items()}

    def compile(values: Values) -> Trial:
        return trial(spec, given, sizes(values), axes, limits, ring)

    first = compile(stated)
    if first.mistake is not None:
        raise SpecError([first.mistake])
    return Contract(Cells(compile, stated), sizes)


def _sizes(
    stated: Sequence[int], symbols: Sequence[str | None] | None, values: Values
) -> tuple[int, ...]:
    """The sizes of one input, with values for its symbols."""
    pairs = zip(stated, symbols or (None,) * len(stated), strict=True)
    return tuple([size if symbol is None else values[symbol] for size, symbol in pairs])


def _axes(inputs: Mapping[str, Shape], symbols: Sequence[str] | None) -> Axes:
    """For each input the names of its sizes, None for one that stays a number."""
    axes: Axes = {}
    for name, shape in inputs.items():
        count = len(shape) - 1
        names = tuple(symbols) if symbols else DEFAULT_NAMES.get(count, ())
        if names and len(names) <= count:
            axes[name] = (None,) * (count - len(names)) + names
    if not axes:
        most = max(len(shape) for shape in inputs.values()) - 1
        raise _refused(f"no input has {len(symbols or ())} sizes", f"at most {most} names, as H,W")
    for symbol in {each for names in axes.values() for each in names if each}:
        try:
            check_identifier(symbol, "a size")
        except Refusal as refusal:
            raise SpecError([Diagnostic.of(refusal, None)]) from None
    return axes


def _stated(inputs: Mapping[str, Shape], axes: Axes) -> dict[str, int]:
    """The size of each symbol, in order. Raises `SpecError` where the spec gives it two."""
    stated: dict[str, int] = {}
    for name, symbols in axes.items():
        for symbol, size in zip(symbols, inputs[name][1:], strict=True):
            if symbol is not None and stated.setdefault(symbol, size) != size:
                raise _refused(
                    f"{symbol} would be {stated[symbol]} and {size}",
                    "one size for each name",
                )
    return stated


def _refused(message: str, expected: str) -> SpecError:
    return SpecError([Diagnostic(Code.ARGUMENT, f"the contract: {message}", expected=expected)])
