"""Terms of a folded network as expressions of a spec."""

from __future__ import annotations

from archspec.expand.write import scalar
from archspec.folding.terms import (
    Binary,
    Conditional,
    Constant,
    Field,
    Item,
    Name,
    Sequence,
    Term,
    Text,
)
from archspec.folding.tree import Formula, Leaf, Value
from archspec.importing.layout import number

_LEVEL = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("in", "<", "<=", ">", ">=", "==", "!="), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/", "//", "%"), 6),
    "**": 8,
}
_CHOICE, _ATOM = 0, 9


def expression(term: Term) -> str:
    """The source of a term."""
    return _said(term)[0]


def _said(term: Term) -> tuple[str, int]:
    """Its source, and how strongly it binds."""
    match term:
        case Constant(value):
            text = literal(value)
            return text, (7 if text.startswith("-") else _ATOM)
        case Name(name):
            return name, _ATOM
        case Binary(operator, left, right):
            level = _LEVEL[operator]
            first = _within(left, level + (level == 4))
            return f"{first} {operator} {_within(right, level + 1)}", level
        case Conditional(condition, then, otherwise):
            test = _within(condition, 1)
            return f"{_within(then, 1)} if {test} else {_within(otherwise, 0)}", _CHOICE
        case Item(of, position):
            return f"{_within(of, _ATOM)}[{expression(position)}]", _ATOM
        case Field(of, name):
            return f"{_within(of, _ATOM)}.{name}", _ATOM
        case Sequence(items):
            return f"[{', '.join(map(expression, items))}]", _ATOM
        case Text():
            raise TypeError("a text with terms in it is a name, and no expression")
    raise TypeError(term)


def _within(term: Term, level: int) -> str:
    text, own = _said(term)
    return text if own >= level else f"({text})"


def literal(value: Value) -> str:
    """A value in an expression."""
    if isinstance(value, Formula):
        return str(value)
    if value is None or isinstance(value, bool):
        return scalar(value)
    if isinstance(value, Leaf):
        raise TypeError("a layer is no value of an expression")
    if isinstance(value, tuple):
        return f"[{', '.join([literal(each) for each in value])}]"
    return number(value) if isinstance(value, float) else repr(value)


def name_text(term: Term) -> str:
    """A term as the name of a node: braces around what is computed."""
    if isinstance(term, Constant):
        return str(term.value)
    if isinstance(term, Text):
        return "".join(p if isinstance(p, str) else f"{{{expression(p)}}}" for p in term.parts)
    return f"{{{expression(term)}}}"
