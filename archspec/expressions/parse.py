"""Expressions: parsed once with `ast`, compiled to closures over a whitelist, bounded.

Nothing a spec says is ever run as Python. The parser only gives a tree; each kind of tree node
that the language knows has one compiling function below, and everything else is refused. Values
are None, truth values, numbers, text, tuples (lists) and `Table`s (mappings).
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.diagnostics.suggestions import did_you_mean
from archspec.expressions.evaluate import (
    CONSTANTS,
    EDGES,
    LENGTH,
    NUMBERS_BY_NAME,
    SIZE,
    Env,
    Evaluate,
    Table,
    as_list,
    checked,
    number,
    refuse,
    truth,
    type_name,
)
from archspec.expressions.functions import BINARY, COMPARE, FUNCTIONS, MAGIC, RESERVED
from archspec.record import Record
from archspec.sizes.size import plain
from archspec.text.limits import DEFAULT, Limits


class Expression(Record):
    """A compiled expression: its text, the names it reads, and how to evaluate it.

    `evaluate` raises `Refusal` for whatever has no value.
    """

    text: str
    names: frozenset[str]
    evaluate: Evaluate

    @property
    def is_constant(self) -> bool:
        return not self.names


# --- compiling -----------------------------------------------------------------------------------


class _Compiler:
    """Compiles one tree; collects the names that it reads."""

    def __init__(self, text: str, limits: Limits) -> None:
        self.text, self.limits = text, limits
        self.names: set[str] = set()
        self.bound: list[str] = []
        self.depth = self.size = 0

    def compile(self, node: ast.expr) -> Evaluate:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            refuse(
                f"{_WORDS_FOR.get(type(node).__name__, type(node).__name__)} is not part of the "
                "language of expressions",
                Code.EXPRESSION,
                help=_unbraced(node),
            )
        self.depth += 1
        self.limits.check("expression_depth", self.depth, "the nesting of this expression")
        self.size += 1
        result: Evaluate = method(node)
        self.depth -= 1
        return result

    def written(self, node: ast.expr) -> str:
        """The beginning of what stands there, as it was written."""
        segment = ast.get_source_segment(self.text, node) or ""
        return segment if len(segment) <= 40 else f"{segment[:39]}…"

    def _Constant(self, node: ast.Constant) -> Evaluate:  # noqa: N802
        value = node.value
        if value is not None and value.__class__ not in (bool, int, float, str):
            refuse(f"{value!r} is not a value of the language", Code.EXPRESSION)
        checked(value)
        return lambda env: value

    def _Name(self, node: ast.Name) -> Evaluate:  # noqa: N802
        name = node.id
        if name in CONSTANTS:
            constant = CONSTANTS[name]
            return lambda env: constant
        if name in FUNCTIONS and name in RESERVED:
            refuse(f"{name} is a function", Code.EXPRESSION, help=f"call it: {name}(…)")
        if name not in self.bound:
            self.names.add(name)
        if name in MAGIC:
            return MAGIC[name]

        def evaluate(env: Env) -> Any:
            try:
                return env.names[name]
            except KeyError:
                if name in NUMBERS_BY_NAME:
                    return NUMBERS_BY_NAME[name]
                if LENGTH.format(name) in env.names:
                    refuse(
                        f"{name!r} stands for values, which an expression can only count",
                        expected=LENGTH.format(name),
                    )
                raise unknown_name(name, env.names) from None

        return evaluate

    def _BinOp(self, node: ast.BinOp) -> Evaluate:  # noqa: N802
        apply = BINARY.get(type(node.op))
        if apply is None:
            refuse(
                "this operator is not part of the language",
                Code.EXPRESSION,
                help="`**` raises to a power" if isinstance(node.op, ast.BitXor) else None,
            )
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda env: apply(env, left(env), right(env))

    def _UnaryOp(self, node: ast.UnaryOp) -> Evaluate:  # noqa: N802
        operand = self.compile(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda env: not truth(operand(env), "the operand of not")
        if isinstance(node.op, ast.USub):
            return lambda env: checked(-number(operand(env), "-"))
        if not isinstance(node.op, ast.UAdd):
            refuse("this operator is not part of the language", Code.EXPRESSION)
        return lambda env: number(operand(env), "+")

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
            apply = COMPARE.get(type(op))
            if apply is None:
                refuse("`is` is not part of the language", Code.EXPRESSION, help="write ==")
            rest.append((apply, self.compile(right)))

        def evaluate(env: Env) -> bool:
            left = first(env)
            for apply, compiled in rest:
                right = env.budget.walk(compiled(env))
                if not apply(env.budget.walk(left), right):
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
            return lambda env: env.budget.walk(
                _slice(as_list(value(env), "a slice"), [part(env) for part in bounds])
            )
        index = self.compile(node.slice)
        return lambda env: _item(value(env), index(env))

    def _Attribute(self, node: ast.Attribute) -> Evaluate:  # noqa: N802
        value, key = self.compile(node.value), node.attr

        def evaluate(env: Env) -> Any:
            table = value(env)
            if not isinstance(table, Table):
                refuse(f".{key} needs a mapping before it, got {type_name(table)}")
            if key not in table:
                refuse(
                    f"the mapping has no {key!r}; it has {', '.join(table) or 'nothing'}",
                    help=did_you_mean(key, table),
                )
            return table[key]

        return evaluate

    def _Call(self, node: ast.Call) -> Evaluate:  # noqa: N802
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            text = self.written(node.func)
            refuse(
                f"{text!r} is not a function of the language",
                Code.EXPRESSION,
                expected=f"one of {', '.join(FUNCTIONS)}",
                help=did_you_mean(text, FUNCTIONS),
            )
        name = node.func.id
        least, most, function = FUNCTIONS[name]
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
            refuse(f"{name} takes plain arguments only", Code.EXPRESSION)
        if not least <= len(node.args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            refuse(f"{name} takes {wanted} argument(s), got {len(node.args)}", Code.EXPRESSION)
        if name == SIZE:
            return self._size(node, function)
        if name == "len" and isinstance(node.args[0], ast.Name):
            return self._length(node.args[0], function)
        args = [self.compile(arg) for arg in node.args]
        return lambda env: checked(function(env, *[arg(env) for arg in args]))

    def _length(self, of: ast.Name, function: Callable[..., Any]) -> Evaluate:
        """`len(xs)`: of a list, or of the values of an input that takes the rest."""
        value, count = self.compile(of), LENGTH.format(of.id)
        if of.id in self.bound:
            return lambda env: function(env, value(env))
        self.names.add(count)
        return lambda env: env.names[count] if count in env.names else function(env, value(env))

    def _size(self, node: ast.Call, function: Callable[..., Any]) -> Evaluate:
        """`size(stem, 2)`: the first argument is a name, or an edge in quotes."""
        first = node.args[0]
        edge = first.id if isinstance(first, ast.Name) else getattr(first, "value", None)
        if not isinstance(edge, str):
            refuse(
                f"{SIZE} takes the name of a node first",
                Code.EXPRESSION,
                expected=f"{SIZE}(stem, 2), or an edge in quotes: {SIZE}('halves[1]', 2)",
            )
        self.names.add(EDGES)
        dim = self.compile(node.args[1])
        start, _, index = edge.removesuffix("]").partition("[")
        if not edge.endswith("]") or index.isdecimal():
            return lambda env: function(env, edge, dim(env))
        output = parse(index, self.limits)
        self.names |= output.names - set(self.bound)

        def of_output(env: Env) -> Any:
            return function(env, f"{start}[{plain(output.evaluate(env))}]", dim(env))

        return of_output

    def _ListComp(self, node: ast.ListComp) -> Evaluate:  # noqa: N802
        generator = node.generators[0]
        target = generator.target
        if len(node.generators) > 1 or generator.is_async or not isinstance(target, ast.Name):
            refuse("a list is built by one `for` over one name", Code.EXPRESSION)
        if target.id in RESERVED:
            refuse(f"{target.id} is a name of the language", Code.EXPRESSION)
        source, name = self.compile(generator.iter), target.id
        self.bound.append(name)
        before = self.size
        tests = [self.compile(test) for test in generator.ifs]
        element = self.compile(node.elt)
        self.bound.remove(name)
        cost = self.size - before

        def evaluate(env: Env) -> tuple[Any, ...]:
            items = as_list(source(env), "for … in")
            env.budget.spend(len(items))
            env.budget.count(len(items) * cost)
            inner = env.bind({name: None})
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


def _unbraced(node: ast.expr) -> str | None:
    """The help for `{width}`, braces as other languages put around what they insert."""
    if not isinstance(node, ast.Set):
        return None
    while isinstance(node, ast.Set) and len(node.elts) == 1:
        (node,) = node.elts
    return f"write {ast.unparse(node)[:60]} without braces" if isinstance(node, ast.Name) else None


def unknown_name(name: str, known: Iterable[str], literals: Iterable[str] = ()) -> Refusal:
    """The refusal of a name that is not in scope, where the words `literals` might stand too."""
    names = [*known, *MAGIC]
    # `width` means a parameter, and not `in_width`.
    near = [each for each in names if each not in MAGIC or not each.endswith(f"_{name}")]
    in_scope = ", ".join([*literals, *sorted(set(names))])
    return Refusal(
        f"the name {name!r} is not known here",
        code=Code.UNKNOWN_NAME,
        expected=f"one of {in_scope}",
        help=(
            f"it is a function: call it: {name}(…)" if name in FUNCTIONS and name != SIZE else None
        )
        or did_you_mean(name, [*literals, *near])
        or f"declare it under `params:`; text in an expression stands in quotes: '{name}'",
    )


def _slice(items: tuple[Any, ...], bounds: list[Any]) -> tuple[Any, ...]:
    bounds = list(map(plain, bounds))
    for bound in bounds:
        if bound is not None and bound.__class__ is not int:
            refuse(f"a slice needs whole numbers, got {type_name(bound)}")
    if bounds[2] == 0:
        refuse("a slice with a step of 0")
    return items[slice(*bounds)]


def _item(items: Any, index: Any) -> Any:
    if isinstance(items, Table):
        if not isinstance(index, str):
            refuse(f"a mapping is indexed by text, got {type_name(index)}")
        if index not in items:
            refuse(f"the mapping has no {index!r}; it has {', '.join(items) or 'nothing'}")
        return items[index]
    as_list(items, "an index")
    index = plain(index)
    if index.__class__ is not int:
        refuse(f"an index is a whole number, got {type_name(index)}")
    if not -len(items) <= index < len(items):
        refuse(f"index {index} is outside a list of {len(items)}")
    return items[index]


@lru_cache(maxsize=4096)
def parse(text: str, limits: Limits = DEFAULT) -> Expression:
    """Compile a text. Raises `Refusal` where it is no expression of the language."""
    limits.check("expression_length", len(text), "the length of this expression")
    try:
        with warnings.catch_warnings():
            # Python warns of `1if x`, `'a' is 'b'` and the like: the whitelist decides, not it.
            warnings.simplefilter("ignore")
            stripped = text.strip()
            tree = ast.parse(stripped, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        refuse(
            f"{text[:60]!r} is not an expression",
            Code.EXPRESSION,
            expected="arithmetic, a comparison, a list, a name or a call",
            help=_syntax_help(text),
        )
    compiler = _Compiler(stripped, limits)
    evaluate = compiler.compile(tree.body)
    if compiler.size > CHEAP:
        evaluate = _counted(evaluate, compiler.size)
    return Expression(text, frozenset(compiler.names), evaluate)


CHEAP = 20
"""Parts of an expression up to which its work need not be counted."""


def _counted(evaluate: Evaluate, size: int) -> Evaluate:
    def counted(env: Env) -> Any:
        env.budget.count(size)
        return evaluate(env)

    return counted


def _syntax_help(text: str) -> str | None:
    if unspaced := re.fullmatch(r"\s*(\w+):(\S.*)", text):
        return f"write a space after the colon: `{unspaced[1]}: {unspaced[2][:60]}`"
    if re.fullmatch(r"\s*\d+(\s*[x×X]\s*\d+)+\s*", text):
        return f"write a list: [{', '.join(re.findall('[0-9]+', text))}]"
    times = re.fullmatch(r"\s*(\w+)\s+[x×X]\s+(\w+)\s*|\s*(\d+)\s*([A-Za-z_]\w*)\s*", text)
    if times:
        return f"write {times[1] or times[3]} * {times[2] or times[4]}"
    if "&&" in text or "||" in text:
        return "write `and`, `or`"
    if percent := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text):
        return f"write {float(percent[1]) / 100:g}"
    if "$" in text:
        return f"write no `$` inside an expression: {text.replace('$', '')[:60]}"
    if "?" in text:
        return "write `a if condition else b`"
    if named := re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=\s*([^=\s].*)", text):
        return f"write `{{{named[1]}: {named[2][:60]}}}` for an argument by name; `==` compares"
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return "compare with =="
    if "!" in text.replace("!=", ""):
        return "write `not x`"
    return None
