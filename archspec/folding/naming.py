"""Names that are all different."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count


class Names:
    """Gives names, each once: `block`, `block_2`, …"""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def new(self, wanted: str) -> str:
        """The name itself, or with a number behind it where it is taken."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken.add(name)
        return name


def of_given(name: str) -> str:
    """What a parameter is called that stands for a given name: `channels` for `in_channels`."""
    return name.removeprefix("in_")


def list_name(name: str) -> str:
    """What an element of a list is called: `channels` for an argument `out_channels`."""
    for word in ("out_channels", "out_features"):
        if name.endswith(word):
            return name.replace("out_", "")
    return name


_ELEMENTS = {"channels": "width", "features": "width", "strides": "stride", "depths": "depth"}


def element_names(name: str) -> Iterator[str]:
    """What one element of a list may be called, the best name first."""
    yield name
    yield _ELEMENTS.get(name, name.removesuffix("s"))
    yield from (f"{name}_{number}" for number in count(2))


def is_size(name: str) -> bool:
    """Whether a name is that of a number of channels or features, which differs by network."""
    return any(word in name for word in ("channels", "features", "width", "hidden"))


_NUMBER = re.compile(r"\d+")


def counting(names: Sequence[str]) -> tuple[str, int, str] | None:
    """What stands before and behind a number that counts up, and its first value."""
    numbers = list(_NUMBER.finditer(names[0]))
    for found in reversed(numbers):
        before, behind = names[0][: found.start()], names[0][found.end() :]
        first = int(found[0])
        if all(name == f"{before}{first + i}{behind}" for i, name in enumerate(names)):
            return before, first, behind
    return None
