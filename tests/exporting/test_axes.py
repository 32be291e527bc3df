"""Legal sizes as a range of multiples."""

from __future__ import annotations

import pytest

from archspec.exporting.axes import Progression, progression
from archspec.sizes.sets import Sizes


def these(members, period, until=400):
    """The set with these members below `until`, and periodic from there."""
    changes = [[] for _ in range(period)]
    for rest in range(period):
        inside = False
        for size in range(rest or period, until, period):
            if (size in members) is not inside:
                changes[rest].append(size)
                inside = not inside
    return Sizes([tuple(each) for each in changes])


@pytest.mark.parametrize(
    ("members", "period", "stated", "expected"),
    [
        (set(range(32, 400, 32)), 32, 224, Progression(32, 0, 1, None)),
        (set(range(5, 400)), 1, 9, Progression(1, 0, 5, None)),
        (set(range(5, 100)), 1, 9, Progression(1, 0, 5, 99)),
        (set(range(7, 400, 4)), 4, 11, Progression(4, 3, 1, None)),
        ({*range(1, 9), *range(20, 400)}, 1, 30, Progression(1, 0, 20, None, False)),
        ({*range(1, 9), *range(20, 400)}, 1, 4, Progression(1, 0, 1, 8, False)),
        ({*range(8, 400, 8), *range(7, 400, 8)}, 8, 16, Progression(8, 0, 1, None, False)),
    ],
)
def test_the_range_of_the_stated_size_is_found(members, period, stated, expected):
    found = progression(these(members, period), stated)
    assert found == expected
    assert all(size in members for size in range(1, 400) if size in found.sizes)
    assert stated in found.sizes
