"""Expressions of a folded list, in the part of the language of expressions that Python shares."""

from __future__ import annotations

from archspec.folding.tree import Value
from archspec.record import Record


class Constant(Record):
    """A value as it is."""

    value: Value


class Name(Record):
    """A parameter, a given value, a counter, or what a loop walks."""

    name: str


class Binary(Record):
    """`left operator right`: `+ - * // % == != < > and or`."""

    operator: str
    left: Term
    right: Term


class Conditional(Record):
    """`then if condition else otherwise`."""

    condition: Term
    then: Term
    otherwise: Term


class Item(Record):
    """`of[position]`."""

    of: Term
    position: Term


class Field(Record):
    """`of.name`: an entry of a mapping."""

    of: Term
    name: str


class Sequence(Record):
    """A list of terms."""

    items: tuple[Term, ...]


class Text(Record):
    """A text with terms in it, such as the name `layer{index + 1}`."""

    parts: tuple[str | Term, ...]


Term = Constant | Name | Binary | Conditional | Item | Field | Sequence | Text
