"""The vocabulary of shape rules, against torch, Python and figures worked out by hand."""

from __future__ import annotations

import itertools

import pytest
import torch

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.shape import (
    N,
    axis,
    broadcast,
    chunk_sizes,
    concrete,
    divide,
    each,
    equal,
    expect_at_least,
    expect_positive,
    expect_rank,
    expect_rank_from,
    expect_reached,
    is_batched,
    keep_batch,
    replaced,
    same_except,
    scaled,
    sliced,
    window,
)


def refusal(rule, *arguments, **more) -> Refusal:
    with pytest.raises(Refusal) as caught:
        rule(*arguments, **more)
    return caught.value


def test_n_is_the_batch_and_no_number():
    assert is_batched((N, 3)) and not is_batched((3, 3)) and not is_batched(())
    assert concrete((N, 3, 4), 5) == (5, 3, 4) and str(N) == "N"
    assert replaced((N, 3, 4), 1, 7) == (N, 7, 4) and replaced((N, 3), 1, 7) == (N, 7)
    assert each(3, 2) == (3, 3) and each((1, 2), 2) == (1, 2)


def test_ranks_are_counted_with_n():
    expect_rank((N, 3, 4), 3)
    expect_rank((N, 3, 4), 2, 3, unbatched=2)
    error = refusal(expect_rank, (N, 3, 4), 4, 5, unbatched=3)
    assert (str(error), error.code) == (
        "needs 4-D or 5-D input (N included), got 3-D",
        Code.UNBATCHED,
    )
    assert (error.expected, error.found) == ("4-D or 5-D input", "(N, 3, 4)")
    assert refusal(expect_rank, (N, 3), 4, unbatched=3).code == Code.RANK
    expect_rank_from(3, (N, 3, 4))
    error = refusal(expect_rank_from, 3, (N, 3))
    assert (error.code, error.found) == (Code.RANK, "(N, 3)")


def test_axes_are_torch_s_and_the_batch_is_kept():
    x = torch.zeros(2, 3, 4)
    for dim in range(-5, 6):
        try:
            x.select(dim, 0)
        except IndexError:
            assert refusal(axis, dim, 3).code == Code.RANK
            continue
        assert x.size(dim) == x.shape[axis(dim, 3)]
        if axis(dim, 3) == 0:
            assert refusal(keep_batch, dim, 3).code == Code.MIXES_BATCH
        else:
            assert keep_batch(dim, 3) == axis(dim, 3)


def test_sizes_that_must_agree_divide_or_be_there():
    assert equal(3, 3, "rows") == 3
    error = refusal(equal, 3, 4, "rows")
    assert (str(error), error.expected, error.found) == ("rows: 3 and 4 differ", "3", "4")
    assert divide(12, 4, "channels by groups") == 3
    error = refusal(divide, 10, 4, "channels by groups")
    assert str(error) == "cannot divide channels by groups: 10 is not a multiple of 4"
    assert (error.expected, error.found) == ("a multiple of 4, such as 8 or 12", "10")
    assert refusal(divide, 3, 4, "a by b").expected == "a multiple of 4"
    assert expect_positive(1, "height") == 1
    error = refusal(expect_positive, 0, "height")
    assert (str(error), error.code) == ("height would be 0", Code.EMPTY)
    expect_at_least(3, 3, "height")
    assert str(refusal(expect_at_least, 2, 3, "height")) == "height is 2, below 3"
    expect_reached(3, 2, "first window")
    error = refusal(expect_reached, 3, 3, "first window")
    assert (error.code, error.expected, error.found) == (Code.EMPTY, "a size above 3", "3")


WINDOWS = itertools.product(range(1, 9), range(1, 4), range(1, 4), range(3), range(1, 4), (0, 1))


def test_windows_are_counted_as_torch_counts_them():
    accepted = 0
    for size, kernel, stride, padding, dilation, ceil in WINDOWS:
        if padding > kernel // 2:
            continue
        more = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": bool(ceil)}
        try:
            real = torch.nn.functional.max_pool1d(torch.zeros(1, 1, size), kernel, **more)
        except RuntimeError:
            refusal(window, size, kernel, **more, what="length")
            continue
        accepted += 1
        assert window(size, kernel, **more, what="length") == real.shape[2], (size, kernel, more)
    assert accepted > 500


@pytest.mark.parametrize(
    ("size", "kernel", "more", "said"),
    [
        (3, 5, {}, ("the window of 5 does not fit length 3", "length of at least 5", 3)),
        (
            4,
            3,
            {"dilation": 3, "padding": 1},
            ("the window of 7 does not fit length 4 padded to 6", "length of at least 5", 2),
        ),
        (
            2,
            5,
            {"ceil_mode": True, "stride": 3},
            ("the window of 5 does not fit length 2", "length of at least 3", 4),
        ),
    ],
)
def test_a_window_that_does_not_fit_says_what_would(size, kernel, more, said):
    error = refusal(window, size, kernel, **more, what="length")
    message, expected, fitting = said
    assert (str(error), error.expected, error.found) == (message, expected, str(size))
    dilated = f" with dilation {more['dilation']}" if "dilation" in more else ""
    assert error.help == f"a kernel_size of at most {fitting}{dilated} fits"
    assert window(size, fitting, **more, what="length") >= 1
    refusal(window, size, fitting + 1, **more, what="length")
    least = int(expected.rsplit(" ", 1)[1])
    assert window(least, kernel, **more, what="length") >= 1
    refusal(window, least - 1, kernel, **more, what="length")


def test_slices_and_chunks_are_python_s_and_torch_s():
    ends = (None, *range(-9, 10))
    for size, start, end, step in itertools.product(range(1, 7), range(-8, 9), ends, (1, 2, 3)):
        assert sliced(size, start, end, step) == len(range(size)[start:end:step])
    for size, chunks in itertools.product(range(1, 12), range(1, 12)):
        assert chunk_sizes(size, chunks) == [len(c) for c in torch.zeros(size).chunk(chunks)]
    for size, factor in itertools.product(range(1, 30), (0.3, 0.5, 1.1, 1.5, 2.0, 3.3)):
        real = torch.nn.functional.interpolate(torch.zeros(1, 1, 40 + size), scale_factor=factor)
        assert scaled(40 + size, factor) == real.shape[2]


def test_shapes_broadcast_as_torch_broadcasts_them():
    shapes = [s for rank in range(4) for s in itertools.product((1, 2, 3), repeat=rank)]
    for a, b in itertools.product(shapes, shapes[::3]):
        try:
            expected = torch.broadcast_shapes(a, b, (2,))
        except RuntimeError:
            refusal(broadcast, a, b, (2,))
        else:
            assert broadcast(a, b, (2,)) == tuple(expected)
    assert broadcast((N, 3, 1), (4,), (1, 1, 4)) == (N, 3, 4)
    error = refusal(broadcast, (N, 3, 2), (4, 2))
    assert (error.expected, error.found) == (
        "sizes that are equal or 1, aligned at the last axis",
        "3 and 4 at dim -2",
    )
    assert refusal(broadcast, (N, 3), (N, 4)).found == "3 and 4 at dim 1"
    assert refusal(broadcast, (N, 3, 3), (N, 3)).code != Code.MIXES_BATCH  # N meets 3
    assert refusal(broadcast, (N, 1, 3), (N, 3)).code == Code.MIXES_BATCH


def test_shapes_that_are_joined_agree_elsewhere():
    same_except([(N, 3, 4), (N, 9, 4), (N, 1, 4)], 1)
    for others, found in (([(N, 3, 5)], "5"), ([(N, 3, 4), (N, 3, 6)], "6")):
        error = refusal(same_except, [(N, 3, 4), *others], 1)
        assert (error.expected, error.found) == ("4 at dim 2", found)
    assert refusal(same_except, [(N, 3, 4), (N, 3)], 1).code == Code.RANK
