"""Types of values: the network's working precision, whole numbers and truth values."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics.diagnostic import bare
from archspec.ir.shape import Shape, show
from archspec.record import Record


class ValueType(Record):
    """The type of a value's elements.

    `name` is `float` (the network's working precision), `int64`, `int32` or `bool`. Whole numbers
    that have a bound are at least 0 and less than `below`.
    """

    name: str
    below: int | None = None

    @property
    def is_float(self) -> bool:
        return self.name == "float"

    @property
    def itemsize(self) -> int:
        """Bytes of an element; those of float are for float32."""
        return _ITEMSIZES[self.name]


_ITEMSIZES = {"bool": 1, "int32": 4, "int64": 8, "float": 4}
"""Bytes of an element, by type: a later one takes the values of those before it."""

NAMES = tuple(_ITEMSIZES)
FLOAT, INT64, INT32, BOOL = map(ValueType, ("float", "int64", "int32", "bool"))

_ELSEWHERE = {
    "float": "bf16 bfloat16 double f16 f32 f64 float16 float32 float64 floattensor fp16 fp32 fp64 "
    "half real single",
    "int64": "index indices int integer long longtensor number uint32 uint64",
    "int32": "byte int16 int8 inttensor short uint16 uint8",
    "bool": "bitmask boolean booltensor mask",
}
"""Words of other libraries for each type, in small letters without `_` and `-`."""


def named_elsewhere(word: str) -> str | None:
    """The type that other libraries call so, which is one that holds all of its values."""
    word = bare(word.rpartition(".")[2])
    return next((n for n, words in _ELSEWHERE.items() if word == n or word in words.split()), None)


FLOATS = frozenset({"float"})
INTEGERS = frozenset({"int64", "int32"})
EVERY = frozenset(NAMES)
"""What an op may take."""


def promoted(types: Sequence[ValueType]) -> ValueType:
    """The type of a sum or product of such values, as torch promotes them."""
    return ValueType(max((each.name for each in types), key=NAMES.index))


def joined(types: Sequence[ValueType]) -> ValueType:
    """The type of such values side by side, whose bound is the greatest of theirs."""
    bounds = [each.below for each in types]
    known = [bound for bound in bounds if bound is not None]
    return promoted(types)._replace(below=max(known) if len(known) == len(bounds) else None)


def typed(shape: Shape, kind: ValueType) -> str:
    """A shape for people, with the type where that is not float: `(N, 16) int64`."""
    return show(shape) if kind.is_float else f"{show(shape)} {kind.name}"
