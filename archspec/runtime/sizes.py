"""What generated code says when it is called with a size that it was not made for."""

from __future__ import annotations

from collections.abc import Sequence


def not_legal(
    name: str,
    size: int,
    head: Sequence[tuple[int, int]],
    settled: int,
    period: int,
    residues: Sequence[int],
    asked: str,
) -> str:
    """The message about a size, with its nearest legal neighbours.

    Legal are the sizes of the ranges `head` (ends included), and from `settled` on those that
    leave one of `residues` when divided by `period`. `asked` says what the contract asks.
    """

    def is_legal(each: int) -> bool:
        if any(first <= each <= last for first, last in head):
            return True
        return each >= settled and each % period in residues

    last = head[-1][1] if head else 0
    above = range(size + 1, max(size, settled, last) + period + 1)
    found = [
        next((each for each in range(size - 1, 0, -1) if is_legal(each)), None),
        next((each for each in above if is_legal(each)), None),
    ]
    near = " and ".join(str(each) for each in found if each is not None)
    verb = "are" if None not in found else "is"
    return f"{name} = {size} is not legal: {asked}" + (f"; {near} {verb}" if near else "")
