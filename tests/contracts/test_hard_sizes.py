"""Sizes whose questions are too hard to solve: an answer all the same, in bounded work."""

from __future__ import annotations

import time

import pytest

import archspec
from archspec.diagnostics.diagnostic import SpecError

LONG = " + ".join(f"in_features // {prime}" for prime in (61, 67, 71, 5))
"""Its period is the product of all four."""
BEYOND = "(in_features - 1) * 2**62 * 2**17 + (in_features - 1) * 2**62 * (2**17 - 1) - 2**62 < 5"
"""A coefficient just below what is kept, and a constant beyond it."""
STEEP = "((((in_features - 1)**8 // 2)**8 // 2)**8 // 2)**2 + in_features < 9"


def spec(when: str, size: int = 1) -> str:
    return f"input: [2, {size}]\nlayers:\n  - {{relu: , when: {when!r}}}\n  - sigmoid\n"


@pytest.mark.parametrize("when", [f"{LONG} > 90", BEYOND, STEEP], ids=["long", "beyond", "steep"])
def test_a_contract_is_given_and_accepts_its_own_size(when):
    started = time.process_time()
    contract = archspec.loads(spec(when), warn=False).contract(["F"])
    assert contract.accepts(F=1)
    assert str(contract).startswith("contract: ")
    str(archspec.loads(spec(when), warn=False).formulas(["F"]))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("when", [f"{LONG} > 90", BEYOND, STEEP], ids=["long", "beyond", "steep"])
def test_a_spec_that_fails_is_answered_soon(when):
    text = spec(when).replace("input: [2, 1]", "sizes: {F: 1}\ninput: [2, F]")
    started = time.process_time()
    with pytest.raises(SpecError, match="AS401"):
        archspec.loads(f"{text}  - {{name: l, linear: 3}}\n  - concat: [input, l]\n", warn=False)
    assert time.process_time() - started < 3


def test_formulas_of_a_long_period_are_written_out():
    text = "input: [2, 122, 122]\nlayers:\n"
    text += "  - {tanh: , when: in_width % 61 == 0}\n  - {avg_pool2d: 71}\n"
    arch = archspec.loads(text, warn=False)
    assert arch.contract("S,S").text == "S ≥ 122, a multiple of 61"
    said = "\n".join(arch.formulas("S,S").lines())
    assert "(N, 2, ⌊S/71⌋, ⌊S/71⌋)" in said


TURNED = """
sizes: {H: 5, W: 20}
input: [2, H, W]
layers:
  - {name: a, avg_pool2d: {kernel_size: 10, stride: 1}}
  - {name: b, permute: [0, 1, 3, 2]}
  - concat: [a, b]
"""


def test_no_size_is_named_that_another_symbol_forbids():
    """H = 10 fits the window, and the concatenation needs H = W."""
    with pytest.raises(SpecError) as caught:
        archspec.loads(TURNED)
    assert "10 is" not in str(caught.value)
    near = TURNED.replace("W: 20", "W: 10")
    with pytest.raises(SpecError, match="H = 5 is not legal here: 10 is"):
        archspec.loads(near)


def test_equal_conditions_are_said_once():
    text = "input: [2, 6]\nlayers:\n  - {tanh: , when: in_features % 2 == 0}\n  - linear: 4\n"
    lines = str(archspec.loads(text, warn=False).contract()).splitlines()
    assert [line.strip() for line in lines if line.startswith("  F")] == [
        "F = 6  1 (linear, line 4)"
    ]
