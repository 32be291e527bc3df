"""Which axes of the inputs stay open, and what torch's exporter is told about their sizes."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch.export import Dim

from archspec.contracts.contract import Contract
from archspec.diagnostics.diagnostic import Diagnostic, SpecError
from archspec.exporting.errors import ExportError
from archspec.ir.graph import Graph
from archspec.record import Record
from archspec.sizes.formula import Formula
from archspec.sizes.sets import Sizes
from archspec.sizes.size import depends
from archspec.sizes.words import sizes_text

BATCH = "batch"
NONE = "none"


class Linear(Record):
    """A size that is `times * symbol + plus`."""

    symbol: str
    times: int
    plus: int


class Progression(Record):
    """The sizes `step * n + rest`, for `n` from `first` to `last` (None: without end).

    `is_whole` says whether they are all that are legal.
    """

    step: int
    rest: int
    first: int
    last: int | None
    is_whole: bool = True

    @property
    def sizes(self) -> Sizes:
        """The same as a set."""
        first = self.step * self.first + self.rest
        end = () if self.last is None else (self.step * (self.last + 1) + self.rest,)
        return Sizes([(first, *end) if rest == self.rest else () for rest in range(self.step)])

    def as_dict(self) -> dict[str, int | None]:
        """The least and the greatest size (None: without end), and the step between two."""
        greatest = None if self.last is None else self.step * self.last + self.rest
        return {
            "least": self.step * self.first + self.rest,
            "greatest": greatest,
            "step": self.step,
        }


class Axes(Record):
    """Open axes: by input and axis what torch is told, and the sizes of symbols for an example.

    `open_` has the sizes of each open symbol. `notes` name the symbols that were left at their
    stated sizes, or at fewer than are legal, and why.
    """

    names: tuple[str, ...]
    dims: tuple[dict[int, Any], ...]
    open_: dict[str, Progression]
    example: dict[str, int]
    stated: dict[str, int]
    formulas: tuple[tuple[int, int, Linear], ...] = ()
    contract: str = ""
    notes: tuple[str, ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names but the batch."""
        return tuple(name for name in self.names if name != BATCH)

    def least(self) -> dict[str, int]:
        """The least size of each open symbol."""
        return {name: each.step * each.first + each.rest for name, each in self.open_.items()}

    def metadata(self) -> dict[str, str]:
        """The sizes that a written file takes, as JSON, and the contract in words."""
        sizes = {name: each.as_dict() for name, each in self.open_.items()}
        if BATCH in self.names:
            sizes = {BATCH: Progression(1, 0, 1, None).as_dict(), **sizes}
        said = {"archspec.dynamic": json.dumps(sizes)}
        return {**said, "archspec.contract": self.contract} if self.contract else said

    def bounded(self, bounds: Mapping[str, tuple[int, int | None]]) -> Axes | None:
        """Axes with fewer sizes of the open symbols; None where these are no fewer, or not two."""
        open_, notes = dict(self.open_), []
        for name, (first, last) in bounds.items():
            if (known := open_.get(name)) is None:
                continue
            ends = [each for each in (last, known.last) if each is not None]
            found = known._replace(
                first=max(first, known.first), last=min(ends, default=None), is_whole=False
            )
            if found.last is not None and found.last <= found.first:
                return None
            if (found.first, found.last) != (known.first, known.last):
                open_[name] = found
                notes.append(f"{sizes_text(found.sizes, name)} alone: torch.export asks for it")
        full = self._replace(open_=open_)
        return _axes(self.names, full, (*self.notes, *notes)) if notes else None

    def narrower(self, refused: Diagnostic, symbols: Sequence[str]) -> Axes:
        """Axes without these open symbols, else without any, and at last without the batch."""
        closed = tuple(symbols) or self.symbols or (BATCH,)
        stays = [f"{name} stays {self.stated.get(name, 1)}" for name in closed]
        note = f"{', '.join(stays)}: {refused.message}"
        note += f" ({refused.found})" if refused.found else ""
        names = tuple(name for name in self.names if name not in closed)
        return _axes(names, self, (*self.notes, note))


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
    symbols = [name for name in dict.fromkeys(names) if name != BATCH]
    empty = Axes((), tuple({} for _ in graph.inputs), {}, {}, {})
    batch = tuple(name for name in names[:1] if name == BATCH)
    if not symbols:
        return _axes(batch, empty, ())
    try:
        known = contract()
    except SpecError as error:
        if wanted is not None:
            raise
        note = f"{', '.join(symbols)}: no other sizes, because {error.diagnostics[0].message}"
        return _axes(batch, empty, (note,))
    open_: dict[str, Progression] = {}
    notes = []
    for name in symbols:
        why, found = _progression_of(known, name)
        if found is not None:
            open_[name] = found
            if not found.is_whole:
                some = sizes_text(found.sizes, name)
                notes.append(f"{some} alone: torch's exporter has no words for {known.text}")
        elif wanted is None:
            notes.append(f"{name} stays {known.stated[name]}: {why}")
        else:
            raise ExportError(f"the size {name} cannot be left open: {why}", help=_without(name))
    kept = tuple(name for name in dict.fromkeys(names) if name == BATCH or name in open_)
    formulas = tuple(
        (index, axis, size)
        for index, axis, formula in _formulas(known)
        if (size := linear(formula)) is not None
    )
    full = empty._replace(open_=open_, stated=known.stated, formulas=formulas, contract=known.text)
    return _axes(kept, full, tuple(notes))


def _axes(names: tuple[str, ...], known: Axes, notes: tuple[str, ...]) -> Axes:
    """The axes of `known` with these names alone."""
    open_ = {name: each for name, each in known.open_.items() if name in names}
    dims: list[dict[int, Any]] = [{} for _ in known.dims]
    if BATCH in names:
        batch = Dim(BATCH, min=1)
        for each in dims:
            each[0] = batch
    roots = {
        name: Dim(name if each.step == 1 else f"{name}_{each.step}", min=each.first, max=each.last)
        for name, each in open_.items()
    }
    for index, axis, found in known.formulas:
        if found.symbol in open_:
            dims[index][axis] = _dim(roots[found.symbol], found, open_[found.symbol])
    example = {name: _example(each, known.stated[name]) for name, each in open_.items()}
    return known._replace(names=names, dims=tuple(dims), open_=open_, example=example, notes=notes)


def _dim(root: Any, size: Linear, sizes: Progression) -> Any:
    """What torch is told of an axis of this size."""
    times, plus = size.times * sizes.step, size.times * sizes.rest + size.plus
    dim = root if times == 1 else times * root
    return dim + plus if plus else dim


def linear(formula: Formula) -> Linear | None:
    """A formula of one symbol that is linear in it and grows; None for any other."""
    if len(formula.symbols) != 1:
        return None
    (name,) = formula.symbols
    times = formula.plus(-formula.constant).terms[0][1]
    straight = formula.ring.symbol(name).times(times).plus(formula.constant)
    return Linear(name, times, formula.constant) if times > 0 and formula is straight else None


def progression(sizes: Sizes, stated: int) -> Progression:
    """The multiples in a range, among these sizes, that have the `stated` one."""
    step, rest = sizes.period, stated % sizes.period
    changes = sizes.classes[rest]
    at = bisect_right(changes, stated)
    first, *end = changes[at - 1 : at + 1]
    last = (end[0] - step - rest) // step if end else None
    is_whole = len(changes) < 3 and sum(map(bool, sizes.classes)) == 1
    return Progression(step, rest, (first - rest) // step, last, is_whole)


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
    region = next(each for each in contract.regions if each.holds(contract.stated))
    if any(name in each.formula.symbols for each in region.joint):
        return f"torch's exporter has no words for {contract.text}", None
    found = progression(region.box[name], contract.stated[name])
    if found.last is not None and found.last <= found.first:
        return "it has one legal size", None
    return "", found._replace(is_whole=found.is_whole and len(contract.regions) == 1)


def _formulas(contract: Contract) -> Iterator[tuple[int, int, Formula]]:
    """The axes whose sizes depend on symbols: input, axis and formula."""
    graph = contract.main.graph
    assert graph is not None
    for index, shape in enumerate(graph.inputs):
        sizes: Sequence[Any] = shape
        for axis, size in enumerate(sizes):
            if depends(size):
                yield index, axis, size.formula


def _example(sizes: Progression, stated: int) -> int:
    """A size to trace at: torch takes a count of 0 or 1 for a constant."""
    count = max((stated - sizes.rest) // sizes.step, 2, sizes.first)
    return sizes.step * (count if sizes.last is None else min(count, sizes.last)) + sizes.rest


def _without(name: str) -> str:
    return f"leave {name} out of the dynamic sizes: it then keeps its stated size"
