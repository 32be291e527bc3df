"""From a spec and names for the sizes of its inputs to its contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from archspec.contracts.cells import Cells
from archspec.contracts.contract import Contract, Shapes
from archspec.contracts.followed import declared_sizes, emitted_with, is_needed, read
from archspec.contracts.regions import Values
from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, SpecError
from archspec.expand.program import Origin, Trial, stated_inputs, trial
from archspec.expressions.names import check_identifier
from archspec.ir.shape import Shape
from archspec.record import Record
from archspec.sizes.formula import Ring

DEFAULT_NAMES = {1: ("F",), 2: ("T", "F"), 3: ("H", "W"), 4: ("D", "H", "W")}
"""Names of an input's last sizes, by its number of sizes: channels keep their number."""

Axes: TypeAlias = dict[str, tuple[str | None, ...]]


def derived(origin: Origin, symbols: Sequence[str] | None) -> Contract:
    """The contract of a spec, at the sizes that it states.

    `symbols` name the last sizes of each input that has as many. A name that stands twice makes
    its sizes equal. By default the symbols are those that the spec declares, if any.

    Raises `SpecError` where the symbols do not suit the spec, or where it does not compile.
    """
    way = _way(origin, symbols)
    first = way.compile(way.stated)
    if first.mistake is not None:
        raise SpecError([first.mistake])
    emitted = None
    if way.axes and first.graph is not None and is_needed(first.graph):
        emitted = emitted_with(origin, way.ring, way.axes)
    return Contract(Cells(way.compile, way.stated), way.shapes, emitted)


class _Way(Record):
    """How a spec is compiled with symbols.

    `compile` compiles at values of the symbols, and `shapes` gives the input sizes there. `stated`
    are the values in the spec, and `axes` the names that the caller gives to sizes.
    """

    compile: Callable[[Values], Trial]
    shapes: Shapes
    stated: dict[str, int]
    axes: Axes
    ring: Ring


def _way(origin: Origin, symbols: Sequence[str] | None) -> _Way:
    spec, given = read(origin)
    limits, ring = origin.limits, Ring()
    declared = {**declared_sizes(spec), **origin.sizes}
    if symbols is None and origin.input_shape is None and declared:

        def own(values: Values) -> dict[str, tuple[int, ...]]:
            found = stated_inputs(spec, given, None, limits, values)
            return {name: shape[1:] for name, shape in found.items()}

        def compile_own(values: Values) -> Trial:
            return trial(spec, given, None, {}, values, limits, ring)

        return _Way(compile_own, own, declared, {}, ring)
    inputs = stated_inputs(spec, given, origin.input_shape, limits, declared)
    axes = _axes(inputs, symbols)

    def sizes(values: Values) -> dict[str, tuple[int, ...]]:
        return {name: _sizes(shape[1:], axes.get(name), values) for name, shape in inputs.items()}

    def compile(values: Values) -> Trial:
        return trial(spec, given, sizes(values), axes, {}, limits, ring)

    return _Way(compile, sizes, _stated(inputs, axes), axes, ring)


def _sizes(
    stated: Sequence[int], symbols: Sequence[str | None] | None, values: Values
) -> tuple[int, ...]:
    """The sizes of one input, with values in place of its symbols."""
    pairs = zip(stated, symbols or (None,) * len(stated), strict=True)
    return tuple([size if symbol is None else values[symbol] for size, symbol in pairs])


def _axes(inputs: Mapping[str, Shape], symbols: Sequence[str] | None) -> Axes:
    """The names of each input's sizes; None for a size that stays a number.

    Each of several inputs has names of its own, unless `symbols` are given for all.
    """
    axes: Axes = {}
    for name, shape in inputs.items():
        count = len(shape) - 1
        names = tuple(symbols) if symbols else DEFAULT_NAMES.get(count, ())
        if not symbols and len(inputs) > 1:
            names = tuple([f"{symbol}_{name}" for symbol in names])
        if names and len(names) <= count:
            axes[name] = (None,) * (count - len(names)) + names
    if not axes:
        raise _unnamed(max(len(shape) for shape in inputs.values()) - 1, len(symbols or ()))
    for symbol in {each for names in axes.values() for each in names if each}:
        try:
            check_identifier(symbol, "a size")
        except Refusal as refusal:
            raise SpecError([Diagnostic.of(refusal, None)]) from None
        if re.fullmatch("[A-Z](x[A-Z])+", symbol):
            raise _refused(
                f"{symbol} is one name, of the last size alone",
                f"names with commas between them, as {symbol.replace('x', ',')}",
            )
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


def _unnamed(most: int, names: int) -> SpecError:
    """The error where no input, each of at most so many sizes, takes the names that are given."""
    if most == 0:
        return _refused("no input has a size to name", "an input of one size or more, as `[8]`")
    if names == 0:
        return _refused(f"the {most} sizes of the input have no names", "names, such as H,W")
    shown = f", such as {','.join('HWD'[:most])}" if most <= 3 else ""
    return _refused(f"no input has {names} sizes", f"at most {most} name{'s' * (most > 1)}{shown}")


def _refused(message: str, expected: str) -> SpecError:
    return SpecError([Diagnostic(Code.ARGUMENT, f"the contract: {message}", expected=expected)])
