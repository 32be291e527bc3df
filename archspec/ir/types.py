"""Types of values: the network's working precision, whole numbers and truth values."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics.diagnostic import bare
from archspec.ir.shape import Shape, show
from archspec.record import Record

PRECISION = "float32"
"""The precision of a network's floats, unless another is asked for."""

PRECISIONS = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
"""Bytes of a float in each precision that a network may have, by torch's names."""


class ValueType(Record):
    """The type of a value's elements.

    `name` is `float` (the network's working precision), `int64`, `int32` or `bool`. Bounded
    whole numbers are at least 0 and less than `below`. A type outside the language, such as that of
    a weight of another package's module, has torch's name.
    """

    name: str
    below: int | None = None

    @property
    def is_float(self) -> bool:
        return self.name == "float"

    def itemsize(self, precision: str = PRECISION) -> int:
        """Bytes of an element in a network of that precision."""
        if self.name == "float" or (self.name in PRECISIONS and precision != PRECISION):
            return PRECISIONS[precision]
        return max(4, PRECISIONS[precision]) if self.name == "wide" else ITEMSIZES[self.name]

    def in_network(self, precision: str) -> ValueType:
        """The type that a weight of this type has in a network of that precision.

        In another precision than float32, all floats of the network have that precision.
        """
        return FLOAT if precision != PRECISION and self.name in PRECISIONS else self


NAMES = ("bool", "int32", "int64", "float")
"""The types of the language. A later one can hold the values of those before it."""

ITEMSIZES = {
    **dict.fromkeys(("bool", "uint8", "int8"), 1),
    **dict.fromkeys(("int16", "uint16"), 2),
    **dict.fromkeys(("int32", "uint32", "complex32"), 4),
    **dict.fromkeys(("int64", "uint64", "complex64"), 8),
    "complex128": 16,
    **PRECISIONS,
}
"""Bytes of an element of every type that a module may keep, by torch's names."""

FLOAT, INT64, INT32, BOOL = map(ValueType, ("float", "int64", "int32", "bool"))
WIDE = ValueType("wide")
"""Floats in which torch's kernels compute sums: float32 where the network's own are shorter.

No value of a network has this type, but some kernels keep such numbers for the backward pass.
"""

_ELSEWHERE = {
    "float": "bf16 bfloat16 double f16 f32 f64 float16 float32 float64 floattensor fp16 fp32 fp64 "
    "half real single",
    "int64": "index indices int integer long longtensor number uint32 uint64",
    "int32": "byte int16 int8 inttensor short uint16 uint8",
    "bool": "bitmask boolean booltensor mask",
}
"""Words of other libraries for each type, in lower case without `_` and `-`."""


def named_elsewhere(word: str) -> str | None:
    """The type for a word of another library: it holds all values of the type meant there."""
    word = bare(word.rpartition(".")[2])
    return next((n for n, words in _ELSEWHERE.items() if word == n or word in words.split()), None)


FLOATS = frozenset({"float"})
INTEGERS = frozenset({"int64", "int32"})
NUMBERS = FLOATS | INTEGERS
EVERY = frozenset(NAMES)
"""What an op may take."""


def promoted(types: Sequence[ValueType]) -> ValueType:
    """The type of a sum or product of such values, as torch promotes them."""
    return ValueType(max((each.name for each in types), key=NAMES.index))


def joined(types: Sequence[ValueType]) -> ValueType:
    """The type of such values side by side. Its bound is the greatest of theirs."""
    bounds = [each.below for each in types]
    known = [bound for bound in bounds if bound is not None]
    return promoted(types)._replace(below=max(known) if len(known) == len(bounds) else None)


def typed(shape: Shape, kind: ValueType) -> str:
    """A shape for people, with the type where that is not float: `(N, 16) int64`."""
    return show(shape) if kind.is_float else f"{show(shape)} {kind.name}"
