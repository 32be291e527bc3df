"""What expressions compute with: their values, the magic names, functions and operators.

All bounds on values are kept here: numbers are finite and below 2**63, lists are counted against
a budget. Every function raises `Refusal` for what has no value.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.shape import N, Shape, axis, is_batched, show
from archspec.sizes.size import MAX_POWER, Ratio, Size, plain
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
            _too_large()
    elif value.__class__ is float:
        if not math.isfinite(value):
            refuse("the result is not a finite number")
    elif value.__class__ is complex:
        refuse("the result is not a real number")
    elif value.__class__ is Size:
        if abs(value.value) >= 2**MAX_BITS and abs(value) >= 2**MAX_BITS:  # asks, for the record
            _too_large()
        value.bound(2**MAX_BITS)
    return value


def _too_large() -> NoReturn:
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


# --- the magic names: sizes of the node's input --------------------------------------------------


def _input(env: Env, name: str) -> Shape:
    if env.shape is None:
        refuse(f"{name} has no value here: there is no input to take it from")
    env.budget.takes_sizes = True
    return env.shape


def _dimension(name: str, position: int, ranks: tuple[int, ...]) -> Evaluate:
    def evaluate(env: Env) -> Any:
        shape = _input(env, name)
        if len(shape) not in ranks:
            refuse(
                f"{name} has no value for an input of shape {show(shape)}",
                help="in_shape lists all its sizes but N; in_features is the last one",
            )
        return shape[position]

    return evaluate


MAGIC: dict[str, Evaluate] = {
    "in_channels": _dimension("in_channels", 1, tuple(range(2, 9))),
    "in_height": _dimension("in_height", -2, (4,)),
    "in_width": _dimension("in_width", -1, (3, 4)),
    "in_features": _dimension("in_features", -1, tuple(range(2, 9))),
    "in_shape": lambda env: (
        _input(env, "in_shape")[1:] if is_batched(_input(env, "in_shape")) else env.shape
    ),
}


# --- functions -----------------------------------------------------------------------------------


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


def _extreme(name: str, choose: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    def call(env: Env, *values: Any) -> Any:
        items = as_list(env.budget.walk(values[0]), name) if len(values) == 1 else values
        if not items:
            refuse(f"{name} of an empty list")
        return choose([number(item, name) for item in items])

    return call


def _range(env: Env, *bounds: Any) -> tuple[int, ...]:
    bounds = tuple(map(plain, bounds))
    for bound in bounds:
        if bound.__class__ is not int:
            shown = f" {bound}" if bound.__class__ is float else ""
            refuse(f"range needs whole numbers, got {type_name(bound)}{shown}")
    if len(bounds) == 3 and bounds[2] == 0:
        refuse("range with a step of 0")
    span = range(*bounds)
    # len() of a huge range overflows; its bounds do not.
    count = max(0, (span.stop - span.start + span.step - (1 if span.step > 0 else -1)) // span.step)
    env.budget.spend(count)
    return tuple(span)


def _log(_: Env, x: Any, base: Any = math.e) -> float:
    x, base = plain(number(x, "log")), plain(number(base, "log"))
    if x <= 0 or base <= 0 or base == 1:
        refuse(f"log of {x}")
    return math.log(x) if base == math.e else math.log(x) / math.log(base)


def _sqrt(_: Env, x: Any) -> float:
    x = plain(number(x, "sqrt"))
    if x < 0:
        refuse(f"sqrt of {x}")
    return math.sqrt(x)


def _of_number(name: str, apply: Callable[[float], float]) -> Callable[..., Any]:
    def call(_: Env, x: Any) -> float:
        x = plain(number(x, name))
        try:
            return apply(x)
        except OverflowError:
            refuse(f"{name} of {x} is too large for a number", Code.LIMIT)

    return call


def _divisible(_: Env, value: Any, divisor: Any) -> int:
    """Nearest multiple of `divisor`, at least it, and never below 0.9 of `value` (MobileNet)."""
    value, divisor = plain(number(value, "divisible")), plain(number(divisor, "divisible"))
    if divisor <= 0 or divisor.__class__ is not int:
        refuse(f"divisible needs a whole divisor above 0, got {divisor}")
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _round(_: Env, x: Any, digits: Any = None) -> Any:
    if digits is not None and (digits.__class__ is not int or abs(digits) > 20):
        refuse(f"round to {digits} digits")
    return round(plain(number(x, "round")), digits)


def _sum(env: Env, x: Any) -> Any:
    return sum(number(item, "sum") for item in as_list(env.budget.walk(x), "sum"))


def _int(_: Env, x: Any) -> Any:
    if x.__class__ is bool:
        return int(x)
    return math.trunc(number(x, "int"))


def shape_of(env: Env, edge: str, what: str) -> Shape:
    """The shape of an earlier value of the list. Raises `Refusal`."""
    if env.edge is None:
        refuse(f"{what} has no value here: there is no list of nodes to take it from")
    env.budget.takes_sizes = True
    return env.edge(edge)


def _size(env: Env, edge: str, dim: Any) -> Any:
    """The size of an earlier value along an axis, which is counted as `dim` counts."""
    dim = plain(dim)
    if dim.__class__ is not int:
        refuse(f"size counts axes with whole numbers, got {type_name(dim)}")
    shape = shape_of(env, edge, SIZE)
    position = axis(dim, len(shape))
    if shape[position] is N:
        refuse(
            f"axis {dim} of {edge!r} is the batch, whose size is not known",
            help="name another axis; N counts as 0",
        )
    return shape[position]


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "len": (1, 1, lambda _, x: len(as_list(x, "len"))),
    "min": (1, 1000, _extreme("min", min)),
    "max": (1, 1000, _extreme("max", max)),
    "range": (1, 3, _range),
    "round": (1, 2, _round),
    "ceil": (1, 1, lambda _, x: math.ceil(number(x, "ceil"))),
    "floor": (1, 1, lambda _, x: math.floor(number(x, "floor"))),
    "abs": (1, 1, lambda _, x: abs(number(x, "abs"))),
    "sum": (1, 1, _sum),
    "int": (1, 1, _int),
    "log": (1, 2, _log),
    "sqrt": (1, 1, _sqrt),
    "sin": (1, 1, _of_number("sin", math.sin)),
    "cos": (1, 1, _of_number("cos", math.cos)),
    "exp": (1, 1, _of_number("exp", math.exp)),
    "divisible": (2, 2, _divisible),
    SIZE: (2, 2, _size),
}
"""Functions by name: fewest and most arguments, and the implementation."""

_UNRESERVED = frozenset({SIZE, "sin", "cos", "exp"})
"""Functions that came later than the first parameters that were called so."""

RESERVED = frozenset(CONSTANTS) | frozenset(MAGIC) | frozenset(FUNCTIONS) - _UNRESERVED
"""Names that no parameter or loop variable may take."""


# --- operators -----------------------------------------------------------------------------------


def _arithmetic(symbol: str, apply: Callable[[Any, Any], Any]) -> Callable[[Env, Any, Any], Any]:
    def call(_: Env, a: Any, b: Any) -> Any:
        number(a, symbol), number(b, symbol)
        try:
            return checked(apply(a, b))
        except ZeroDivisionError:
            refuse(f"division by zero: {a} {symbol} {b}")
        except OverflowError:
            refuse("the result is too large for a number", Code.LIMIT)

    return call


_plus = _arithmetic("+", operator.add)
_times = _arithmetic("*", operator.mul)
_real_power = _arithmetic("**", operator.pow)


def _add(env: Env, a: Any, b: Any) -> Any:
    if isinstance(a, tuple) and isinstance(b, tuple):
        env.budget.spend(len(a) + len(b))
        return a + b
    return _plus(env, a, b)


def _multiply(env: Env, a: Any, b: Any) -> Any:
    if isinstance(b, tuple):
        a, b = b, a
    if isinstance(a, tuple) and (b.__class__ is int or b.__class__ is Size):
        b = plain(b)
        env.budget.spend(len(a) * max(b, 0))
        return a * b
    return _times(env, a, b)


def _power(env: Env, a: Any, b: Any) -> Any:
    b = plain(b)
    if a.__class__ is Size and (b.__class__ is not int or not 0 <= b <= MAX_POWER):
        a = plain(a)
    if (
        a.__class__ is int
        and b.__class__ is int
        and abs(a) > 1
        and b * (abs(a).bit_length() - 1) > 64
    ):
        _too_large()
    return _real_power(env, a, b)


BINARY: dict[type[ast.operator], Callable[[Env, Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: _arithmetic("-", operator.sub),
    ast.Mult: _multiply,
    ast.Div: _arithmetic("/", operator.truediv),
    ast.FloorDiv: _arithmetic("//", operator.floordiv),
    ast.Mod: _arithmetic("%", operator.mod),
    ast.Pow: _power,
}


def _ordered(symbol: str, apply: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def call(a: Any, b: Any) -> bool:
        return apply(number(a, symbol), number(b, symbol))

    return call


def _contains(a: Any, b: Any) -> bool:
    return any(_equal(a, item) for item in as_list(b, "in"))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, Table) and isinstance(b, Table):
        return a.keys() == b.keys() and all(_equal(value, b[key]) for key, value in a.items())
    # A truth value is no number here, though Python has True == 1.
    return bool(a == b) and (a.__class__ is bool) == (b.__class__ is bool)


COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: _equal,
    ast.NotEq: lambda a, b: not _equal(a, b),
    ast.Lt: _ordered("<", operator.lt),
    ast.LtE: _ordered("<=", operator.le),
    ast.Gt: _ordered(">", operator.gt),
    ast.GtE: _ordered(">=", operator.ge),
    ast.In: _contains,
    ast.NotIn: lambda a, b: not _contains(a, b),
}


def truth(value: Any, what: str = "a condition") -> bool:
    """A condition's value, which must be a truth value: no number counts as one."""
    if value.__class__ is not bool:
        refuse(
            f"{what} must be true or false, got {type_name(value)}",
            help="compare it: `x > 0`, `x == 'text'`",
        )
    return bool(value)
