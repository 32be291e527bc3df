"""Sums of products that letters describe."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

from archspec.importing.axes import Axes, Axis
from archspec.importing.functions import handles
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value, cannot


@handles("einsum")
def einsum(lift: Lifter, equation: str, *operands: Any) -> Lifted:
    several: Sequence[Value] = operands
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        several = operands[0]
    if len(several) != 2:
        raise cannot(
            f"einsum of {len(several)} tensors is not known", help="multiply two at a time"
        )
    read = [lift(each) for each in several]
    *given, result = _spelled(equation, [len(x.axes) for x in read])
    axes: dict[str, Axis] = {}
    for word, x in zip(given, read, strict=True):
        for letter, axis in zip(word, x.axes, strict=True):
            if axis != (1,) or letter not in axes:
                axes[letter] = axis
    free = iter([each for each in ascii_letters if each not in "".join((*given, result))])
    batch = next(free)
    samples = any(x.batched for x in read)
    if samples and not any(None in axes[letter] for letter in result):
        raise cannot("einsum sums over the samples of a batch here")
    parts = {letter: _parts(letter, axis, free) for letter, axis in axes.items()}
    words = [
        _word(word, x.axes, parts, batch, x.batched) for word, x in zip(given, read, strict=True)
    ]
    made_axes: Axes = tuple(axes[letter] for letter in result)
    ours = _word(result, made_axes, parts, batch, samples)
    made: Lifted = lift.node("einsum", *read, axes=made_axes, equation=f"{','.join(words)}->{ours}")
    return made


def _spelled(equation: str, ranks: Sequence[int]) -> list[str]:
    """The letters of both tensors and of the result, with a letter for each axis of `...`."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    words = left.split(",")
    if not arrow or len(words) != len(ranks):
        raise cannot(f"the equation {equation!r} of einsum does not say what its result is")
    widths = [rank - len(word.replace("...", "")) for word, rank in zip(words, ranks, strict=True)]
    free = [each for each in ascii_letters if each not in equation]
    dots = free[: max(widths)]
    spelled = [
        word.replace("...", "".join(dots[len(dots) - width :]))
        for word, width in zip(words, widths, strict=True)
    ]
    return [*spelled, right.replace("...", "".join(dots))]


def _parts(letter: str, axis: Axis, free: Any) -> list[str]:
    """A letter for each of our axes that an axis is made of, but for the batch."""
    sizes = [part for part in axis if part is not None]
    return [letter if len(axis) == 1 else next(free) for _ in sizes]


def _word(word: str, axes: Axes, parts: dict[str, list[str]], batch: str, batched: bool) -> str:
    """The letters of our axes, the batch first."""
    ours = ""
    for letter, axis in zip(word, axes, strict=True):
        if None in axis and not batched:
            raise cannot("einsum of a tensor that is repeated for the batch is not known")
        ours += letter if axis == (1,) and not parts[letter] else "".join(parts[letter])
    return batch + ours if batched else ours
