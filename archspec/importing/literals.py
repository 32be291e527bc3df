"""Numbers as the arguments of a `constant`: by a rule where one gives them, else one by one."""

from __future__ import annotations

from ctypes import c_float
from typing import Any

import torch

from archspec.importing.trace import cannot

MOST = 20_000
"""The most numbers that a spec lists one by one."""

TYPES = {
    torch.float32: "float",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.bool: "bool",
}


def type_of(dtype: torch.dtype) -> str:
    """The language's word for a type of torch. Refuses one that it has not."""
    if dtype not in TYPES:
        raise cannot(f"the language has no values of torch's type {dtype}")
    return TYPES[dtype]


def type_of_name(name: str) -> str:
    """The same by the name of the type, such as float32."""
    return type_of(getattr(torch, name))


def constant_of(real: torch.Tensor, *, listed: bool = True) -> dict[str, Any]:
    """The arguments of the `constant` that has these numbers.

    Not `listed`: what no rule gives has an empty `value`.
    """
    dtype = type_of(real.dtype)
    if (made := by_rule(real)) is not None:
        return made
    if not listed:
        return {"value": []}
    if real.dim() > 4 or real.numel() > MOST:
        raise cannot(
            f"a constant of the shape {list(real.shape)} is too large to be written out",
            help="compute it by functions of torch that a spec has too, such as arange and sin",
        )
    if not bool(torch.isfinite(real.double()).all()):
        raise cannot("a constant here holds an infinity or nan, which a spec does not write")
    values = _shortest(real)
    own = {"float": "float", "bool": "bool"}.get(dtype, "int64")
    return {"value": values} if own == dtype else {"value": values, "dtype": dtype}


def initial(given: torch.Tensor | None) -> dict[str, Any]:
    """How a `parameter` begins: with the number that all elements have, or else at random."""
    if given is None or given.device.type == "meta" or not given.numel():
        return {}
    first = given.flatten()[0]
    if bool((given == first).all()) and bool(torch.isfinite(first)):
        words = {0.0: "zeros", 1.0: "ones"}
        number = shortest(first.item())
        return {"init": words.get(number, number)}
    return {"init": "normal", "std": 0.02}


def by_rule(real: torch.Tensor) -> dict[str, Any] | None:
    """The arguments of the `constant` that makes these numbers without listing them."""
    dtype = type_of(real.dtype)
    for rule in (_full, _arange, _tril, _eye):
        found = rule(real)
        if found is not None:
            return found if dtype == _own_type(found) else {**found, "dtype": dtype}
    return None


def _own_type(found: dict[str, Any]) -> str:
    """The type of a constant that states none."""
    if "eye" in found or "tril" in found:
        return "float"
    value = found.get("value", found.get("arange"))
    parts = value if isinstance(value, list) else [value]
    if all(isinstance(part, bool) for part in parts):
        return "bool"
    return "int64" if all(isinstance(part, int) for part in parts) else "float"


def _shortest(real: torch.Tensor) -> Any:
    """Numbers as lists; floats with no more digits than their float32 needs."""
    if real.dim():
        return [_shortest(each) for each in real]
    return shortest(real.item()) if real.dtype == torch.float32 else real.item()


def shortest(number: float) -> float:
    """The shortest decimal that is the same float32."""
    wanted = c_float(number).value
    for digits in range(1, 9):
        rounded = float(f"{number:.{digits}g}")
        if c_float(rounded).value == wanted:
            return rounded
    return float(f"{number:.9g}")  # nine digits tell any two apart


def _full(real: torch.Tensor) -> dict[str, Any] | None:
    if not real.dim() or real.numel() < 4 or not bool((real == real.flatten()[0]).all()):
        return None
    value = real.flatten()[0].item()
    if real.dtype.is_floating_point:
        if not abs(value) < float("inf"):
            return None
        value = shortest(value)
    return {"full": list(real.shape), "value": value}


def _arange(real: torch.Tensor) -> dict[str, Any] | None:
    if real.dim() != 1 or real.numel() < 4 or real.dtype == torch.bool:
        return None
    start, step = real[0].item(), (real[1] - real[0]).item()
    if real.dtype.is_floating_point and (start != int(start) or step != int(step)):
        return None
    start, step = int(start), int(step)
    if step < 1:
        return None
    end = start + step * real.numel()
    if not torch.equal(torch.arange(start, end, step, dtype=real.dtype), real):
        return None
    if (start, step) == (0, 1):
        return {"arange": end}
    return {"arange": [start, end, step] if step != 1 else [start, end]}


def _tril(real: torch.Tensor) -> dict[str, Any] | None:
    if real.dim() != 2 or real.numel() < 4:
        return None
    rows, columns = real.shape
    diagonal = int((real[0] != 0).sum()) - 1
    if not torch.equal(torch.ones(rows, columns).tril(diagonal).to(real.dtype), real):
        return None
    found: dict[str, Any] = {"tril": rows if rows == columns else [rows, columns]}
    return {**found, "diagonal": diagonal} if diagonal else found


def _eye(real: torch.Tensor) -> dict[str, Any] | None:
    if real.dim() != 2 or real.numel() < 4:
        return None
    rows, columns = real.shape
    if not torch.equal(torch.eye(rows, columns).to(real.dtype), real):
        return None
    return {"eye": rows if rows == columns else [rows, columns]}
