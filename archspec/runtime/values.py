"""Types of values as torch's dtypes, and values drawn of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from archspec.ir.types import PRECISION, ValueType


def dtype_of(kind: ValueType, precision: str = PRECISION) -> torch.dtype:
    """The dtype of such values in a module of a precision."""
    dtype: torch.dtype = getattr(torch, precision if kind.is_float else kind.name)
    return dtype


def name_of(dtype: torch.dtype, precision: str = PRECISION) -> str:
    """The name of a dtype in the language, or torch's name of one that the language has not.

    `float` is the precision alone.
    """
    name = str(dtype).removeprefix("torch.")
    return "float" if name == precision else name


def type_of(dtype: torch.dtype, precision: str = PRECISION) -> ValueType:
    """The type of values of a dtype."""
    return ValueType(name_of(dtype, precision))


def drawn(
    kind: ValueType,
    shape: Sequence[int],
    generator: torch.Generator | None = None,
    precision: str = PRECISION,
) -> Tensor:
    """Random values on the CPU; floats are drawn in float32 and brought to the precision.

    Floats are normal, and truth values either. Integers are at least 0 and less than the type's
    bound, and 0 or 1 where it has none. If there is room for each of these values, each occurs;
    else the greatest does, and 0 where there is room for two.
    """
    if kind.is_float:
        values = torch.randn(tuple(shape), generator=generator, dtype=torch.float32)
        return values.to(dtype_of(kind, precision))
    count, below = math.prod(shape), 2 if kind.below is None else kind.below
    certain = torch.arange(below).flip(0) if below <= count else torch.tensor([below - 1, 0])
    others = torch.randint(below, (max(0, count - len(certain)),), generator=generator)
    values = torch.cat((certain[:count], others))[torch.randperm(count, generator=generator)]
    return values.reshape(tuple(shape)).to(dtype_of(kind))
