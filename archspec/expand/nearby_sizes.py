"""The nearest sizes of an input at which a mistake does not arise, for a help line.

The size is compiled as a symbol. What one compilation asked of it says which other sizes go the
same way, so few compilations decide on every size up to the one that is named.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from archspec.analyses.orientation import turned_around, turned_help
from archspec.diagnostics.diagnostic import Code, Diagnostic
from archspec.expand.builder import Stop
from archspec.expand.expander import Expander
from archspec.expand.remedies import GROWS
from archspec.ir.infer import MAX_ELEMENTS
from archspec.ir.shape import Shape, product
from archspec.record import Record
from archspec.sizes.formula import Condition, Ring
from archspec.sizes.sets import Sizes, Unsolved
from archspec.sizes.size import Path
from archspec.sizes.solve import Solver, negated
from archspec.text.limits import Limits

LARGEST = 4096
"""Largest size of an image that is looked at."""
LARGEST_OF_SYMBOL = 2**31 - 1
MOST_SYMBOLS = 4
"""Symbols of a spec whose nearest legal sizes are sought."""
NEARBY = 32
"""A nearby size is above half the stated one, and below twice that and so much more."""

MAX_EXPANDED = 2_000
"""Nodes that all trials of one spec expand together, beside four times those of the spec."""
MAX_ANSWERS = 300_000
"""Terms that are evaluated to find sizes that go the same way."""
MAX_PRODUCTS = 200_000
"""Terms that are multiplied to keep formulas."""
PER_TRIAL = 10
"""What a trial costs beside its nodes."""

SYMBOL = "S"
AXES = {"height": -2, "width": -1}

Inputs: TypeAlias = Mapping[str, Shape]
Ends: TypeAlias = Callable[[Diagnostic], bool]
"""Whether a mistake is one for which a size does not fit."""


class Exhausted(Exception):
    """The search would take too long."""


class Case(Record):
    """Sizes that go the same way, and whether they fit: those that meet `asked` and `limits`.

    Only sizes that no machine could run miss nothing but the limits.
    """

    fits: bool
    asked: tuple[Condition, ...]
    limits: tuple[Condition, ...]


class Trials:
    """Expansions of one spec for other inputs. All the work of theirs is bounded together."""

    def __init__(
        self,
        expand: Callable[[dict[str, Sequence[int]] | None, Expander], object],
        limits: Limits,
        sizes: Mapping[str, int],
        nodes: int,
    ) -> None:
        """`expand` expands the spec, some `nodes`, for sizes of its inputs, or for its own ones;
        `sizes` are of its own symbols."""
        self._given = expand, limits, sizes, nodes
        self._expand, self._limits, self._sizes = expand, limits, sizes
        self._ring, self._solver = Ring(MAX_PRODUCTS), Solver()
        self._steps = limits.evaluation_steps - limits.evaluation_steps // 20
        self._nodes, self._answers = MAX_EXPANDED + 4 * nodes, MAX_ANSWERS

    def again(self) -> Trials:
        """The same, with work left."""
        return Trials(*self._given)

    def run(self, inputs: Inputs, axes: Mapping[str, Sequence[str | None]], ends: Ends) -> Case:
        """Whether these inputs fit, and what was asked to find out. Raises `Exhausted`."""
        if any(product(shape[1:]) > MAX_ELEMENTS for shape in inputs.values()):
            return Case(False, (), ())
        other = self._expander()
        other.axes, other.ends = axes, ends
        return self._case({name: shape[1:] for name, shape in inputs.items()}, other)

    def run_symbol(self, name: str, size: int) -> Case:
        """The same for a size of one of the spec's own symbols: every mistake counts."""
        other = self._expander()
        assert other.path is not None
        other.sizes = {**self._sizes, name: other.path.size(SYMBOL, size)}
        return self._case(None, other)

    def _expander(self) -> Expander:
        other = Expander(self._limits, [])
        other.budget.steps, other.sizes = self._steps, self._sizes
        other.path = Path(self._ring, lambda: None)
        return other

    def _case(self, sizes: dict[str, Sequence[int]] | None, other: Expander) -> Case:
        path = other.path
        assert path is not None
        with suppress(Stop):
            self._expand(sizes, other)
        self._steps = other.budget.steps
        self._nodes -= other.nodes + PER_TRIAL
        if self._nodes < 0 or self._steps > self._limits.evaluation_steps:
            raise Exhausted
        # What decided it at last is what other sizes lack first.
        return Case(path.is_open, tuple(path.conditions)[::-1], tuple(path.limits))

    def hold(self, conditions: Sequence[Condition], size: int) -> bool:
        """Whether all hold at a size. Raises `Exhausted`."""
        for condition in conditions:
            self._count(condition.formula.work)
            if not condition.holds({SYMBOL: size}):
                return False
        return True

    def following(self, conditions: Sequence[Condition], sizes: range) -> int | None:
        """The first of these sizes at which one of them does not hold; None for none.

        At the very first size they hold. Raises `Exhausted`.
        """
        found = None
        for condition in conditions:
            broken = self._first_broken(condition, sizes)
            if broken is not None:
                found, sizes = broken, range(sizes.start, broken, sizes.step)
        return found

    def _first_broken(self, condition: Condition, sizes: range) -> int | None:
        formula, relation = condition
        rise = formula.never_falls - formula.times(-1).never_falls if relation == ">=" else 0
        if rise == sizes.step:
            return None
        if rise:
            number = bisect_left(sizes, True, key=lambda size: not self.hold([condition], size))
            return sizes[number] if number < len(sizes) else None
        broken = self._broken(condition)
        first = broken.above(sizes.start) if sizes.step > 0 else broken.below(sizes.start)
        return first if first is not None and first in sizes else None

    def _broken(self, condition: Condition) -> Sizes:
        """The sizes at which a condition does not hold."""
        broken, formula = negated(condition), condition.formula
        if broken not in self._solver:
            self._count(formula.work * formula.period * (formula.degree + 1))
        try:
            return self._solver.where(broken)
        except Unsolved:
            raise Exhausted from None

    def _count(self, answers: int) -> None:
        self._answers -= answers
        if self._answers < 0:
            raise Exhausted


class Line:
    """Sizes of one symbol, and which of them fit. `run` finds that out for one of them."""

    def __init__(self, trials: Trials, run: Callable[[int], Case]) -> None:
        self.trials, self._run = trials, run
        self._known: list[Case] = []

    def fits(self, size: int) -> bool:
        """Whether it fits. Raises `Exhausted`."""
        return self._case(size).fits

    def _case(self, size: int) -> Case:
        for case in self._known:
            if self.trials.hold(case.asked + case.limits, size):
                return case
        case = self._run(size)
        self._known.insert(0, case)
        return case

    def first(self, sizes: range) -> int | None:
        """The first of these sizes that fits. Raises `Exhausted`."""
        size: int | None = sizes.start
        while size is not None and size in sizes:
            case = self._case(size)
            if case.fits:
                return size
            size = self.trials.following(case.asked, range(size, sizes.stop, sizes.step))
        return None


class Images(Line):
    """Inputs of which one has a free size on some axes, and which of them fit."""

    def __init__(
        self, trials: Trials, inputs: Inputs, name: str, axes: Sequence[int], ends: Ends
    ) -> None:
        super().__init__(trials, self._run_image)
        self.inputs, self.name, self.axes, self.ends = inputs, name, axes, ends

    def shape(self, *sizes: int) -> Shape:
        """That of the input, with these sizes on the axes, or with one on all."""
        shape = list(self.inputs[self.name])
        for number, axis in enumerate(self.axes):
            shape[axis] = sizes[number % len(sizes)]
        return tuple(shape)

    def _run_image(self, size: int) -> Case:
        shape = self.shape(size)
        symbols: list[str | None] = [None] * len(shape)
        for axis in self.axes:
            symbols[axis] = SYMBOL
        inputs = {**self.inputs, self.name: shape}
        return self.trials.run(inputs, {self.name: symbols[1:]}, self.ends)

    def fit(self, sizes: Sequence[int]) -> bool:
        """Whether the input of these sizes fits. Raises `Exhausted`."""
        if len(set(sizes)) == 1:
            return self.fits(sizes[0])
        return self.trials.run({**self.inputs, self.name: self.shape(*sizes)}, {}, self.ends).fits

    def each_first(self, ways: Sequence[range]) -> list[int] | None:
        """For each axis the first that fits on all, if they fit together. Raises `Exhausted`."""
        found = [first for way in ways if (first := self.first(way)) is not None]
        return found if len(found) == len(ways) and self.fit(found) else None


# --- in words ------------------------------------------------------------------------------------


def with_nearest_sizes(
    errors: list[Diagnostic], trials: Trials, stated: Mapping[str, int]
) -> list[Diagnostic]:
    """The errors. The help of the first says which sizes of the spec's own symbols are legal.

    They are the nearest to the `stated` ones, each symbol by itself.
    """
    first, *more = errors
    if not first.code.is_shape or len(stated) > MOST_SYMBOLS:
        return errors
    texts = []
    for name, size in stated.items():
        trials = trials.again()
        line, near = Line(trials, partial(trials.run_symbol, name)), []
        with suppress(Exhausted):
            for sizes in (range(size - 1, 0, -1), range(size + 1, LARGEST_OF_SYMBOL + 1)):
                near += [str(found)] if (found := line.first(sizes)) else []
        if near:
            are = f"{' and '.join(near)} {'is' if len(near) < 2 else 'are'}"
            texts.append(f"{name} = {size} is not legal here: {are}")
    if not texts or (len(texts) > 1 and first.help):
        return errors  # of several symbols none is the wrong one
    return [first._replace(help="; ".join(texts)), *more]


def with_nearest_input(
    errors: list[Diagnostic],
    every: Sequence[Diagnostic],
    inputs: Inputs,
    trials: Trials,
    stated: Mapping[str, str],
) -> list[Diagnostic]:
    """The errors. The first that another size of the input would avoid names that in its help.

    `every` is what they were made of; `stated` are the keys under which the spec states the sizes
    of its inputs, none where the caller gives them.
    """
    images = [name for name, shape in inputs.items() if len(shape) in (3, 4)]
    index = first_to_help(errors)
    if index is None or len(images) != 1:
        return errors
    (name,) = images
    error = errors[index]
    if error.too_small in AXES and (channels_first := turned_around(inputs[name])):
        helped = turned_help(name, channels_first, stated.get(name))
    else:
        text = _Search(error, every, inputs, name, trials, stated.get(name)).text()
        helped = "; ".join([each for each in (error.help, text) if each])
    return [*errors[:index], error._replace(help=helped or None), *errors[index + 1 :]]


def first_to_help(errors: Sequence[Diagnostic]) -> int | None:
    """The error that another size may avoid, one that is too small before all others."""
    small = [i for i, error in enumerate(errors) if error.too_small is not None]
    # One whose help is for this size alone may have another help.
    odd = [
        i
        for i, error in enumerate(errors)
        if error.code is Code.SHAPE and (error.help is None or GROWS in error.help)
    ]
    return next(iter(small or odd), None)


class _Search(Record):
    """Looks for the sizes of one input that avoid one error of `every`.

    `key` is that under which the spec states them, None where the caller gives them.
    """

    error: Diagnostic
    every: Sequence[Diagnostic]
    inputs: Inputs
    name: str
    trials: Trials
    key: str | None

    def text(self) -> str | None:
        """The help; None where no size is found, or it would take too long."""
        if self.error.too_small is None:
            return self._nearest()
        return self._smallest(self.error.too_small) if self.error.too_small in AXES else None

    def _line(self, axes: Sequence[int], ends: Ends) -> Images:
        return Images(self.trials, self.inputs, self.name, axes, ends)

    def _written(self, shape: Shape) -> str:
        """An input as the spec would state it."""
        listed = f"[{', '.join(map(str, shape[1:]))}]"
        return f"{self.key}: {listed}" if self.key else listed

    # --- sizes that are large enough -------------------------------------------------------------

    def _smallest(self, axis: str) -> str | None:
        shape = self.inputs[self.name]
        is_square = len(shape) == 4 and shape[-1] == shape[-2]
        axes = (-2, -1) if is_square else (AXES[axis],)
        legal = _apart_from([each for each in self.every if each.too_small not in AXES])
        larger = range(shape[axes[0]] + 1, LARGEST + 1)
        line = self._line(axes, legal)
        said = "height and width" if is_square else axis
        try:
            if size := line.first(larger):
                written = f": `{self._written(line.shape(size))}`" if self.key else ""
                are = "are" if is_square else "is"
                return f"the smallest legal input {said} here {are} {size}{written}"
            if len(shape) == 4 and not is_square and (found := self._both_larger(legal)):
                return f"an input that fits is `{self._written(found)}`"
            for windows, ends in self._only_windows(set(AXES) if is_square else {axis}):
                if size := self._line(axes, ends).first(larger):
                    return f"{windows} fits an input {said} of {size}"
        except Exhausted:
            if size := self._some(axes, legal, shape[axes[0]]):
                return f"an input that fits is `{self._written(line.shape(size))}`"
        return None

    def _both_larger(self, legal: Ends) -> Shape | None:
        line = self._line((-2, -1), legal)
        sizes = self.inputs[self.name][-2:]
        found = line.each_first([range(size, LARGEST + 1) for size in sizes])
        return line.shape(*found) if found else None

    def _only_windows(self, axes: Collection[str]) -> Iterator[tuple[str, Ends]]:
        """What may fit at least, where other mistakes keep all sizes from being legal."""
        yield "every window", lambda each: each.too_small in axes or each.code is Code.LIMIT
        same = self.error.code, self.error.span, self.error.too_small
        yield (
            "this window",
            lambda each: (each.code, each.span, each.too_small) == same or each.code is Code.LIMIT,
        )

    def _some(self, axes: Sequence[int], legal: Ends, size: int) -> int | None:
        """Some size that is legal, by doubling."""
        line = Images(self.trials.again(), self.inputs, self.name, axes, legal)
        with suppress(Exhausted):
            while (size := size * 2) <= LARGEST:
                if line.fits(size):
                    return size
        return None

    # --- sizes that divide -----------------------------------------------------------------------

    def _nearest(self) -> str | None:
        """The nearest legal sizes below and above."""
        sizes = self.inputs[self.name][2:]
        key = self.error.code, self.error.span
        legal = _apart_from([each for each in self.every if (each.code, each.span) != key])
        line = self._line(range(-len(sizes), 0), legal)
        one = len(set(sizes)) == 1  # else one of them may be right
        found: list[list[int]] = []
        period = None
        with suppress(Exhausted):
            for step in (-1, 1):
                ends = [size // 2 if step < 0 else 2 * size + NEARBY for size in sizes]
                ways = zip(sizes, ends, strict=True)
                near = line.each_first([range(size + step * one, end, step) for size, end in ways])
                found += [near] if near else []
            period = _period(found)
            if period and not line.fit([size + period for size in found[1]]):
                period = None
        shapes = [line.shape(*near) for near in found]
        written = [f"`{self._written(shape)}`" for shape in shapes[:1]]
        written += [f"`[{', '.join(map(str, shape[1:]))}]`" for shape in shapes[1:]]
        if not written:
            return None
        fit = f"sizes that are multiples of {period} fit:" if period else "an input that fits is"
        return f"{fit} {' or '.join(written)}"


def _apart_from(others: Iterable[Diagnostic]) -> Ends:
    """Any mistake but those, which have other reasons."""
    known = {(each.code, each.span) for each in others}
    return lambda each: (each.code, each.span) not in known or each.code is Code.LIMIT


def _period(found: Sequence[Sequence[int]]) -> int | None:
    """The common divisor of the sizes of two neighbouring inputs that fit; None for none."""
    if len(found) < 2:
        return None
    period = max(above - below for below, above in zip(*found, strict=True))
    is_whole = period > 1 and not any(size % period for near in found for size in near)
    return period if is_whole else None
