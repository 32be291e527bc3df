"""Types of values as torch's dtypes, and values drawn of them."""

from __future__ import annotations

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
    """Random values on the generator's device, the CPU by default.

    Floats are normal, and truth values either. Integers are at least 0 and less than the type's
    bound, and 0 or 1 where it has none.
    """
    if kind.is_float:
        return torch.randn(*shape, generator=generator)
    most = 2 if kind.below is None else kind.below
    return torch.randint(most, tuple(shape), generator=generator).to(dtype_of(kind))
