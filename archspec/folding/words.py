"""About how many words a template takes: what reads best is mostly what is shortest."""

from __future__ import annotations

from typing import Any

from archspec.folding.rows import CallItem, GroupItem, Item, LeafItem, Ready, Row, RunItem
from archspec.folding.template import Entry, Loop, Part, Template
from archspec.folding.terms import Constant, Name
from archspec.folding.tree import Edge


def words_of(ready: Ready) -> int:
    """The words of a template and of the calls of all its instances."""
    template = ready.template
    own = sum(2 + _words(each.default) for each in template.parameters)
    for name, column in ready.values.items():
        other = ready.defaults[name]
        passed = [i for i in column.present if column.keys[i] != other.keys[i]]
        own += sum(1 + _words(Constant(column.values[i])) for i in passed)
    return own + _words(template.parts)


def words_in(parts: tuple[Part, ...]) -> int:
    """The words of parts."""
    return _words(parts)


def _words(value: Any) -> int:
    if value is None or isinstance(value, Template | Edge):
        return 0
    if isinstance(value, Constant):
        return sum(map(_words_of_value, value.value)) if type(value.value) is tuple else 1
    if isinstance(value, Name):
        return 1
    if isinstance(value, dict):
        return sum(1 + _words(each) for each in value.values())
    own = isinstance(value, Entry | Loop)
    return own + sum(map(_words, value)) if isinstance(value, tuple) else 0


def _words_of_value(value: Any) -> int:
    return sum(map(_words_of_value, value)) if isinstance(value, tuple) else 1


def weight(row: Row) -> int:
    """About how many words the nodes of a row take."""
    return sum(map(_weight, row.items))


def _weight(item: Item) -> int:
    own = 1 + (item.name is not None)
    match item.content:
        case LeafItem(_, values, _):
            return own + len(values) * 2
        case CallItem(ready, instance):
            given = [n for n, c in ready.values.items() if not _is_default(ready, n, instance)]
            return own + 2 * len(given)
        case GroupItem(row):
            return own + weight(row)
        case RunItem(iterations):
            return own + 3 + weight(iterations[0])


def _is_default(ready: Ready, name: str, instance: int) -> bool:
    return ready.values[name].keys[instance] == ready.defaults[name].keys[instance]
