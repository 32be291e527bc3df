"""The magic names, functions and operators of expressions.

Every function raises `Refusal` for what has no value.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

from archspec.diagnostics.diagnostic import Code
from archspec.expressions.evaluate import (
    CONSTANTS,
    SIZE,
    Env,
    Evaluate,
    Table,
    as_list,
    checked,
    number,
    refuse,
    too_large,
    type_name,
)
from archspec.ir.shape import N, Shape, axis, is_batched, show
from archspec.sizes.size import MAX_POWER, Size, plain


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


# --- functions ------------------------------------------------------------------------------------


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


# --- operators ------------------------------------------------------------------------------------


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
        too_large()
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
