"""What expressions compute with: values, names, and a budget of work.

All bounds on values are kept here: numbers are finite and below 2**63, lists are counted against
a budget. Every function raises `Refusal` for what has no value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.shape import Shape
from archspec.sizes.size import Ratio, Size
from archspec.text.limits import Limits

MAX_BITS = 63
"""Whole numbers stay below 2**63 in magnitude."""
BELOW = "a whole number below 2**63"


SIZE = "size"
"""The function whose first argument names a value, as `from` does. Parameters may be called so."""
EDGES = "size()"
"""Among the names that an expression reads it says that it depends on the list of nodes."""

LENGTH = "len({})"
"""Under what name an `Env` has the number of values of an input that takes the rest."""

NUMBERS = frozenset((int, float, Size, Ratio))
"""The types of numbers: sizes that depend on symbols are among them."""

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.I)


class Table(dict[str, Any]):
    """A mapping of a spec, such as a row of a table of stages; hashable, never changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class Budget:
    """Work left to one compilation, and whether an expression took a size from an input."""

    __slots__ = ("limits", "steps", "takes_sizes")

    def __init__(self, limits: Limits) -> None:
        self.limits, self.steps, self.takes_sizes = limits, 0, False

    def spend(self, steps: int) -> None:
        """For a list of so many elements. Raises `Refusal`."""
        self.limits.check("list_length", steps, "the length of a list")
        self.count(steps)

    def count(self, steps: int) -> None:
        """For so many steps of any kind. Raises `Refusal` where they were too many."""
        self.steps += steps
        if self.steps > self.limits.evaluation_steps:
            self.limits.check("evaluation_steps", self.steps, "the work of the whole spec")

    def walk(self, value: Any) -> Any:
        """The value, counted with all it holds, where it will be walked. Raises `Refusal`."""
        if isinstance(value, tuple | Table):
            self.count(len(value))
            for item in value.values() if isinstance(value, Table) else value:
                if isinstance(item, tuple | Table):
                    self.walk(item)
        return value


FindShape = Callable[[str], Shape]
"""The shape of a value by its edge, as `from` names it. Raises `Refusal`."""


class Env:
    """What an expression sees: names in scope, the shape of its node's input, and `edge`, which
    finds the shape of an earlier value of the list."""

    __slots__ = ("budget", "edge", "names", "shape")

    def __init__(
        self,
        names: dict[str, Any],
        shape: Shape | None,
        budget: Budget,
        edge: FindShape | None = None,
    ) -> None:
        self.names, self.shape, self.budget, self.edge = names, shape, budget, edge

    def bind(self, names: dict[str, Any]) -> Env:
        """The same with more names, which hide those of before."""
        self.budget.count(len(self.names) + 1)
        return Env({**self.names, **names}, self.shape, self.budget, self.edge)


Evaluate = Callable[[Env], Any]


def key_of(value: Any, budget: Budget) -> Any:
    """A hashable key that keeps 1, 1.0 and true apart. Raises `Refusal` for too much work."""
    kind = value.__class__
    if kind is tuple:
        budget.count(len(value))
        return tuple([key_of(item, budget) for item in value])
    if kind is Table:
        budget.count(len(value))
        return (kind, tuple([(name, key_of(item, budget)) for name, item in value.items()]))
    return (kind, value)


CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}

NUMBERS_BY_NAME: dict[str, float] = {"pi": math.pi}
"""Numbers whose names parameters may bear, and then stand for the parameter."""


def refuse(message: str, code: Code = Code.EVALUATION, **more: Any) -> NoReturn:
    """Raise the refusal of an expression."""
    raise Refusal(message, code=code, **more)


def checked(value: Any) -> Any:
    """A number within bounds; refuses what is too large, infinite or not a number."""
    if value.__class__ is int:
        if value.bit_length() > MAX_BITS:
            too_large()
    elif value.__class__ is float:
        if not math.isfinite(value):
            refuse("the result is not a finite number")
    elif value.__class__ is complex:
        refuse("the result is not a real number")
    elif value.__class__ is Size:
        if abs(value.value) >= 2**MAX_BITS and abs(value) >= 2**MAX_BITS:  # asks, for the record
            too_large()
        value.bound(2**MAX_BITS)
    return value


def too_large() -> NoReturn:
    """Refuse a whole number that is too large."""
    refuse(
        "the result is a whole number beyond 2**63",
        Code.LIMIT,
        expected=BELOW,
        help="the limit holds at every step of an expression: divide before you multiply",
    )


def type_name(value: Any) -> str:
    """A value's type as messages call it."""
    if value is None:
        return "null"
    names = {bool: "a truth value", str: "text", **dict.fromkeys(NUMBERS, "a number")}
    named = names.get(type(value))
    if named:
        return named
    if isinstance(value, tuple):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "layers"


def number(value: Any, what: str) -> Any:
    """The value, which must be a number; a truth value is none."""
    if value.__class__ not in NUMBERS:
        refuse(f"{what} needs a number, got {type_name(value)}", help=unquoted(value))
    return value


def unquoted(value: Any) -> str | None:
    """The help where a text that holds a number stands for the number."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return f"it is the text '{value}': write {value} without quotes where it is given"
    return None


def as_list(value: Any, what: str) -> tuple[Any, ...]:
    """The value, which must be a list."""
    if not isinstance(value, tuple):
        refuse(f"{what} needs a list, got {type_name(value)}")
    return value


def truth(value: Any, what: str = "a condition") -> bool:
    """A condition's value, which must be a truth value: no number counts as one."""
    if value.__class__ is not bool:
        refuse(
            f"{what} must be true or false, got {type_name(value)}",
            help="compare it: `x > 0`, `x == 'text'`",
        )
    return bool(value)
