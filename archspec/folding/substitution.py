"""Terms in the place of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from archspec.folding.template import Loop, Template
from archspec.folding.terms import Name, Term

T = TypeVar("T")


def substituted(value: T, terms: Mapping[str, Term]) -> T:
    """Parts or terms with other terms in the place of some names. Templates stay as they are."""
    return _substituted(value, terms)  # type: ignore[no-any-return]


def _substituted(value: Any, terms: Mapping[str, Term]) -> Any:
    if isinstance(value, Name):
        return terms.get(value.name, value)
    if isinstance(value, Template):
        return value
    if isinstance(value, Loop):
        made = Loop(*[_substituted(each, terms) for each in value])
        counter = terms.get(value.counter)
        return made._replace(counter=counter.name) if isinstance(counter, Name) else made
    if isinstance(value, dict):
        return {key: _substituted(each, terms) for key, each in value.items()}
    if isinstance(value, tuple):
        items = [_substituted(each, terms) for each in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value
