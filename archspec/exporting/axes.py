"""Which axes of the inputs stay open, and what torch's exporter is told about their sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.export import Dim

from archspec.contracts.contract import Contract
from archspec.exporting.errors import ExportError
from archspec.ir.graph import Graph
from archspec.record import Record
from archspec.sizes.formula import Formula
from archspec.sizes.sets import Sizes
from archspec.sizes.size import depends

BATCH = "batch"
NONE = "none"


class Linear(Record):
    """A size that is `times * symbol + plus`."""

    symbol: str
    times: int
    plus: int


class Progression(Record):
    """The sizes `step * n + rest`, for `n` from `first` to `last` (None: without end)."""

    step: int
    rest: int
    first: int
    last: int | None


class Axes(Record):
    """Open axes: by input and axis what torch is told, and the sizes of symbols for an example.

    `notes` name the symbols that were left at their stated sizes, and why.
    """

    names: tuple[str, ...]
    dims: tuple[dict[int, Any], ...]
    example: dict[str, int]
    notes: tuple[str, ...] = ()


def axes_of(
    graph: Graph,
    wanted: Sequence[str] | None,
    declared: Sequence[str],
    contract: Callable[[], Contract],
) -> Axes:
    """The axes that `wanted` names: the batch and symbols; by default all that torch can say.

    Raises `ExportError` for a name that no size has, and for a wanted symbol whose sizes torch
    cannot be told.
    """
    names = [BATCH, *declared] if wanted is None else [each for each in wanted if each != NONE]
    symbols = [name for name in names if name != BATCH]
    open_: dict[str, Progression] = {}
    notes = []
    known = contract() if symbols else None
    for name in symbols:
        assert known is not None
        why, found = _progression_of(known, name)
        if found is not None:
            open_[name] = found
        elif wanted is None:
            notes.append(f"{name} stays {known.stated[name]}: {why}")
        else:
            raise ExportError(f"the size {name} cannot be left open: {why}", help=_without(name))
    dims: list[dict[int, Any]] = [{} for _ in graph.inputs]
    if BATCH in names:
        batch = Dim(BATCH, min=1)
        for each in dims:
            each[0] = batch
    if known is not None:
        _add_symbols(dims, known, open_)
    example = {name: _example(each, known.stated[name]) for name, each in open_.items() if known}
    kept = tuple(name for name in names if name == BATCH or name in open_)
    return Axes(kept, tuple(dims), example, tuple(notes))


def linear(formula: Formula) -> Linear | None:
    """A formula of one symbol that is linear in it and grows; None for any other."""
    if len(formula.symbols) != 1:
        return None
    (name,) = formula.symbols
    times = formula.plus(-formula.constant).terms[0][1]
    straight = formula.ring.symbol(name).times(times).plus(formula.constant)
    return Linear(name, times, formula.constant) if times > 0 and formula is straight else None


def progression(sizes: Sizes) -> Progression | None:
    """A set of sizes as multiples in a range; None where it has gaps of another kind."""
    classes = [(rest, changes) for rest, changes in enumerate(sizes.classes) if changes]
    if len(classes) != 1 or len(classes[0][1]) > 2:
        return None
    (rest, (first, *end)), step = classes[0], sizes.period
    last = (end[0] - step - rest) // step if end else None
    return Progression(step, rest, (first - rest) // step, last)


def _progression_of(contract: Contract, name: str) -> tuple[str, Progression | None]:
    """The legal sizes of a symbol as torch can be told them, or why it cannot."""
    if name not in contract.stated:
        among = ", ".join((BATCH, *contract.stated))
        raise ExportError(
            f"no size is called {name!r}",
            expected=f"names among {among}",
            help="give a size a name under `sizes:` in the spec",
        )
    if any(linear(each) is None for _, _, each in _formulas(contract) if name in each.symbols):
        return "a size of an input is no multiple of it alone", None
    joint = [each.formula.symbols for region in contract.regions for each in region.joint]
    if len(contract.regions) > 1 or any(name in each for each in joint):
        return f"torch's exporter has no words for {contract.text}", None
    found = progression(contract.sizes[name])
    if found is None:
        return f"torch's exporter has no words for {contract.text}", None
    if found.last is not None and found.last <= found.first:
        return "it has one legal size", None
    return "", found


def _formulas(contract: Contract) -> Iterator[tuple[int, int, Formula]]:
    """The axes whose sizes depend on symbols: input, axis and formula."""
    graph = contract.main.graph
    assert graph is not None
    for index, shape in enumerate(graph.inputs):
        sizes: Sequence[Any] = shape
        for axis, size in enumerate(sizes):
            if depends(size):
                yield index, axis, size.formula


def _add_symbols(
    dims: list[dict[int, Any]], contract: Contract, open_: dict[str, Progression]
) -> None:
    roots = {
        name: Dim(name if each.step == 1 else f"{name}_{each.step}", min=each.first, max=each.last)
        for name, each in open_.items()
    }
    for index, axis, formula in _formulas(contract):
        found = linear(formula)
        if found is None or found.symbol not in open_:
            continue
        each = open_[found.symbol]
        times, plus = found.times * each.step, found.times * each.rest + found.plus
        dim: Any = roots[found.symbol]
        dim = dim if times == 1 else times * dim
        dims[index][axis] = dim + plus if plus else dim


def _example(sizes: Progression, stated: int) -> int:
    """A size to trace at: torch takes a count of 0 or 1 for a constant."""
    count = max((stated - sizes.rest) // sizes.step, 2, sizes.first)
    return sizes.step * (count if sizes.last is None else min(count, sizes.last)) + sizes.rest


def _without(name: str) -> str:
    return f"leave {name} out of the dynamic sizes: it then keeps its stated size"
