"""Types of values as torch's dtypes, and values drawn of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from archspec.ir.types import NAMES, ValueType

_DTYPES = {name: torch.float32 if name == "float" else getattr(torch, name) for name in NAMES}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def dtype_of(kind: ValueType) -> torch.dtype:
    """The dtype of such values in a module of float32."""
    return _DTYPES[kind.name]


def name_of(dtype: torch.dtype) -> str:
    """The name of a dtype in the language, or torch's name of one that the language has not."""
    return _NAMES.get(dtype, str(dtype).removeprefix("torch."))


def type_of(dtype: torch.dtype) -> ValueType:
    """The type of values of a dtype that the language has."""
    return ValueType(_NAMES[dtype])


def drawn(
    kind: ValueType, shape: Sequence[int], generator: torch.Generator | None = None
) -> Tensor:
    """Random values on the CPU.

    Floats are normal, and truth values either. Integers are at least 0 and less than the type's
    bound, and 0 or 1 where it has none. If there is room for each of these values, each occurs;
    else the greatest does, and 0 where there is room for two.
    """
    if kind.is_float:
        return torch.randn(tuple(shape), generator=generator)
    count, below = math.prod(shape), 2 if kind.below is None else kind.below
    certain = torch.arange(below).flip(0) if below <= count else torch.tensor([below - 1, 0])
    others = torch.randint(below, (max(0, count - len(certain)),), generator=generator)
    values = torch.cat((certain[:count], others))[torch.randperm(count, generator=generator)]
    return values.reshape(tuple(shape)).to(dtype_of(kind))
