"""The precision that a caller asks for, by torch's name or as a torch dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from archspec.diagnostics.suggestions import did_you_mean
from archspec.ir.types import PRECISIONS

if TYPE_CHECKING:
    import torch

DType: TypeAlias = "torch.dtype | str"
"""`torch.bfloat16`, or its name."""

EXPECTED = f"{', '.join([*PRECISIONS][:-1])} or {[*PRECISIONS][-1]}"

_ELSEWHERE = {
    "bfloat16": "bf16 bfloat brainfloat brainfloat16",
    "float16": "half fp16 f16 halftensor",
    "float32": "float single fp32 f32 floattensor full real tf32",
    "float64": "double fp64 f64 doubletensor",
}
"""Other words for the precisions."""


def precision_of(dtype: DType) -> str:
    """The name of a precision: `bfloat16` for that word and for `torch.bfloat16`.

    Raises ValueError for any other word or dtype, with the one that is meant.
    """
    name = str(dtype).removeprefix("torch.")
    if name in PRECISIONS:
        return name
    raise ValueError(f"{str(dtype)!r} is no precision of a network{_help(name)}")


def _help(name: str) -> str:
    """The precision to write instead."""
    word = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    for known, others in _ELSEWHERE.items():
        if word == known or word in others.split():
            return f": write {known}"
    if "int" in word or "float8" in word or word in ("bool", "fp8", "fp4", "nf4", "fp6"):
        return f": choose {EXPECTED}; archspec quantises nothing"
    near = did_you_mean(name, [*PRECISIONS])
    return f": choose {EXPECTED}" + (f" ({near})" if near else "")
