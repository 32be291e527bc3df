"""Expressions: parsed once with `ast`, compiled to closures over a whitelist, bounded.

Nothing a spec says is ever run as Python. The parser only gives a tree; each kind of tree node
that the language knows has one compiling function below, and everything else is refused. Values
are None, truth values, numbers, text, tuples (lists) and `Table`s (mappings).
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from archspec.errors import Code, Refusal, did_you_mean
from archspec.ir.shape import Shape, is_batched, show
from archspec.language.limits import DEFAULT, Limits

MAX_BITS = 63
"""Whole numbers stay below 2**63 in magnitude."""


class Table(dict[str, Any]):
    """A mapping of a spec, such as a row of a table of stages; hashable, never changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


class Budget:
    """Work left to all expressions of one compilation."""

    __slots__ = ("limits", "steps")

    def __init__(self, limits: Limits) -> None:
        self.limits, self.steps = limits, 0

    def spend(self, steps: int) -> None:
        self.limits.check("list_length", steps, "the length of a list")
        self.steps += steps
        self.limits.check("evaluation_steps", self.steps, "the work of all expressions")


class Env:
    """What an expression sees: names in scope, and the shape of its node's input."""

    __slots__ = ("budget", "names", "shape")

    def __init__(self, names: dict[str, Any], shape: Shape | None, budget: Budget) -> None:
        self.names, self.shape, self.budget = names, shape, budget

    def bind(self, **names: Any) -> Env:
        return Env({**self.names, **names}, self.shape, self.budget)


Evaluate = Callable[[Env], Any]


class Expression(NamedTuple):
    """A compiled expression: its text, the names it reads, and how to evaluate it.

    `evaluate` raises `Refusal` for whatever has no value.
    """

    text: str
    names: frozenset[str]
    evaluate: Evaluate

    @property
    def is_constant(self) -> bool:
        return not self.names


CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}


def _refuse(message: str, code: Code = Code.EVALUATION, **more: Any) -> NoReturn:
    raise Refusal(message, code=code, **more)


def checked(value: Any) -> Any:
    """A number within bounds; refuses what is too large, infinite or not a number."""
    if value.__class__ is int:
        if value.bit_length() > MAX_BITS:
            _refuse("the result is a whole number beyond 2**63", Code.LIMIT)
    elif value.__class__ is float:
        if not math.isfinite(value):
            _refuse("the result is not a finite number")
    elif value.__class__ is complex:
        _refuse("the result is not a real number")
    return value


def type_name(value: Any) -> str:
    """A value's type as messages call it."""
    if value is None:
        return "null"
    names = {bool: "a truth value", int: "a number", float: "a number", str: "text"}
    named = names.get(type(value))
    if named:
        return named
    if isinstance(value, tuple):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "layers"


# --- the magic names: sizes of the node's input --------------------------------------------------


def _input(env: Env, name: str) -> Shape:
    if env.shape is None:
        _refuse(f"{name} has no value here: there is no input whose shape it could tell")
    return env.shape


def _dimension(name: str, position: int, ranks: tuple[int, ...]) -> Evaluate:
    def evaluate(env: Env) -> Any:
        shape = _input(env, name)
        if len(shape) not in ranks:
            _refuse(
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


def _number(value: Any, what: str) -> Any:
    if value.__class__ is not int and value.__class__ is not float:
        _refuse(f"{what} needs a number, got {type_name(value)}")
    return value


def _list(value: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        _refuse(f"{what} needs a list, got {type_name(value)}")
    return value


def _extreme(name: str, choose: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    def call(_: Env, *values: Any) -> Any:
        items = _list(values[0], name) if len(values) == 1 else values
        if not items:
            _refuse(f"{name} of an empty list")
        return choose([_number(item, name) for item in items])

    return call


def _range(env: Env, *bounds: Any) -> tuple[int, ...]:
    for bound in bounds:
        if bound.__class__ is not int:
            _refuse(f"range needs whole numbers, got {type_name(bound)} {bound}")
    if len(bounds) == 3 and bounds[2] == 0:
        _refuse("range with a step of 0")
    span = range(*bounds)
    # len() of a huge range overflows; its bounds tell the same.
    count = max(0, (span.stop - span.start + span.step - (1 if span.step > 0 else -1)) // span.step)
    env.budget.spend(count)
    return tuple(span)


def _log(_: Env, x: Any, base: Any = math.e) -> float:
    if _number(x, "log") <= 0 or _number(base, "log") <= 0 or base == 1:
        _refuse(f"log of {x}")
    return math.log(x) if base == math.e else math.log(x) / math.log(base)


def _sqrt(_: Env, x: Any) -> float:
    if _number(x, "sqrt") < 0:
        _refuse(f"sqrt of {x}")
    return math.sqrt(x)


def _divisible(_: Env, value: Any, divisor: Any) -> int:
    """Nearest multiple of `divisor`, at least it, and never below 0.9 of `value` (MobileNet)."""
    if _number(divisor, "divisible") <= 0 or divisor.__class__ is not int:
        _refuse(f"divisible needs a whole divisor above 0, got {divisor}")
    rounded = max(divisor, int(_number(value, "divisible") + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _round(_: Env, x: Any, digits: Any = None) -> Any:
    if digits is not None and (digits.__class__ is not int or abs(digits) > 20):
        _refuse(f"round to {digits} digits")
    return round(_number(x, "round"), digits)


def _int(_: Env, x: Any) -> int:
    if x.__class__ is bool:
        return int(x)
    return int(_number(x, "int"))


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "len": (1, 1, lambda _, x: len(_list(x, "len"))),
    "min": (1, 1000, _extreme("min", min)),
    "max": (1, 1000, _extreme("max", max)),
    "range": (1, 3, _range),
    "round": (1, 2, _round),
    "ceil": (1, 1, lambda _, x: math.ceil(_number(x, "ceil"))),
    "floor": (1, 1, lambda _, x: math.floor(_number(x, "floor"))),
    "abs": (1, 1, lambda _, x: abs(_number(x, "abs"))),
    "sum": (1, 1, lambda _, x: sum(_number(item, "sum") for item in _list(x, "sum"))),
    "int": (1, 1, _int),
    "log": (1, 2, _log),
    "sqrt": (1, 1, _sqrt),
    "divisible": (2, 2, _divisible),
}
"""Functions by name: fewest and most arguments, and the implementation."""

RESERVED = frozenset(CONSTANTS) | frozenset(MAGIC) | frozenset(FUNCTIONS)
"""Names that no parameter or loop variable may take."""


# --- operators -----------------------------------------------------------------------------------


def _arithmetic(symbol: str, apply: Callable[[Any, Any], Any]) -> Callable[[Env, Any, Any], Any]:
    def call(_: Env, a: Any, b: Any) -> Any:
        _number(a, symbol), _number(b, symbol)
        try:
            return checked(apply(a, b))
        except ZeroDivisionError:
            _refuse(f"division by zero: {a} {symbol} {b}")
        except OverflowError:
            _refuse("the result is too large for a number", Code.LIMIT)

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
    if isinstance(a, tuple) and b.__class__ is int:
        env.budget.spend(len(a) * max(b, 0))
        return a * b
    return _times(env, a, b)


def _power(env: Env, a: Any, b: Any) -> Any:
    if (
        a.__class__ is int
        and b.__class__ is int
        and abs(a) > 1
        and b * (abs(a).bit_length() - 1) > 64
    ):
        _refuse("the result is a whole number beyond 2**63", Code.LIMIT)
    return _real_power(env, a, b)


_BINARY: dict[type[ast.operator], Callable[[Env, Any, Any], Any]] = {
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
        return apply(_number(a, symbol), _number(b, symbol))

    return call


def _contains(a: Any, b: Any) -> bool:
    return any(_equal(a, item) for item in _list(b, "in"))


def _equal(a: Any, b: Any) -> bool:
    # A truth value is no number here, though Python has True == 1.
    return bool(a == b) and (a.__class__ is bool) == (b.__class__ is bool)


_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
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
        _refuse(
            f"{what} must be true or false, got {type_name(value)}",
            help="compare it: `x > 0`, `x == 'text'`",
        )
    return bool(value)


# --- compiling -----------------------------------------------------------------------------------


class _Compiler:
    """Compiles one tree; collects the names that it reads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.names: set[str] = set()
        self.bound: list[str] = []
        self.depth = 0

    def compile(self, node: ast.expr) -> Evaluate:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            _refuse(
                f"{_WORDS_FOR.get(type(node).__name__, type(node).__name__)} is not part of the "
                "language of expressions",
                Code.EXPRESSION,
            )
        self.depth += 1
        self.limits.check("expression_depth", self.depth, "the nesting of this expression")
        result: Evaluate = method(node)
        self.depth -= 1
        return result

    def _Constant(self, node: ast.Constant) -> Evaluate:  # noqa: N802
        value = node.value
        if value is not None and value.__class__ not in (bool, int, float, str):
            _refuse(f"{value!r} is no value of the language", Code.EXPRESSION)
        checked(value)
        return lambda env: value

    def _Name(self, node: ast.Name) -> Evaluate:  # noqa: N802
        name = node.id
        if name in CONSTANTS:
            constant = CONSTANTS[name]
            return lambda env: constant
        if name in FUNCTIONS:
            _refuse(f"{name} is a function", Code.EXPRESSION, help=f"call it: {name}(…)")
        if name not in self.bound:
            self.names.add(name)
        if name in MAGIC:
            return MAGIC[name]

        def evaluate(env: Env) -> Any:
            try:
                return env.names[name]
            except KeyError:
                raise unknown_name(name, env.names) from None

        return evaluate

    def _BinOp(self, node: ast.BinOp) -> Evaluate:  # noqa: N802
        apply = _BINARY.get(type(node.op))
        if apply is None:
            _refuse("this operator is not part of the language", Code.EXPRESSION)
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda env: apply(env, left(env), right(env))

    def _UnaryOp(self, node: ast.UnaryOp) -> Evaluate:  # noqa: N802
        operand = self.compile(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda env: not truth(operand(env), "the operand of not")
        if isinstance(node.op, ast.USub):
            return lambda env: checked(-_number(operand(env), "-"))
        if isinstance(node.op, ast.UAdd):
            return lambda env: _number(operand(env), "+")
        _refuse("this operator is not part of the language", Code.EXPRESSION)

    def _BoolOp(self, node: ast.BoolOp) -> Evaluate:  # noqa: N802
        parts = [self.compile(value) for value in node.values]
        word = "and" if isinstance(node.op, ast.And) else "or"
        stop = word == "or"

        def evaluate(env: Env) -> bool:
            for part in parts:
                if truth(part(env), f"each side of {word}") is stop:
                    return stop
            return not stop

        return evaluate

    def _Compare(self, node: ast.Compare) -> Evaluate:  # noqa: N802
        first = self.compile(node.left)
        rest: list[tuple[Callable[[Any, Any], bool], Evaluate]] = []
        for op, right in zip(node.ops, node.comparators, strict=True):
            apply = _COMPARE.get(type(op))
            if apply is None:
                _refuse("`is` is not part of the language", Code.EXPRESSION, help="write ==")
            rest.append((apply, self.compile(right)))

        def evaluate(env: Env) -> bool:
            left = first(env)
            for apply, compiled in rest:
                right = compiled(env)
                if not apply(left, right):
                    return False
                left = right
            return True

        return evaluate

    def _IfExp(self, node: ast.IfExp) -> Evaluate:  # noqa: N802
        test, body, other = map(self.compile, (node.test, node.body, node.orelse))
        return lambda env: body(env) if truth(test(env)) else other(env)

    def _List(self, node: ast.List) -> Evaluate:  # noqa: N802
        items = [self.compile(item) for item in node.elts]
        return lambda env: tuple([item(env) for item in items])

    def _Subscript(self, node: ast.Subscript) -> Evaluate:  # noqa: N802
        value = self.compile(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = [
                self.compile(part) if part else (lambda env: None)
                for part in (node.slice.lower, node.slice.upper, node.slice.step)
            ]
            return lambda env: _slice(_list(value(env), "a slice"), [part(env) for part in bounds])
        index = self.compile(node.slice)
        return lambda env: _item(value(env), index(env))

    def _Attribute(self, node: ast.Attribute) -> Evaluate:  # noqa: N802
        value, key = self.compile(node.value), node.attr

        def evaluate(env: Env) -> Any:
            table = value(env)
            if not isinstance(table, Table):
                _refuse(f".{key} needs a mapping before it, got {type_name(table)}")
            if key not in table:
                _refuse(
                    f"the mapping has no {key!r}; it has {', '.join(table) or 'nothing'}",
                    help=did_you_mean(key, table),
                )
            return table[key]

        return evaluate

    def _Call(self, node: ast.Call) -> Evaluate:  # noqa: N802
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            text = ast.unparse(node.func)[:40]
            _refuse(
                f"{text!r} is no function of the language",
                Code.EXPRESSION,
                expected=f"one of {', '.join(FUNCTIONS)}",
                help=did_you_mean(text, FUNCTIONS),
            )
        name = node.func.id
        least, most, function = FUNCTIONS[name]
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
            _refuse(f"{name} takes plain arguments only", Code.EXPRESSION)
        if not least <= len(node.args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            _refuse(f"{name} takes {wanted} argument(s), got {len(node.args)}", Code.EXPRESSION)
        args = [self.compile(arg) for arg in node.args]
        return lambda env: checked(function(env, *[arg(env) for arg in args]))

    def _ListComp(self, node: ast.ListComp) -> Evaluate:  # noqa: N802
        generator = node.generators[0]
        target = generator.target
        if len(node.generators) > 1 or not isinstance(target, ast.Name):
            _refuse("a list is built by one `for` over one name", Code.EXPRESSION)
        if target.id in RESERVED:
            _refuse(f"{target.id} is a name of the language", Code.EXPRESSION)
        source, name = self.compile(generator.iter), target.id
        self.bound.append(name)
        tests = [self.compile(test) for test in generator.ifs]
        element = self.compile(node.elt)
        self.bound.remove(name)

        def evaluate(env: Env) -> tuple[Any, ...]:
            items = _list(source(env), "for … in")
            env.budget.spend(len(items))
            inner = env.bind(**{name: None})
            result = []
            for item in items:
                inner.names[name] = item
                if all(truth(test(inner)) for test in tests):
                    result.append(element(inner))
            return tuple(result)

        return evaluate


_WORDS_FOR = {
    "Lambda": "a lambda",
    "Tuple": "a tuple (write a list in brackets)",
    "Dict": "a mapping",
    "Set": "a set",
    "GeneratorExp": "a generator (write brackets)",
    "NamedExpr": "an assignment",
    "JoinedStr": "a formatted text",
    "Starred": "*",
    "Slice": "a slice here",
}


def unknown_name(name: str, known: Iterable[str]) -> Refusal:
    """The refusal of a name that is not in scope."""
    names = [*known, *MAGIC]
    in_scope = ", ".join(sorted(set(names))) or "none"
    return Refusal(
        f"the name {name!r} is not known here",
        code=Code.UNKNOWN_NAME,
        expected=f"one of {in_scope}",
        help=did_you_mean(name, names)
        or f"text in an expression stands in single quotes: '{name}'",
    )


def _slice(items: tuple[Any, ...], bounds: list[Any]) -> tuple[Any, ...]:
    for bound in bounds:
        if bound is not None and bound.__class__ is not int:
            _refuse(f"a slice needs whole numbers, got {type_name(bound)}")
    if bounds[2] == 0:
        _refuse("a slice with a step of 0")
    return items[slice(*bounds)]


def _item(items: Any, index: Any) -> Any:
    if isinstance(items, Table):
        if index not in items:
            _refuse(f"the mapping has no {index!r}; it has {', '.join(items) or 'nothing'}")
        return items[index]
    _list(items, "an index")
    if index.__class__ is not int:
        _refuse(f"an index is a whole number, got {type_name(index)}")
    if not -len(items) <= index < len(items):
        _refuse(f"index {index} is outside a list of {len(items)}")
    return items[index]


@lru_cache(maxsize=4096)
def parse(text: str, limits: Limits = DEFAULT) -> Expression:
    """Compile a text. Raises `Refusal` where it is no expression of the language."""
    limits.check("expression_length", len(text), "the length of this expression")
    try:
        with warnings.catch_warnings():
            # Python warns of `1if x`, `'a' is 'b'` and the like: the whitelist decides, not it.
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        _refuse(
            f"{text[:60]!r} is no expression",
            Code.EXPRESSION,
            expected="arithmetic, a comparison, a list, a name or a call",
            help=_syntax_help(text),
        )
    compiler = _Compiler(limits)
    evaluate = compiler.compile(tree.body)
    return Expression(text, frozenset(compiler.names), evaluate)


def _syntax_help(text: str) -> str | None:
    if "&&" in text or "||" in text:
        return "write `and`, `or`"
    if "?" in text:
        return "write `a if condition else b`"
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return "compare with =="
    if "!" in text.replace("!=", ""):
        return "write `not x`"
    return None


_INSERT = re.compile(r"\$(?:\((?P<whole>.*)\)|(?P<name>[A-Za-z_]\w*(?:\.\w+|\[[^\]]*\])*))\Z", re.S)


def inserted(text: str) -> str | None:
    """The expression of `$name` or `$(expression)`; None for text without a leading `$`.

    Raises `Refusal` where a `$` does not cover the whole scalar.
    """
    if not text.startswith("$"):
        return None
    match = _INSERT.match(text)
    if not match:
        _refuse(
            f"{text[:60]!r}: `$` covers a whole value",
            Code.EXPRESSION,
            expected="$name or $(expression)",
            help=f"$({text[1:].strip('()')})",
        )
    return match["whole"] if match["whole"] is not None else match["name"]


_BRACES = re.compile(r"\{([^{}]*)\}")


class Template(NamedTuple):
    """A name that may hold expressions in braces: literal texts and expressions, alternating."""

    text: str
    parts: tuple[str | Expression, ...]

    @property
    def is_fixed(self) -> bool:
        return len(self.parts) == 1 and isinstance(self.parts[0], str)

    def render(self, env: Env) -> str:
        """The name; raises `Refusal` where an expression gives neither text nor whole number."""
        if self.is_fixed:
            return self.text
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            value = part.evaluate(env)
            if value.__class__ not in (int, str):
                _refuse(
                    f"{{{part.text}}} gives {type_name(value)}; a name is made of text and whole "
                    "numbers"
                )
            out.append(str(value))
        return "".join(out)


def template(text: str, limits: Limits = DEFAULT) -> Template:
    """Parse a name. Raises `Refusal` for an expression in braces that is none."""
    pieces = _BRACES.split(text)
    parts: list[str | Expression] = []
    for position, piece in enumerate(pieces):
        if position % 2:
            parts.append(parse(piece, limits))
        elif piece or len(pieces) == 1:
            parts.append(piece)
    return Template(text, tuple(parts))
