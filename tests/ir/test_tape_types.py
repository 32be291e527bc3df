"""What autograd keeps of values of mixed types: random graphs, run with torch and on the tape."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.ir.op import REGISTRY
from archspec.ir.tape import Storage, Tape, Tensor, contiguous_strides, elementwise
from archspec.ir.types import BOOL, FLOAT, INT32, INT64
from archspec.runtime.measure import measure_saved_bytes

DTYPES = {"float": torch.float32, "int64": torch.int64, "int32": torch.int32, "bool": torch.bool}
KINDS = {"float": FLOAT, "int64": INT64, "int32": INT32, "bool": BOOL}


class Both:
    """One value twice: a real tensor, and what the tape holds of it."""

    def __init__(self, real: torch.Tensor, recorded: Tensor) -> None:
        self.real, self.recorded = real, recorded

    @classmethod
    def fresh(cls, shape: tuple[int, ...], kind: str, learns: bool) -> Both:
        real = torch.ones(shape, dtype=DTYPES[kind]).requires_grad_(learns)
        storage = Storage(real.untyped_storage().nbytes())
        return cls(real, Tensor(shape, contiguous_strides(shape), storage, learns, KINDS[kind]))

    def check(self) -> None:
        real, recorded = self.real, self.recorded
        assert (recorded.shape, recorded.strides) == (tuple(real.shape), real.stride())
        assert recorded.requires_grad == real.requires_grad
        assert DTYPES[recorded.type.name] == real.dtype
        assert recorded.storage.nbytes == real.untyped_storage().nbytes()


def grown(draw: st.DrawFn, tape: Tape, values: list[Both]) -> Both:
    """A new value of some that exist, all of which have three axes of equally many elements."""
    a, b = (draw(st.sampled_from(values)) for _ in range(2))
    shape = tuple(a.real.shape)
    if b.real.shape != a.real.shape:
        b = Both(
            b.real.reshape(shape), REGISTRY["reshape"](shape=shape[1:]).record(tape, b.recorded)
        )
        b.check()
    match draw(st.sampled_from(["add", "mul", "mul", "reshape", "permute", "concat"])):
        case "add":
            op, real, reads = REGISTRY["add"](), a.real + b.real, (a, b)
        case "mul":
            op, real, reads = REGISTRY["mul"](), a.real * b.real, (a, b)
        case "reshape":
            size = draw(st.sampled_from([(2, 12), (4, 6), (24, 1), (3, 8)]))
            op, real, reads = REGISTRY["reshape"](shape=size), a.real.reshape(2, *size), (a,)
        case "permute":
            op, real, reads = REGISTRY["permute"](dims=(0, 2, 1)), a.real.permute(0, 2, 1), (a,)
        case _:
            # Half of it, so that all values keep equally many elements.
            joined = torch.cat((a.real, b.real), 1)
            wide = REGISTRY["concat"]().record(tape, a.recorded, b.recorded)
            Both(joined, wide).check()
            real = joined[:, : shape[1]]
            return Both(real, wide.viewed(shape, wide.strides))
    return Both(real, op.record(tape, *(each.recorded for each in reads)))


@settings(max_examples=300)
@given(st.data())
def test_values_of_mixed_types_are_saved_as_torch_saves_them(data):
    tape = Tape()
    kinds = data.draw(st.lists(st.sampled_from(list(DTYPES)), min_size=2, max_size=4))
    learns = [kind == "float" and data.draw(st.booleans()) for kind in kinds]
    values = [Both.fresh((2, 4, 6), *each) for each in zip(kinds, learns, strict=True)]

    def run() -> None:
        for _ in range(data.draw(st.integers(1, 6))):
            made = grown(data.draw, tape, values)
            made.check()
            values.append(made)

    _, saved = measure_saved_bytes(run, [])
    assert tape.saved_bytes == saved


def test_a_product_keeps_the_integers_for_the_float_alone():
    tape = Tape()
    x = Both.fresh((2, 5), "float", True).recorded
    mask = Both.fresh((2, 5), "bool", False).recorded
    count = Both.fresh((2, 1), "int64", False).recorded
    y = REGISTRY["mul"]().record(tape, x, mask, count)
    assert y.type == FLOAT and y.requires_grad
    assert tape.saved_bytes == 2 * 5 * 1 + 2 * 1 * 8


def test_two_integers_give_the_wider_one_and_keep_nothing():
    tape = Tape()
    small, wide = (Both.fresh((3, 4), kind, False).recorded for kind in ("int32", "int64"))
    assert elementwise(tape, small, wide).type == INT64
    assert elementwise(tape, small, small).storage.nbytes == math.prod((3, 4)) * 4
    REGISTRY["mul"]().record(tape, small, wide)
    assert tape.saved_bytes == 0
