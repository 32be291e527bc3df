"""An op from its arguments, and what is wrong with them in the words of the language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from archspec.diagnostics.diagnostic import Code, Diagnostic, Help, Refusal, Span
from archspec.diagnostics.suggestions import suggestion
from archspec.document import wording
from archspec.expressions.arguments import (
    Argument,
    LocatedError,
    describe,
    found_value,
    show_value,
    truths,
)
from archspec.expressions.evaluate import Budget, key_of, unquoted
from archspec.ir.fields import ArgumentsError, Problem, leaves
from archspec.ir.op import MAX_SIZE, Op, Probability


class Ops:
    """The ops of one reading or expansion, each validated once for equal arguments."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._made: dict[Any, Op] = {}

    def make(
        self, op: type[Op], values: dict[str, Any], written: Mapping[str, Argument], at: Span
    ) -> Op:
        """The op with these values; `written` are the arguments that they were computed from.

        Raises `LocatedError` with all that are wrong, and `Refusal` for too much work.
        """
        key = (op, tuple([(name, key_of(value, self.budget)) for name, value in values.items()]))
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _validated(op, values, written, at)
        return made


def _validated(
    op: type[Op], values: dict[str, Any], written: Mapping[str, Argument], at: Span
) -> Op:
    try:
        return op(**values)
    except ArgumentsError as error:
        spans = {name: argument.span for name, argument in written.items()}
        raise LocatedError(*_diagnostics(op, error.problems, values, spans, at)) from None
    except Refusal as refusal:
        raise LocatedError(Diagnostic.of(refusal, at)) from None


def _diagnostics(
    op: type[Op],
    problems: Sequence[Problem],
    values: dict[str, Any],
    spans: dict[str, Span],
    at: Span,
) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    missing = [problem.argument for problem in problems if problem.kind == "missing"]
    if missing:
        found.append(_missing(op, missing, values, at))
    for kind, name, message in problems:
        span = spans.get(name, at)
        if kind == "rule":
            found.append(_broken(op, name, message, values, span))
        elif kind == "unknown":
            found.append(wording.unknown_argument(op.op_name, name, op.fields(), span))
        elif kind == "wrong":
            found.append(_wrong(op, name, values[name], span))
    return found


def _missing(op: type[Op], names: list[str], values: dict[str, Any], at: Span) -> Diagnostic:
    called = " and ".join(map(repr, names))
    expected = [
        f"{name}: {describe(field.annotation)}"
        for name in names
        if (field := op.fields().get(name)) is not None
    ]
    written = {**{name: show_value(value) for name, value in values.items()}}
    written |= dict.fromkeys(names, "…")
    form = "{" + ", ".join(f"{name}: {value}" for name, value in written.items()) + "}"
    such_as = ""
    if op.primary is not None and list(written) == [op.primary]:
        form = "…"
        shown = [example.args[op.primary] for example in op.examples if op.primary in example.args]
        such_as = f", such as `{op.op_name}: {show_value(shown[0])}`" if shown else ""
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"{op.op_name} needs the argument{'s' if len(names) > 1 else ''} {called}",
        at,
        expected="; ".join(expected),
        help=f"write `{op.op_name}: {form}`{such_as}",
    )


def _broken(
    op: type[Op], name: str, message: str, values: dict[str, Any], span: Span
) -> Diagnostic:
    where = f"{op.op_name}: {name}" if name else op.op_name
    found = show_value(values[name]) if name else None
    return Diagnostic(Code.ARGUMENT, f"{where}: {message}", span, found=found)


def _wrong(op: type[Op], name: str, value: Any, span: Span) -> Diagnostic:
    annotation = op.fields()[name].annotation
    expected = describe(annotation)
    if value.__class__ is int and value > MAX_SIZE:
        expected += f", {MAX_SIZE} at most"
    return Diagnostic.at(
        Code.ARGUMENT,
        f"{op.op_name}: {name} cannot be {show_value(value)}",
        span,
        expected=expected,
        found=found_value(value),
        help=_remedy(op, name, annotation, value, span),
    )


def _remedy(op: type[Op], name: str, annotation: Any, value: Any, span: Span) -> Help | None:
    if isinstance(value, tuple) and name == op.primary and (form := _by_position(op, value)):
        return Help(f"write `{op.op_name}: {form}`")
    if value.__class__ is int and 10 <= value <= 100 and describe(annotation) == PROBABILITY:
        return Help(f"write {value / 100:g}")
    if value.__class__ is int and value in (0, 1) and name in truths(op):
        return Help(f"write {'true' if value else 'false'}")
    if value.__class__ is float and float not in leaves(annotation):
        if value == int(value):
            help_ = f"write {int(value)}, or divide with // to stay with whole numbers"
        else:
            help_ = "`//` divides whole numbers and rounds down; `int`, `round` and `ceil` round"
        return Help(help_)
    if isinstance(value, str):
        if unquoted_ := _without_quotes(value, span):
            return Help(unquoted_)
        words = [
            word
            for leaf in leaves(annotation)
            if get_origin(leaf) is Literal
            for word in get_args(leaf)
            if isinstance(word, str)
        ]
        return suggestion(value, words, span)
    return None


PROBABILITY = describe(Probability)


def _by_position(op: type[Op], values: tuple[Any, ...]) -> str | None:
    """A list of values as the arguments that they would be in order, if they fit them."""
    given = dict(zip(op.fields(), values, strict=False))
    try:
        op(**given)
    except (ArgumentsError, Refusal):
        return None
    written = ", ".join(f"{name}: {show_value(value)}" for name, value in given.items())
    return f"{{{written}}}" if len(given) == len(values) else None


def _without_quotes(value: str, span: Span) -> str | None:
    """The help for a text that holds a number, where a number is expected."""
    name = span.source.line(span.line)[span.column - 1 : span.end_column - 1].strip("$")
    if unquoted(value) and name.isidentifier():
        return f"{name} is the text '{value}': write `{name}: {value}`, without quotes"
    return unquoted(value)
