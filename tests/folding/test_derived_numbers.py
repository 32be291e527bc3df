"""Columns as expressions over others."""

from __future__ import annotations

import pytest

from archspec.folding.arithmetic import derived
from archspec.folding.columns import ABSENT, Column
from archspec.folding.terms import Binary, Constant, Name

A, B = Name("a"), Name("b")


@pytest.mark.parametrize(
    ("column", "a", "b", "term"),
    [
        ((16, 32, 64), (4, 8, 16), (9, 9, 9), Binary("*", Constant(4), A)),
        ((4, 8, 16), (16, 32, 64), (9, 9, 9), Binary("//", A, Constant(4))),
        ((0, 1, 3), (1, 3, 7), (9, 9, 9), Binary("//", A, Constant(2))),
        ((5, 9, 18), (1, 3, 8), (4, 6, 10), Binary("+", A, B)),
        ((5, 9, 19), (1, 3, 8), (4, 6, 10), None),
        ((16, ABSENT, 64), (4, 1, 16), (9, 9, 9), Binary("*", Constant(4), A)),
        ((16, 32, 64), (4, ABSENT, 16), (9, 9, 9), None),
    ],
)
def test_multiples_parts_and_sums(column, a, b, term):
    assert derived(Column(column), [(A, Column(a)), (B, Column(b))]) == term


def test_two_numbers_prove_no_sum():
    assert derived(Column((5, 9)), [(A, Column((1, 3))), (B, Column((4, 6)))]) is None
