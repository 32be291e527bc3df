"""Arguments: from values in a text to values of an op or block, by the type that is expected.

Where a number, truth value or list is expected, plain text is an expression; where text alone is
expected, it is itself; where either may stand (`padding: same`), the literals that the argument
lists are text and all else is an expression.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import ValidationError

from archspec.errors import Code, Diagnostic, Refusal, Span, did_you_mean
from archspec.ir.op import Op
from archspec.language.expressions import (
    Budget,
    Env,
    Evaluate,
    Table,
    inserted,
    parse,
    type_name,
)
from archspec.language.limits import Limits
from archspec.language.source import Items, Scalar, Value, kind


class Kind(NamedTuple):
    """How text is read where an argument is expected; `literals` are text in any case."""

    text: bool
    literals: frozenset[str] = frozenset()


TEXT = Kind(text=True)
NUMBERS = Kind(text=False)


class Argument(NamedTuple):
    """A compiled argument: a constant (`evaluate` is None) or a function of its environment."""

    span: Span
    constant: Any
    evaluate: Evaluate | None = None
    names: frozenset[str] = frozenset()

    def value(self, env: Env) -> Any:
        return self.constant if self.evaluate is None else self.evaluate(env)


def compile_value(value: Value, kind_: Kind, limits: Limits) -> Argument:
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


def _compile_scalar(value: Scalar, kind_: Kind, limits: Limits) -> Argument:
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
            return Argument(span, expression.evaluate(Env({}, None, Budget(limits))))
        return Argument(span, None, expression.evaluate, expression.names)
    except Refusal as refusal:
        raise LocatedError(Diagnostic.of(refusal, span)) from None


class LocatedError(Exception):
    """Carries one diagnostic up to the loop that collects them."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


# --- what an op's fields say ---------------------------------------------------------------------


@cache
def op_kinds(op: type[Op]) -> dict[str, Kind]:
    """How each argument of an op reads text."""
    return {name: _kind(field.annotation) for name, field in op.model_fields.items()}


def _kind(annotation: Any) -> Kind:
    plain: set[type] = set()
    literals: set[str] = set()
    for part in _leaves(annotation):
        if get_origin(part) is Literal:
            literals.update(arg for arg in get_args(part) if isinstance(arg, str))
        else:
            plain.add(part)
    if str in plain:
        return TEXT
    return Kind(text=not plain - {type(None)} and bool(literals), literals=frozenset(literals))


def _leaves(annotation: Any) -> Iterable[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif origin in (Union, types.UnionType, tuple):
        for part in get_args(annotation):
            if part is not Ellipsis:
                yield from _leaves(part)
    else:
        yield annotation


def describe(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """An annotation in the words of a message: 'a whole number of at least 1'."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *meta = get_args(annotation)
        return describe(inner, meta)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in get_args(annotation))
    if origin in (Union, types.UnionType):
        return ", or ".join(dict.fromkeys(describe(part) for part in get_args(annotation)))
    if origin is tuple:
        parts = get_args(annotation)
        if len(parts) == 2 and parts[1] is Ellipsis:
            return f"a list, each {describe(parts[0])}"
        return f"a list of {len(parts)}, each {' and '.join(dict.fromkeys(map(describe, parts)))}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if annotation is type(None):
        return "null"
    return words.get(annotation, str(annotation)) + _bounds(annotation, metadata)


def _bounds(annotation: Any, metadata: Iterable[Any]) -> str:
    flat = [item for meta in metadata for item in (getattr(meta, "metadata", None) or [meta])]

    def bound(name: str) -> Any:
        return next((v for m in flat if (v := getattr(m, name, None)) is not None), None)

    low, above, high = bound("ge"), bound("gt"), bound("le")
    if annotation is int and above is not None:
        low, above = above + 1, None
    said = []
    if low is not None:
        said.append(f"of at least {low}")
    if above is not None:
        said.append(f"above {above}")
    if high is not None and high < 2**31 - 1:
        said.append(f"of at most {high}")
    return " " + " and ".join(said) if said else ""


def make_op(op: type[Op], values: dict[str, Any], spans: dict[str, Span], at: Span) -> Op:
    """Validate an op's arguments. Raises `LocatedError` at the first argument that is wrong."""
    try:
        return op(**values)
    except ValidationError as error:
        raise LocatedError(_argument_error(op, error, values, spans, at)) from None
    except Refusal as refusal:
        raise LocatedError(Diagnostic.of(refusal, at)) from None


def _argument_error(
    op: type[Op], error: ValidationError, values: dict[str, Any], spans: dict[str, Span], at: Span
) -> Diagnostic:
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"]:
        message = first["msg"].removeprefix("Value error, ")
        return Diagnostic(Code.ARGUMENT, f"{op.op_name}: {message}", at)
    name = str(first["loc"][0])
    field = op.model_fields.get(name)
    if first["type"] == "missing" and name not in values:
        expected = describe(field.annotation, field.metadata) if field else None
        given = f" (`{op.op_name}: …` gives {op.primary})" if op.primary == name else ""
        return Diagnostic(
            Code.MISSING_ARGUMENT,
            f"{op.op_name} needs the argument {name!r}{given}",
            at,
            expected=expected,
            help=f"add {name}: `{op.op_name}: {{{name}: …}}`",
        )
    span = spans.get(name, at)
    if field is None:
        return unknown_argument(op.op_name, name, op.model_fields, span)
    value = values[name]
    if first["type"] == "value_error":
        message = f"{op.op_name}: {name}: {first['msg'].removeprefix('Value error, ')}"
        return Diagnostic(Code.ARGUMENT, message, span, found=show_value(value))
    return Diagnostic(
        Code.ARGUMENT,
        f"{op.op_name}: {name} cannot be {show_value(value)}",
        span,
        expected=describe(field.annotation, field.metadata),
        found=found_value(value),
        help=_whole_help(value),
    )


def _whole_help(value: Any) -> str | None:
    if value.__class__ is float and value == int(value):
        return f"write {int(value)}, or divide with // to stay with whole numbers"
    return None


def show_value(value: Any) -> str:
    """A value as the language writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        text = f"[{', '.join(map(show_value, value[:8]))}{', …' if len(value) > 8 else ''}]"
    elif isinstance(value, Table):
        text = "{" + ", ".join(f"{k}: {show_value(v)}" for k, v in list(value.items())[:8]) + "}"
    else:
        text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def found_value(value: Any) -> str:
    """A value with its type, for the `found` line."""
    named = type_name(value)
    return named if value is None else f"{named}, {show_value(value)}"


def unknown_argument(of: str, name: str, known: Iterable[str], span: Span) -> Diagnostic:
    """The diagnostic of an argument that an op or block does not have."""
    names = list(known)
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"{of} has no argument {name!r}",
        span,
        expected=f"one of {', '.join(names)}" if names else "no arguments",
        help=slip_of_colon(name) or did_you_mean(name, names),
    )


def slip_of_colon(key: str) -> str | None:
    """`{stride:2}` reads as the key `stride:2`: what to write instead."""
    word, colon, rest = key.partition(":")
    if colon and word.isidentifier() and rest:
        return f"write a space after the colon: {word}: {rest}"
    return None


def describe_value(value: Value) -> str:
    """What stands in the text, for the `found` line."""
    return kind(value)
