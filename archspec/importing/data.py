"""Terms as data of a spec: numbers, texts and expressions in the places where they may stand."""

from __future__ import annotations

from typing import Any, Literal, get_origin

from archspec.folding.template import Parameter, Template
from archspec.folding.terms import Constant, Name, Sequence, Term
from archspec.folding.tree import Formula, Leaf, Value
from archspec.importing.expressions import expression, literal
from archspec.importing.layout import Plain
from archspec.ir.op import REGISTRY


def argument(term: Term, textual: bool) -> Any:
    """A term where a spec expects a value: one of numbers, or a text where that is `textual`."""
    if isinstance(term, Constant):
        return constant(term.value, textual)
    if textual:
        return inserted(term)
    if isinstance(term, Sequence):
        return [argument(each, textual) for each in term.items]
    return Plain(expression(term))


def inserted(term: Term) -> Plain:
    """A term where text is itself: `$name` or `$(expression)`."""
    text = expression(term)
    return Plain(f"${text}" if isinstance(term, Name) else f"$({text})")


def constant(value: Value, textual: bool) -> Any:
    """A value as it is, and a text as an expression where that is what is expected."""
    if isinstance(value, Formula):
        return Plain(value)
    if isinstance(value, Leaf):
        values = {
            name: constant(each, is_textual(value.kind, name))
            for name, each in value.values.items()
        }
        return {Plain(value.kind): values} if values else Plain(value.kind)
    if isinstance(value, tuple):
        return [constant(each, textual) for each in value]
    if isinstance(value, str) and not textual:
        return Plain(literal(value))
    return value


def is_textual(op: str, name: str) -> bool:
    """Whether an argument of an op takes text, so that a plain word is no expression."""
    field = REGISTRY[op].fields().get(name)
    if field is None:
        return False
    return any(leaf is str or get_origin(leaf) is Literal for leaf in field.leaves)


def takes_numbers(op: str, name: str) -> bool:
    """Whether an argument takes numbers too, so that an expression needs no `$`."""
    field = REGISTRY[op].fields().get(name)
    return field is None or any(leaf in (int, float, bool) for leaf in field.leaves)


def written_default(term: Term) -> Any:
    """The default of a parameter. Expressions are inserted: a text there is itself."""
    if isinstance(term, Constant):
        return constant(term.value, True)
    return inserted(term)


def type_word(parameter: Parameter) -> str:
    """The word for the type of a parameter without a default."""
    return parameter.kind


def declared(template: Template) -> dict[str, object]:
    """The parameters with their defaults, or the words for their types where these are missing."""
    return {
        each.name: Plain(type_word(each)) if each.default is None else written_default(each.default)
        for each in template.parameters
    }
