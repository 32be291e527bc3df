"""Sums of products of two values whose axes have letters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import Problem
from archspec.ir.op import Example, Op
from archspec.ir.shape import Dim, Shape, is_batched, product, show
from archspec.ir.tape import Sizes, Tape, Tensor, contiguous_strides, elementwise, reshape


class Einsum(Op, name="einsum", primary="equation"):
    """Sums of products of two values whose axes have letters: torch's `einsum`.

    `einsum: {inputs: [q, k], equation: 'nhqd,nhkd->nhqk'}`, or `from: [q, k]` beside
    `einsum: 'nhqd,nhkd->nhqk'`, multiplies along `d` and adds up: what the result, behind `->`,
    does not list is summed over. The batch has a letter too. It comes first in each input that has
    a batch and in the result, and stands nowhere else. No letter stands twice in an input.
    """

    equation: str

    since = "0.2"
    variadic = True
    takes_unbatched = True
    moves_axes = True
    examples = (
        Example({"equation": "nhqd,nhkd->nhqk"}, inputs=[("N", 2, 4, 3), ("N", 2, 5, 3)]),
        Example({"equation": "nld, df -> nlf"}, inputs=[("N", 4, 3), (3, 5)]),
        Example({"equation": "ni,nj->nij"}, inputs=[("N", 4), ("N", 3)]),
        Example({"equation": "nchw,nk->nhc"}, inputs=[("N", 2, 4, 3), ("N", 5)]),
        Example({"equation": "ij,njk->nki"}, inputs=[(4, 3), ("N", 3, 5)]),
        Example({"equation": "ij,jk->ik"}, inputs=[(4, 3), (3, 5)]),
        Example({"equation": "nij,nij->n"}, inputs=[("N", 4, 3), ("N", 4, 3)]),
    )

    @property
    def arity(self) -> int:
        return 2

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if message := _problem(self.equation):
            yield Problem("rule", "equation", message)

    @property
    def _letters(self) -> tuple[str, str, str]:
        """The letters of both inputs and of the result."""
        inputs, _, result = self.equation.replace(" ", "").partition("->")
        first, _, second = inputs.partition(",")
        return first, second, result

    @property
    def _axes(self) -> str:
        """All letters: those of the result, and the others, which are summed over, by alphabet."""
        first, second, result = self._letters
        return result + "".join(sorted({*first, *second} - {*result}))

    def infer(self, *inputs: Shape) -> Shape:
        *both, result = self._letters
        for number, (letters, x) in enumerate(zip(both, inputs, strict=True)):
            if len(letters) != len(x):
                raise Refusal(
                    f"{letters!r} names {len(letters)} axes, and the {_ORDER[number]} input has "
                    f"{len(x)}",
                    code=Code.RANK,
                    expected=f"a letter for each axis of {show(x)}, N included",
                    found=repr(letters),
                )
        self._expect_batch(inputs)
        a, b = (self._spread(letters, x) for letters, x in zip(both, inputs, strict=True))
        sizes = map(_common, self._axes, a, b)
        return tuple(sizes)[: len(result)]

    def _expect_batch(self, inputs: Sequence[Shape]) -> None:
        *both, result = self._letters
        given = list(zip(both, inputs, strict=True))
        batched = {letters[0] for letters, x in given if is_batched(x)}
        if not batched:
            return
        (letter, *others) = sorted(batched)
        lone = any(letter in letters for letters, x in given if not is_batched(x))
        if others or lone or result[:1] != letter or any(letter in letters[1:] for letters in both):
            raise Refusal(
                f"{self.equation!r} does not keep the batch apart",
                code=Code.MIXES_BATCH,
                expected="one letter for N: the first of each input that has a batch and of the "
                "result, and nowhere else",
                found=" and ".join(map(show, inputs)),
            )

    def _spread(self, letters: str, x: Shape) -> Shape:
        """Sizes for all letters, 1 for those of the other input."""
        return tuple([x[letters.index(each)] if each in letters else 1 for each in self._axes])

    def _summed_alone(self, a: Shape, b: Shape) -> list[int]:
        """Axes that torch sums over before it multiplies: one input alone has them."""
        count = len(self._letters[2])
        return [i for i in range(count, len(a)) if (a[i] != 1) != (b[i] != 1)]

    def _multiplied(self, a: Shape, b: Shape) -> list[int]:
        """Axes of both that the product of matrices sums over."""
        count = len(self._letters[2])
        return [i for i in range(count, len(a)) if a[i] != 1 and b[i] != 1]

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        first, second, _ = self._letters
        a, b = self._spread(first, inputs[0]), self._spread(second, inputs[1])
        if not self._multiplied(a, b):
            return 0  # torch multiplies element by element
        alone = self._summed_alone(a, b)
        begin = int(is_batched(outputs[0]))
        return product(
            [
                _common(letter, x, y)
                for i, (letter, x, y) in enumerate(zip(self._axes, a, b, strict=True))
                if i >= begin and i not in alone
            ]
        )

    # The memory that torch's `einsum` takes

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        first, second, result = self._letters
        a, b = self._aligned(first, inputs[0]), self._aligned(second, inputs[1])
        summed = self._multiplied(a.shape, b.shape)
        alone = self._summed_alone(a.shape, b.shape)
        a, b = _sum_over(tape, a, alone), _sum_over(tape, b, alone)
        if summed:
            y = _record_product(tape, a, b, summed, len(result))
        else:
            _save(tape, a, b)
            y = elementwise(tape, a, b)
        return y.viewed(y.shape[: len(result)], y.strides[: len(result)])

    def _aligned(self, letters: str, x: Tensor) -> Tensor:
        strides = [x.strides[letters.index(each)] if each in letters else 1 for each in self._axes]
        return x.viewed(self._spread(letters, x.shape), tuple(strides))

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"torch.einsum({self.equation!r}, {', '.join(values)})"


_ORDER = ("first", "second")


def _problem(equation: str) -> str | None:
    """What is wrong with an equation; None where it may be right."""
    found = re.fullmatch(r"([A-Za-z]*),([A-Za-z]*)->([A-Za-z]*)", equation.replace(" ", ""))
    if found is None:
        return (
            "it gives a letter to each axis of two inputs and of the result, as "
            "'nhqd,nhkd->nhqk' does"
        )
    first, second, result = found.groups()
    for letters in (first, second, result):
        if twice := next((each for each in letters if letters.count(each) > 1), None):
            return f"{twice!r} stands twice in {letters!r}"
    if new := next((each for each in result if each not in first + second), None):
        return f"no input has the axis {new!r} of the result"
    return None


def _common(letter: str, a: Dim, b: Dim) -> Dim:
    """The size of an axis, where one of 1 is repeated."""
    if a is b or a == b or b == 1:
        return a
    if a != 1:
        raise Refusal(
            f"the axis {letter!r} is {a} in the first input and {b} in the second",
            expected=str(a),
            found=str(b),
        )
    return b


def _save(tape: Tape, a: Tensor, b: Tensor) -> None:
    """What a product keeps."""
    if a.requires_grad:
        tape.save(b)
    if b.requires_grad:
        tape.save(a)


def _sum_over(tape: Tape, x: Tensor, axes: Sequence[int]) -> Tensor:
    own = [i for i in axes if x.shape[i] != 1]
    shape = tuple(1 if i in own else size for i, size in enumerate(x.shape))
    return tape.new(shape, requires_grad=x.requires_grad) if own else x


def _record_product(tape: Tape, a: Tensor, b: Tensor, summed: Sequence[int], count: int) -> Tensor:
    """One batch of matrices by another, from `count` axes of the result and those `summed`."""
    if _swaps(a.shape[:count], b.shape[:count]):
        a, b = b, a
    kept = [i for i in range(len(a.shape)) if i not in summed]
    shared = [i for i in kept if a.shape[i] != 1 and b.shape[i] != 1]
    left = [i for i in kept if a.shape[i] != 1 and i not in shared]
    right = [i for i in kept if i not in shared and i not in left]
    batch = math.prod(a.shape[i] for i in shared)
    rows = math.prod(a.shape[i] for i in left)
    columns = math.prod(b.shape[i] for i in right)
    inner = math.prod(a.shape[i] for i in summed)
    a_matrices = reshape(tape, a.permuted([*shared, *left, *summed, *right]), (batch, rows, inner))
    b_matrices = reshape(
        tape, b.permuted([*shared, *summed, *right, *left]), (batch, inner, columns)
    )
    _save(tape, a_matrices, b_matrices)
    y = tape.new((batch, rows, columns), requires_grad=a.requires_grad or b.requires_grad)
    order = [*shared, *left, *summed, *right]
    sizes = tuple(1 if i in summed else max(a.shape[i], b.shape[i]) for i in order)
    steps = dict(zip(order, contiguous_strides(sizes), strict=True))
    shape: Sizes = tuple(sizes[order.index(i)] for i in range(len(order)))
    return y.viewed(shape, tuple(steps[i] for i in range(len(order))))


def _swaps(a: Sizes, b: Sizes) -> bool:
    """Whether torch takes the second value for the rows: the last axis is to be of columns."""
    for x, y in zip(reversed(a), reversed(b), strict=True):
        if (x == 1) != (y == 1):
            return y == 1
    return False
