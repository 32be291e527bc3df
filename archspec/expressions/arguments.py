"""Arguments: from values in a text to values of an op or block, by the type that is expected.

Where a number, truth value or list is expected, plain text is an expression; where text alone is
expected, it is itself; where either may stand (`padding: same`), the literals that the argument
lists are text and all else is an expression.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from archspec.diagnostics.diagnostic import Code, Diagnostic, Edit, Help, Refusal, Span
from archspec.expressions.evaluate import Budget, Env, Evaluate, Table, type_name
from archspec.expressions.parse import parse
from archspec.expressions.templates import inserted
from archspec.ir.fields import once
from archspec.ir.op import MAX_FLOAT, MAX_SIZE, Op
from archspec.record import Record
from archspec.text.limits import Limits
from archspec.text.values import Items, Scalar, Value, shorten


class Reading(Record):
    """How text is read where an argument is expected; `literals` are text in any case."""

    text: bool
    literals: frozenset[str] = frozenset()


TEXT = Reading(text=True)
NUMBERS = Reading(text=False)


class Argument(Record):
    """A compiled argument: a constant (`evaluate` is None) or a function of its environment."""

    span: Span
    constant: Any
    evaluate: Evaluate | None = None
    names: frozenset[str] = frozenset()

    def value(self, env: Env) -> Any:
        return self.constant if self.evaluate is None else self.evaluate(env)


def compile_value(value: Value, kind_: Reading, limits: Limits) -> Argument:
    """Compile a value. Raises `LocatedError` where it holds no sound expression."""
    if isinstance(value, Scalar):
        return _compile_scalar(value, kind_, limits)
    if isinstance(value, Items):
        items = [compile_value(item, kind_, limits) for item in value]
        if all(item.evaluate is None for item in items):
            return Argument(value.span, tuple(item.constant for item in items))
        names = frozenset().union(*(item.names for item in items))
        return Argument(
            value.span, None, lambda env: tuple([item.value(env) for item in items]), names
        )
    fields = {key: compile_value(item, kind_, limits) for key, _, item in value.items()}
    if all(field.evaluate is None for field in fields.values()):
        return Argument(value.span, Table({k: field.constant for k, field in fields.items()}))
    names = frozenset().union(*(field.names for field in fields.values()))
    return Argument(
        value.span,
        None,
        lambda env: Table({k: field.value(env) for k, field in fields.items()}),
        names,
    )


def _compile_scalar(value: Scalar, kind_: Reading, limits: Limits) -> Argument:
    span = value.span
    if not isinstance(value.value, str):
        return Argument(span, value.value)
    try:
        text = inserted(value.value)
        if text is None:
            if kind_.text or value.value in kind_.literals:
                return Argument(span, value.value)
            text = value.value
        expression = parse(text, limits)
        if expression.is_constant:
            try:
                return Argument(span, expression.evaluate(Env({}, None, Budget(_briefly(limits)))))
            except Refusal as refusal:
                if refusal.code is not Code.LIMIT:
                    raise
        # What takes work is evaluated where it is used, at the cost of the whole compilation.
        return Argument(span, None, expression.evaluate, expression.names)
    except Refusal as refusal:
        raise LocatedError(Diagnostic.of(refusal, span)) from None


BRIEF = 100
"""Steps within which a constant expression is evaluated while the text is still read."""


@lru_cache(maxsize=8)
def _briefly(limits: Limits) -> Limits:
    return limits._replace(evaluation_steps=min(limits.evaluation_steps, BRIEF))


class LocatedError(Exception):
    """Carries diagnostics up to the loop that collects them."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics


# --- what an op's fields say ---------------------------------------------------------------------


YAML_11 = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
"""Words that were truth values in YAML 1.1 and are text since YAML 1.2."""


def check_truth(value: Value) -> None:
    """Refuse a word of YAML 1.1 where a truth value is expected."""
    if isinstance(value, Scalar) and value.text.lower() in YAML_11:
        meant = YAML_11[value.text.lower()]
        raise Refusal(
            f"`{value.text}` is text in YAML 1.2, and no truth value",
            code=Code.ARGUMENT,
            expected="true or false",
            help=f"write {meant}",
            replacement=meant,
        )


@once
def truths(op: type[Op]) -> frozenset[str]:
    """The arguments of an op that are truth values."""
    return frozenset(name for name, field in op.fields().items() if bool in field.leaves)


@once
def op_kinds(op: type[Op]) -> dict[str, Reading]:
    """How each argument of an op reads text."""
    return {name: _kind(field.leaves) for name, field in op.fields().items()}


def _kind(leaves: Iterable[Any]) -> Reading:
    plain: set[type] = set()
    literals: set[str] = set()
    for part in leaves:
        if get_origin(part) is Literal:
            literals.update(arg for arg in get_args(part) if isinstance(arg, str))
        else:
            plain.add(part)
    if str in plain:
        return TEXT
    return Reading(text=not plain - {type(None)} and bool(literals), literals=frozenset(literals))


def describe(annotation: Any, limits: Iterable[Any] = ()) -> str:
    """An annotation in the words of a message: 'a whole number of at least 1'."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *limits = get_args(annotation)
        return describe(inner, limits)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in get_args(annotation))
    if origin in (Union, types.UnionType):
        return ", or ".join(dict.fromkeys(describe(part) for part in get_args(annotation)))
    if origin is tuple:
        parts = get_args(annotation)
        if len(parts) == 2 and parts[1] is Ellipsis:
            return f"a list, each {describe(parts[0])}"
        return f"a list of {len(parts)}, each {' and '.join(dict.fromkeys(map(describe, parts)))}"
    if origin is Mapping:
        return "a mapping"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if annotation is type(None):
        return "null"
    if hasattr(annotation, "_fields"):  # a named tuple
        return f"a mapping with {' and '.join(annotation._fields)}"
    return words.get(annotation, str(annotation)) + _bounds(annotation, limits)


def _bounds(annotation: Any, limits: Iterable[Any]) -> str:
    def bound(name: str) -> Any:
        return next((v for limit in limits if (v := getattr(limit, name, None)) is not None), None)

    low, above, high, below = bound("ge"), bound("gt"), bound("le"), bound("lt")
    if annotation is int and above is not None:
        low, above = above + 1, None
    if low is not None and high is not None and high < MAX_SIZE:
        return f" from {low} to {high}"
    said = []
    if low is not None and low > -MAX_SIZE:
        said.append(f"of at least {low}")
    if above is not None:
        said.append(f"above {above}")
    if below is not None:
        said.append(f"below {below}")
    if high is not None and high < MAX_SIZE:
        said.append(f"of at most {high}")
    if high == MAX_FLOAT:
        said = [f"{' and '.join(said)} that float32 can hold".strip()]
    return " " + " and ".join(said) if said else ""


def show_value(value: Any, depth: int = 3) -> str:
    """A value as the language writes it; of lists within lists the innermost are left out."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | Table) and depth == 0:
        text = "…"
    elif isinstance(value, tuple):
        shown = ", ".join(show_value(item, depth - 1) for item in value[:8])
        text = f"[{shown}{', …' if len(value) > 8 else ''}]"
    elif isinstance(value, Table):
        rows = list(value.items())[:8]
        text = "{" + ", ".join(f"{k}: {show_value(v, depth - 1)}" for k, v in rows) + "}"
    else:
        text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def found_value(value: Any) -> str:
    """A value with its type, for the `found` line."""
    named = type_name(value)
    return named if value is None else f"{named}, {show_value(value)}"


_UNSPACED = re.compile(r"(?P<word>[^\W\d]\w*)\s*(?P<sign>[:=])\s*(?P<rest>[^=\s].*)", re.S)


def slip_of_colon(key: str) -> str | None:
    """`{stride:2}` reads as the key `stride:2`, as `{stride=2}` does: what to write instead."""
    slip = _UNSPACED.fullmatch(key)
    if slip is None:
        return None
    what = "write a space after the colon" if slip["sign"] == ":" else "write a colon and a space"
    return f"{what}: {slip['word']}: {shorten(slip['rest'])}"


def missing_space(key: str, known: Iterable[str], span: Span) -> Help | None:
    """The help for a key that is a known word, a colon and a value without a space."""
    help_ = slip_of_colon(key)
    if help_ is None:
        return None
    slip = _UNSPACED.fullmatch(key)
    assert slip is not None
    word, rest = slip["word"], slip["rest"]
    # Text in quotes was meant as it is, and a value that begins a mapping needs more than a space.
    certain = word in known and span.end_column - span.column == len(key)
    return Help(help_, (Edit(span, f"{word}: {rest}"),) if certain else ())
