"""An op from its arguments: pydantic's verdict in the words of the language, each at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from archspec.errors import Code, Diagnostic, Refusal, Span, mended
from archspec.ir.op import MAX_SIZE, Op
from archspec.language.arguments import (
    LocatedError,
    describe,
    found_value,
    leaves,
    show_value,
    truths,
    unknown_argument,
)


def make_op(op: type[Op], values: dict[str, Any], spans: dict[str, Span], at: Span) -> Op:
    """Validate an op's arguments. Raises `LocatedError` with all that are wrong."""
    try:
        return op(**values)
    except ValidationError as error:
        first: dict[str, Mapping[str, Any]] = {}
        for each in error.errors(include_url=False, include_context=False):
            name = str(each["loc"][0]) if each["loc"] else ""
            first.setdefault(name, each)
        raise LocatedError(*_diagnostics(op, first, values, spans, at)) from None
    except Refusal as refusal:
        raise LocatedError(Diagnostic.of(refusal, at)) from None


def _diagnostics(
    op: type[Op],
    errors: Mapping[str, Mapping[str, Any]],
    values: dict[str, Any],
    spans: dict[str, Span],
    at: Span,
) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    missing = [name for name, e in errors.items() if e["type"] == "missing" and name not in values]
    if missing:
        found.append(_missing(op, missing, values, at))
    for name, error in errors.items():
        if not name:
            message = str(error["msg"]).removeprefix("Value error, ")
            found.append(Diagnostic(Code.ARGUMENT, f"{op.op_name}: {message}", at))
        elif name not in missing:
            found.append(_wrong(op, name, error, values, spans.get(name, at)))
    return found


def _missing(op: type[Op], names: list[str], values: dict[str, Any], at: Span) -> Diagnostic:
    called = " and ".join(map(repr, names))
    expected = [
        f"{name}: {describe(field.annotation, field.metadata)}"
        for name in names
        if (field := op.model_fields.get(name)) is not None
    ]
    written = {**{name: show_value(value) for name, value in values.items()}}
    written |= dict.fromkeys(names, "…")
    form = "{" + ", ".join(f"{name}: {value}" for name, value in written.items()) + "}"
    if list(written) == [op.primary]:
        form = "…"
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"{op.op_name} needs the argument{'s' if len(names) > 1 else ''} {called}",
        at,
        expected="; ".join(expected),
        help=f"write `{op.op_name}: {form}`",
    )


def _wrong(
    op: type[Op], name: str, error: Mapping[str, Any], values: dict[str, Any], span: Span
) -> Diagnostic:
    field = op.model_fields.get(name)
    if field is None:
        return unknown_argument(op.op_name, name, op.model_fields, span)
    value = values[name]
    if error["type"] == "value_error":
        message = f"{op.op_name}: {name}: {str(error['msg']).removeprefix('Value error, ')}"
        return Diagnostic(Code.ARGUMENT, message, span, found=show_value(value))
    expected = describe(field.annotation, field.metadata)
    if value.__class__ is int and value > MAX_SIZE:
        expected += f", {MAX_SIZE} at most"
    return Diagnostic(
        Code.ARGUMENT,
        f"{op.op_name}: {name} cannot be {show_value(value)}",
        span,
        expected=expected,
        found=found_value(value),
        **_remedy(op, name, field.annotation, value, span),
    )


def _remedy(op: type[Op], name: str, annotation: Any, value: Any, span: Span) -> dict[str, Any]:
    if value.__class__ is int and value in (0, 1) and name in truths(op):
        return {"help": f"write {'true' if value else 'false'}"}
    if value.__class__ is float:
        if value == int(value):
            help_ = f"write {int(value)}, or divide with // to stay with whole numbers"
        else:
            help_ = "`//` divides whole numbers and rounds down; `int`, `round` and `ceil` round"
        return {"help": help_}
    if isinstance(value, str):
        words = [
            word
            for leaf in leaves(annotation)
            if get_origin(leaf) is Literal
            for word in get_args(leaf)
            if isinstance(word, str)
        ]
        return mended(value, words, span)
    return {}
