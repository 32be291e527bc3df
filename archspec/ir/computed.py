"""Numbers that generated code computes when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Computed(int):
    """A number, with the Python source that computes it in generated code."""

    source: str

    def __new__(cls, value: int, source: str) -> Computed:
        made = super().__new__(cls, value)
        made.source = source
        return made

    def __repr__(self) -> str:
        return self.source

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self.source, spec)


def is_computed(value: object) -> bool:
    """Whether generated code computes this number."""
    return value.__class__ is Computed


def parts(value: Any) -> Iterator[Any]:
    """The single values within an argument: the items of its tuples and mappings, in order."""
    if value.__class__ is tuple:
        for item in value:
            yield from parts(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from parts(item)
    else:
        yield value
