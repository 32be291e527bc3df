"""A size that depends on symbols: its value for the sizes at hand, and its exact formula.

Python's branches run on the value. Each comparison records on the `Path` which sizes would have
answered alike, so that all sizes that meet what was recorded take the same branches.

It is no subclass of `int`, whose value `range` and slices would read unseen. What needs a plain
number asks for `__index__`, which *pins* the size: it records that the formula has this value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeAlias

from archspec.sizes.formula import (
    MAX_COEFFICIENT,
    Condition,
    Formula,
    Relation,
    Ring,
    Unkept,
    leading,
)

MAX_POWER = 8
"""The largest power of a size that is kept as a formula."""

LIMIT = 2**30
"""Comparisons with numbers from here on are bounds on what a machine can run, kept apart."""


Conditions: TypeAlias = dict[Condition, Any]
"""Each with what asked first."""


class Path:
    """What one compilation asked of its sizes, in order. `asker` says what asks now."""

    def __init__(self, ring: Ring, asker: Callable[[], Any]) -> None:
        self.ring, self.asker = ring, asker
        self.conditions: Conditions = {}
        self.is_open = True
        self._limits: dict[Condition, None] = {}
        # Formulas with numbers from `LIMIT` on that they did not exceed.
        self._bounds: dict[tuple[Formula, int], None] = {}
        # What was answered before, which need not be recorded again.
        self._asked: set[tuple[Formula, str | int]] = set()
        self._sizes: dict[Formula, Size] = {}

    def size(self, name: str, value: int) -> Size:
        """The symbol of that name, with its value."""
        return self.made(value, self.ring.symbol(name))

    def made(self, value: int, formula: Formula) -> Size:
        """The size of this formula, which has this value: one object for each formula."""
        size = self._sizes.get(formula)
        if size is None:
            size = self._sizes[formula] = Size(self, value, formula)
        return size

    @property
    def limits(self) -> dict[Condition, None]:
        """The conditions that bound the sizes to what a machine can run."""
        bounds = [formula.times(-1).plus(number) for formula, number in self._bounds]
        return self._limits | {Condition(bound, ">="): None for bound in bounds}

    def close(self) -> None:
        """From here on questions are answered and not recorded, as where a message is written."""
        self.is_open = False

    @contextmanager
    def apart(self) -> Iterator[Conditions]:
        """Records what is asked meanwhile by itself."""
        before = self.conditions, self._limits, self._bounds, self._asked, self.is_open
        self.conditions, self._limits, self._bounds = {}, {}, {}
        self._asked, self.is_open = set(), True
        try:
            yield self.conditions
        finally:
            self.conditions, self._limits, self._bounds, self._asked, self.is_open = before

    def at_least(self, size: Size, number: int) -> bool:
        """Whether the size is at least a number."""
        if self.is_open and (size.formula, number) not in self._asked:
            self._asked.add((size.formula, number))
            less = size - number
            if depends(less):
                self.at_least_zero(less.formula, less.value)
        return size.value >= number

    def at_most(self, size: Size, number: int) -> bool:
        """Whether the size is at most a number."""
        if size.value <= number and number - size.formula.constant >= LIMIT - 1:
            # What a machine can run: the formula of the rest is made where it is asked for.
            if self.is_open:
                self._bounds[size.formula, number] = None
            return True
        less = number - size
        return self.at_least_zero(less.formula, less.value) if depends(less) else bool(less >= 0)

    def at_least_zero(self, formula: Formula, value: int) -> bool:
        """Whether the formula, which has this value, is at least 0."""
        if (formula, ">=") not in self._asked and self.is_open:
            self._asked.add((formula, ">="))
            self._record(formula if value >= 0 else formula.times(-1).plus(-1), ">=")
        return value >= 0

    def is_zero(self, formula: Formula, value: int) -> bool:
        """Whether the formula, which has this value, is 0."""
        if (formula, "=") not in self._asked and self.is_open:
            self._asked.add((formula, "="))
            if formula.terms and leading(formula.terms)[1] < 0:
                formula = formula.times(-1)  # is 0 at the same sizes: one condition for both
            self._record(formula, "!=" if value else "=")
        return not value

    def limit(self, formula: Formula) -> None:
        """Records that the formula, which is at least 0, has to be that for a machine to cope."""
        if self.is_open and not formula.is_constant:
            self._limits[Condition(formula, ">=")] = None

    def _record(self, formula: Formula, relation: Relation) -> None:
        # That a size is beyond such a bound is no limit: it decides what is refused.
        if relation == ">=" and formula.constant >= LIMIT - 1:
            self.limit(formula)
        elif self.is_open and not formula.is_constant:
            if relation != ">=" and leading(formula.terms)[1] < 0:
                formula = formula.times(-1)  # H - W = 0 and W - H = 0 are one condition
            condition = Condition(formula, relation)
            if condition not in self.conditions:
                self.conditions[condition] = self.asker()


class Size:
    """A whole number that depends on symbols. Arithmetic with whole numbers keeps the formula."""

    __slots__ = ("formula", "path", "value")

    def __init__(self, path: Path, value: int, formula: Formula) -> None:
        self.path, self.value, self.formula = path, value, formula

    def __repr__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    __hash__ = object.__hash__  # a path has one size for each formula

    def __index__(self) -> int:
        self.path.is_zero(self.formula.plus(-self.value), 0)
        return self.value

    def __float__(self) -> float:
        return float(self.__index__())

    def __bool__(self) -> bool:
        return not self.path.is_zero(self.formula, self.value)

    def at(self, values: Mapping[str, int]) -> int:
        """Its value for these values of the symbols."""
        return self.formula.at(values)

    def bound(self, limit: int) -> None:
        """Records that it stays below a limit, on both sides of 0."""
        if self.formula.degree > 1 or self.formula.is_large:
            self.path.limit(self.formula.times(-1).plus(limit - 1))
            self.path.limit(self.formula.plus(limit - 1))

    # --- whole numbers -----------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if other.__class__ is int:
            return self._shifted(other)
        if other.__class__ is not Size:
            return self._with_float(operator.add, other)
        try:
            formula = self.formula + other.formula
        except Unkept:
            return _pinned(self) + _pinned(other)
        return _made(self.path, self.value + other.value, formula)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if other.__class__ is int:
            return self._shifted(-other)
        if other.__class__ is not Size:
            return self._with_float(operator.sub, other)
        try:
            formula = self.formula - other.formula
        except Unkept:
            return _pinned(self) - _pinned(other)
        return _made(self.path, self.value - other.value, formula)

    def _shifted(self, number: int) -> Any:
        if not number:
            return self
        formula = self.formula.plus(number)
        if abs(formula.constant) >= MAX_COEFFICIENT:
            return _pinned(self) + number
        return self.path.made(self.value + number, formula)

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __mul__(self, other: Any) -> Any:
        try:
            if other.__class__ is int:
                if other == 1:
                    return self
                return _made(self.path, self.value * other, self.formula.times(other))
            if other.__class__ is Size:
                formula = self.formula * other.formula
                return _made(self.path, self.value * other.value, formula)
        except Unkept:
            return _pinned(self) * _pinned(other)
        return Ratio.of(self, other) if other.__class__ is float else NotImplemented

    __rmul__ = __mul__

    def _with_float(self, operate: Callable[[Any, Any], Any], other: Any) -> Any:
        return operate(_pinned(self), other) if other.__class__ is float else NotImplemented

    def __neg__(self) -> Any:
        return self * -1

    def __pos__(self) -> Size:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __pow__(self, power: Any) -> Any:
        if power.__class__ is not int or not 0 <= power <= MAX_POWER:
            return (self if depends(power) else _pinned(self)) ** _pinned(power)
        result: Any = 1
        for _ in range(power):
            result = self * result
        return result

    def __rpow__(self, base: Any) -> Any:
        return base ** _pinned(self)

    def __floordiv__(self, divisor: Any) -> Any:
        if divisor.__class__ is Size:
            return self._divided(divisor)
        if divisor.__class__ is not int:
            return _pinned(self) // divisor
        if divisor == 1:
            return self
        if not divisor:
            return self.value // divisor  # refused: it has no value at any size
        if divisor < 0:
            return -self // -divisor
        try:
            return _made(self.path, self.value // divisor, self.formula.floor(divisor))
        except Unkept:
            return _pinned(self) // divisor

    def _divided(self, divisor: Size) -> Any:
        """The quotient by a size that divides it at all sizes; for others the divisor is pinned."""
        try:
            quotient = self.formula.quotient(divisor.formula)
        except Unkept:
            quotient = None
        if quotient is None or divisor < 1:
            return self // _pinned(divisor)
        return _made(self.path, self.value // divisor.value, quotient)

    def __rfloordiv__(self, number: Any) -> Any:
        return number // _pinned(self)

    def __mod__(self, divisor: Any) -> Any:
        if divisor.__class__ not in WHOLE:
            return _pinned(self) % divisor
        if divisor.__class__ is int and not divisor:
            return self.value % divisor
        return self - (self // divisor) * divisor

    def __rmod__(self, number: Any) -> Any:
        return number % _pinned(self)

    def __truediv__(self, divisor: Any) -> Any:
        if divisor.__class__ is int and not divisor:
            return self.value / divisor
        if divisor.__class__ is not int or divisor < 0:
            return (self if depends(divisor) else _pinned(self)) / _pinned(divisor)
        return Ratio(self, divisor)

    def __rtruediv__(self, number: Any) -> Any:
        return number / _pinned(self)

    # --- questions ---------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        if other.__class__ is float:
            return bool(_pinned(self) == other)
        if other.__class__ not in WHOLE:
            return NotImplemented
        less = self - other
        return self.path.is_zero(less.formula, less.value) if depends(less) else not less

    def __ge__(self, other: Any) -> bool:
        if other.__class__ is int:
            return self.path.at_least(self, other)
        if other.__class__ is float:
            return bool(_pinned(self) >= other)
        less = self - other
        if not depends(less):
            return bool(less >= 0)
        return self.path.at_least_zero(less.formula, less.value)

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __le__(self, other: Any) -> bool:
        if other.__class__ is int:
            return self.path.at_most(self, other)
        if other.__class__ is float:
            return bool(_pinned(self) <= other)
        less = other - self
        if not depends(less):
            return bool(less >= 0)
        return self.path.at_least_zero(less.formula, less.value)

    def __lt__(self, other: Any) -> bool:
        return not self >= other

    # --- whole numbers of a whole number -----------------------------------------------------

    def __ceil__(self) -> Size:
        return self

    def __floor__(self) -> Size:
        return self

    def __trunc__(self) -> Size:
        return self


class Ratio:
    """A size divided by a number above 0, as Python's float: exact below 2**53."""

    __slots__ = ("divisor", "size")

    def __init__(self, size: Size, divisor: int) -> None:
        self.size, self.divisor = size, divisor
        if size.formula.degree > 1 and abs(size.value) < 2**53:
            size.path.limit(size.formula.times(-1).plus(2**53))

    @classmethod
    def of(cls, size: Size, factor: float) -> Any:
        """A size times a factor, where that is a fraction with a small power of 2 below."""
        above, below = factor.as_integer_ratio()
        if below > 2**10 or abs(above) > 2**20 or not above:
            return _pinned(size) * factor
        return cls(size * above, below)

    def __float__(self) -> float:
        return float(_pinned(self.size) / self.divisor)

    def __repr__(self) -> str:
        return repr(self.size.value / self.divisor)

    def __format__(self, spec: str) -> str:
        return format(self.size.value / self.divisor, spec)

    def __floor__(self) -> Any:
        return self.size // self.divisor

    def __ceil__(self) -> Any:
        return -(-self.size // self.divisor)

    def __trunc__(self) -> Any:
        return self.__floor__() if self.size >= 0 else self.__ceil__()

    def __add__(self, other: Any) -> Any:
        if other.__class__ is int or depends(other):
            return _ratio(self.size + other * self.divisor, self.divisor)
        return float(self) + plain(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __neg__(self) -> Any:
        return _ratio(-self.size, self.divisor)

    def __mul__(self, other: Any) -> Any:
        if other.__class__ is int and other:
            return _ratio(self.size * other, self.divisor)
        return float(self) * plain(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if other.__class__ is int and other > 0:
            return _ratio(self.size, self.divisor * other)
        return float(self) / plain(other)

    def __rtruediv__(self, other: Any) -> Any:
        return plain(other) / float(self)

    def __floordiv__(self, other: Any) -> Any:
        return float(self) // plain(other)

    def __rfloordiv__(self, other: Any) -> Any:
        return plain(other) // float(self)

    def __mod__(self, other: Any) -> Any:
        return float(self) % plain(other)

    def __rmod__(self, other: Any) -> Any:
        return plain(other) % float(self)

    def __pow__(self, other: Any) -> Any:
        return float(self) ** plain(other)

    def __rpow__(self, other: Any) -> Any:
        return plain(other) ** float(self)

    def __abs__(self) -> float:
        return abs(float(self))

    def __round__(self, digits: int | None = None) -> Any:
        return round(float(self), digits)

    def __hash__(self) -> int:
        return hash((self.size, self.divisor))

    def __eq__(self, other: object) -> bool:
        if other.__class__ is int:
            return bool(self.size == other * self.divisor)
        if isinstance(other, Ratio):
            return bool(self.size * other.divisor == other.size * self.divisor)
        return bool(float(self) == plain(other))

    def __ge__(self, other: Any) -> bool:
        if other.__class__ is int:
            return bool(self.size >= other * self.divisor)
        return bool(float(self) >= plain(other))

    def __le__(self, other: Any) -> bool:
        if other.__class__ is int:
            return bool(self.size <= other * self.divisor)
        return bool(float(self) <= plain(other))

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __lt__(self, other: Any) -> bool:
        return not self >= other


WHOLE: frozenset[type] = frozenset((int, Size))
"""The types of whole numbers."""


def _made(path: Path, value: int, formula: Formula) -> Any:
    """The size of this formula; a plain number where it depends on no symbol."""
    return value if formula.is_constant else path.made(value, formula)


def _ratio(size: Any, divisor: int) -> Any:
    return Ratio(size, divisor) if size.__class__ is Size else size / divisor


def _pinned(value: Any) -> Any:
    return value.__index__() if value.__class__ is Size else value


def plain(value: Any) -> Any:
    """A number of Python's own; what depends on symbols is pinned."""
    return float(value) if isinstance(value, Ratio) else _pinned(value)


def sum_of_sizes(values: Sequence[Any]) -> Any:
    """The sum of whole numbers, of which some depend on symbols: one formula, not one a term."""
    sizes = [value for value in values if value.__class__ is Size]
    number = sum([value for value in values if value.__class__ is not Size])
    path = sizes[0].path
    try:
        formula = path.ring.total([size.formula for size in sizes])
    except Unkept:
        return sum(values)
    return _made(path, sum([size.value for size in sizes]), formula) + number


def known(value: Any) -> Any:
    """The value at hand of a size, for messages: nothing is recorded. Others are as they are."""
    if value.__class__ is Ratio:
        return value.size.value / value.divisor
    return value.value if value.__class__ is Size else value


def depends(value: object) -> bool:
    """Whether it is a size that depends on symbols."""
    return value.__class__ is Size


def everywhere(change: Callable[[Any], Any], value: Any) -> Any:
    """The value with each size in its tuples and mappings changed, as by `plain` or `known`."""
    if value.__class__ is tuple:
        return tuple([everywhere(change, item) for item in value])
    if isinstance(value, Mapping):
        return {key: everywhere(change, item) for key, item in value.items()}
    return change(value)


EXACT_UP_TO = 65_535
"""Sizes up to which a factor that is no exact fraction was tried against torch's own rule."""


def scaled_size(size: Any, factor: float) -> Any:
    """A size times a factor in double precision, rounded down: the formula where there is one."""
    above, below = factor.as_integer_ratio()
    if below > 2**10 or above > 2**20:
        above, below = _fraction(factor)
        if not below:
            return int(float(size) * factor)
        size.path.limit((size * -1 + EXACT_UP_TO).formula)
    return size * above // below


@lru_cache(maxsize=64)
def _fraction(factor: float) -> tuple[int, int]:
    """The fraction that rounds down as the factor does, for each size that is tried; or (0, 0)."""
    from fractions import Fraction

    near = Fraction(factor).limit_denominator(1000)
    above, below = near.numerator, near.denominator
    if all(int(size * factor) == size * above // below for size in range(EXACT_UP_TO + 1)):
        return above, below
    return 0, 0
