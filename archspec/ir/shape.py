"""Shapes, and the small vocabulary that shape rules are written in.

A `Shape` is a tuple of dimensions. The value that flows along an edge has the batch axis first,
written `N`; a learned tensor has none. `N` is opaque: no rule computes with it, so a rule that
would fold, split or reorder the batch cannot be written by accident.

Rules compute with dimensions through the functions below and through `+ - *`, and compare them
with those functions only. They never ask whether a dimension is an `int`: it may be a `Size` that
depends on symbols, which records what is asked of it. A message asks `known` for its value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, TypeVar, cast

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.sizes.size import Size, known, scaled_size, sum_of_sizes

Dim: TypeAlias = int
Shape: TypeAlias = tuple[Dim, ...]

T = TypeVar("T")

N: Final[Dim] = cast(Dim, "N")
"""The batch axis. A rule passes it on and does nothing else with it."""

SPATIAL_AXES = ("depth", "height", "width")
"""Names of the last axes of images and volumes."""


def show(shape: Sequence[object]) -> str:
    """`(N, 3, 224, 224)`: a shape as messages and tables print it."""
    return f"({', '.join(map(str, shape))})"


def is_batched(shape: Shape) -> bool:
    """Whether the first axis is N; a learned tensor has none."""
    return bool(shape) and shape[0] is N


def concrete(shape: Shape, batch: int) -> tuple[int, ...]:
    """The shape with `batch` for N."""
    return tuple(batch if dim is N else dim for dim in shape)


def product(dims: Iterable[Dim]) -> Dim:
    """Number of elements of a block of these sizes (1 for none)."""
    return math.prod(dims)


def total(figures: Sequence[Dim]) -> Dim:
    """Their sum."""
    return sum_of_sizes(figures) if Size in map(type, figures) else sum(figures)


def expect_rank(x: Shape, *ranks: int, unbatched: int | None = None) -> None:
    """Refuse unless the rank, N included, is one of `ranks`.

    `unbatched` is a rank that torch would run by taking the batch as an axis of one sample.
    """
    if len(x) not in ranks:
        wanted = " or ".join(f"{rank}-D" for rank in ranks)
        raise Refusal(
            f"needs {wanted} input (N included), got {len(x)}-D",
            code=Code.UNBATCHED if len(x) == unbatched else Code.RANK,
            expected=f"{wanted} input",
            found=show(x),
        )


def expect_rank_from(least: int, x: Shape) -> None:
    """Refuse a rank, N included, below `least`."""
    if len(x) < least:
        raise Refusal(
            f"needs {least}-D input or more (N included), got {len(x)}-D",
            code=Code.RANK,
            expected=f"{least}-D input or more",
            found=show(x),
        )


def axis(dim: int, rank: int) -> int:
    """`dim` counted from the front, where N is 0. Refuses an axis outside the rank."""
    # Code is written for one rank: a size used as an axis number must not change.
    dim = dim.__index__()
    if not -rank <= dim < rank:
        raise Refusal(
            f"dim {dim} is outside a {rank}-D input",
            code=Code.RANK,
            expected=f"a dim from {-rank} to {rank - 1}",
            found=str(dim),
        )
    return dim % rank


ALONE = "a sample has no axis of its own: put `reshape: [1]` before it, which makes (N, 1) of (N)"
"""The help for an op that works along an axis of each sample, where samples are single numbers."""


def keep_batch(dim: int, rank: int) -> int:
    """Like `axis`, but refuses the batch axis: no op may work across samples."""
    position = axis(dim, rank)
    if position == 0:
        raise Refusal(
            "dim 0 is the batch: samples of a batch may not be mixed",
            code=Code.MIXES_BATCH,
            help="name another dim; N counts as 0" if rank > 1 else ALONE,
        )
    return position


def own_axis(dim: int, x: Shape) -> int:
    """An axis of `x`, counted from the front: any of a learned tensor, any but N of a batch."""
    return keep_batch(dim, len(x)) if is_batched(x) else axis(dim, len(x))


def sample(x: Shape) -> Shape:
    """The axes of one sample; all of a tensor without the batch axis."""
    return x[1:] if is_batched(x) else x


def equal(a: Dim, b: Dim, what: str) -> Dim:
    """The size on which two agree; refuses unless they do."""
    if a != b:
        raise Refusal(f"{what}: {a} and {b} differ", expected=str(a), found=str(b))
    return a


def divide(a: Dim, b: int, what: str, also: Dim = 0) -> Dim:
    """The exact quotient; refuses a remainder. `what` names both, as in 'channels by groups'.

    `also` is another size that the argument must divide, for the help.
    """
    if a % b:
        a, also = known(a), known(also)
        raise Refusal(
            f"cannot divide {what}: {a} is not a multiple of {b}",
            expected=f"a multiple of {b}, such as {max(a // b, 1) * b} or {(a // b + 1) * b}"
            if a > b
            else f"a multiple of {b}",
            found=str(a),
            help=_other_divisors(math.gcd(a, also), b, what),
        )
    return a // b


def _other_divisors(a: Dim, b: int, what: str) -> str | None:
    """The help that names the nearest divisors of a size, where an argument divides it."""
    argument = what.rpartition(" by ")[2]
    if not argument.isidentifier():
        return None
    below = next(each for each in range(min(a, b), 0, -1) if a % each == 0)
    above = next((each for each in range(b + 1, min(a, 2 * b) + 1) if a % each == 0), None)
    either = f"{below} or {above}" if above is not None else f"{below}"
    return f"`{argument}` may be {either}"


def expect_positive(size: Dim, what: str) -> Dim:
    """Refuse a size below 1. Some of torch's kernels accept it; this is a documented rule."""
    if size < 1:
        raise Refusal(
            f"{what} would be {size}", code=Code.EMPTY, expected="at least 1", found=str(size)
        )
    return size


def expect_reached(size: Dim, position: int, what: str) -> None:
    """Refuse a first window that would meet its first real element past the end of `size`."""
    if position >= size:
        raise Refusal(
            f"the {what} of the first window holds nothing but padding: it reaches past all {size} "
            "of the input",
            code=Code.EMPTY,
            expected=f"a size above {position}",
            found=str(size),
            help="lower the dilation or the padding",
        )


def expect_at_least(size: Dim, least: Dim, what: str) -> None:
    """Refuse where `size` is below `least`."""
    if size < least:
        raise Refusal(
            f"{what} is {size}, below {least}", expected=f"at least {least}", found=str(size)
        )


def each(value: T | tuple[T, ...], count: int) -> tuple[T, ...]:
    """One value for each spatial axis, of an argument given once for all or once for each."""
    return value if isinstance(value, tuple) else (value,) * count


def once_or_each(values: Sequence[object]) -> str:
    """The opposite of `each`, as a spec writes it: `2`, or `[1, 2]` where they differ."""
    return str(values[0]) if len(set(values)) == 1 else f"[{', '.join(map(str, values))}]"


def window(
    size: Dim,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    what: str,
) -> Dim:
    """Number of positions of a window that slides over `size`, padded by `padding` on both sides.

    With `ceil_mode` a last position may reach past the end, if it starts inside the input or
    the padding before it. Refuses where not one position fits.
    """
    extent = dilation * (kernel - 1) + 1
    padded = size + 2 * padding
    slack = stride - 1 if ceil_mode else 0
    if padded + slack < extent:
        padded = known(padded)
        raise Refusal(
            f"the window of {extent} does not fit {what} {size}"
            + (f" padded to {padded}" if padding else ""),
            expected=f"{what} of at least {extent - slack - 2 * padding}",
            found=str(size),
            help=_fitting_kernel(padded + slack, dilation),
            too_small=what,
        )
    if ceil_mode:  # a last one that would start past the end of the input does not count
        slack = min(slack, extent - padding - 1)
    return (padded + slack - extent) // stride + 1


def _fitting_kernel(room: Dim, dilation: int) -> str | None:
    """The help that names the largest kernel whose window fits into `room`."""
    if room < 1:
        return None
    dilated = f" with dilation {dilation}" if dilation > 1 else ""
    return f"a kernel_size of at most {(room - 1) // dilation + 1}{dilated} fits"


def scaled(size: Dim, factor: float) -> Dim:
    """`size * factor`, computed in double precision and rounded down, as torch resizes."""
    return int(float(size) * factor) if size.__class__ is int else scaled_size(size, factor)


def chunk_sizes(size: Dim, chunks: int) -> list[Dim]:
    """Sizes of at most `chunks` parts, all but the last equal: torch's rule."""
    part = -(-size // chunks)
    count = next(n for n in range(chunks, 0, -1) if (n - 1) * part < size)
    return [*[part] * (count - 1), size - (count - 1) * part]


def sliced(size: Dim, start: int, end: int | None, step: int) -> Dim:
    """Size of `x[start:end:step]` along an axis of `size`, by Python's rule; `step` is positive."""
    first = max(size + start, 0) if start < 0 else min(start, size)
    last = size if end is None else max(size + end, 0) if end < 0 else min(end, size)
    return max(-(-(last - first) // step), 0)


def _listed(words: Iterable[str], most: int = 6) -> str:
    """The items joined as in `a and b`; only the first of many."""
    every = list(words)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return " and ".join(every[:most]) + more


def broadcast(*shapes: Shape) -> Shape:
    """torch's broadcasting, aligned at the last axis; N meets N or 1 only."""
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for position in range(rank):
        dims = [s[position - rank + len(s)] for s in shapes if position >= rank - len(s)]
        # A size that depends on symbols is asked whether it is 1 only where that matters.
        wide = [dim for dim in dims if dim.__class__ is not int or dim != 1]
        if wide.count(wide[0] if wide else 1) < len(wide):
            wide = [dim for dim in wide if dim != 1]
        size = wide[0] if wide else 1
        if wide.count(size) < len(wide):
            raise Refusal(
                f"shapes do not broadcast: {_listed(map(show, shapes))}",
                expected="sizes that are equal or 1, aligned at the last axis",
                found=f"{_listed(map(str, wide))} at dim {_counted(position, shapes)}",
            )
        result.append(size)
    if any(dim is N for dim in result[1:]):
        raise Refusal(
            f"shapes do not broadcast: {_listed(map(show, shapes))}: "
            "the batch would meet another axis",
            code=Code.MIXES_BATCH,
        )
    return tuple(result)


def _counted(position: int, shapes: Sequence[Shape]) -> int:
    """An axis as all the shapes count it: from the last axis where their ranks differ."""
    ranks = set(map(len, shapes))
    return position if len(ranks) == 1 else position - max(ranks)


def same_except(shapes: Sequence[Shape], dim: int) -> None:
    """Refuse unless all shapes agree everywhere but at `dim` (a position from the front)."""
    first = shapes[0]
    for other in shapes[1:]:
        if len(other) != len(first):
            raise Refusal(f"inputs differ in rank: {show(first)} and {show(other)}", code=Code.RANK)
        for position, (a, b) in enumerate(zip(first, other, strict=True)):
            if position != dim and a != b:
                raise Refusal(
                    f"inputs differ at dim {position}: {show(first)} and {show(other)}",
                    expected=f"{a} at dim {position}",
                    found=str(b),
                )


def replaced(x: Shape, position: int, size: Dim) -> Shape:
    """`x` with another size at `position` (from the front)."""
    return (*x[:position], size, *x[position + 1 :])
