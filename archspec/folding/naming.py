"""Names that are all different."""

from __future__ import annotations

from collections.abc import Iterable


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
