"""The data sets by name. One decorated function brings one in.

    @register("flowers102")
    def flowers102(root: Path) -> PictureSets:
        from archspec.data.pictures import from_torchvision
        from torchvision.datasets import Flowers102

        return from_torchvision(
            Flowers102(root, "train", download=True), Flowers102(root, "test", download=True)
        )

The function imports what it needs itself, because schema and help ask for the names alone. A
package of its own lists the module with that function under the entry point group
`archspec.datasets`; it is imported when a name is asked for that is not known yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from archspec.data.errors import DataError
from archspec.diagnostics.suggestions import did_you_mean

if TYPE_CHECKING:
    from archspec.data.pictures import PictureSets

GROUP = "archspec.datasets"
BUNDLED = ("vision", "digits", "folder")

Opener = TypeVar("Opener", bound="Callable[..., PictureSets]")


class DataSetEntry(NamedTuple):
    """A data set under its name; `argument` is what stands after the colon, as in `PATH`.

    `suited` has settings of a recipe for data on which those for other data do badly.
    """

    name: str
    opener: Callable[..., PictureSets]
    argument: str | None
    suited: Mapping[str, Any]

    @property
    def usage(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name


_entries: dict[str, DataSetEntry] = {}


def register(
    name: str, suited: Mapping[str, Any] = {}, *, argument: str | None = None
) -> Callable[[Opener], Opener]:
    """Make a data set known by `name`; the function gets the folder that downloads go to.

    It raises `DataError`, or lets an `OSError` pass, where the data cannot be had. `suited` are
    fields of a recipe that replace those of a spec written for other data. With an `argument`, such
    as PATH, it is asked for as `NAME:PATH`, and the function gets the text after the colon too. A
    name that is taken raises `ValueError`.
    """

    def add(opener: Opener) -> Opener:
        if not name or ":" in name:
            raise ValueError(f"a data set cannot be called {name!r}: no colon, not empty")
        if name in _entries:
            raise ValueError(f"there is a data set {name!r} already")
        _entries[name] = DataSetEntry(name, opener, argument, suited)
        return opener

    return add


def names() -> tuple[str, ...]:
    """All data sets as they are asked for: `digits`, `image_folder:PATH`."""
    _load_bundled()
    _load_plugins()
    return tuple(sorted(entry.usage for entry in _entries.values()))


def suited(name: Any) -> Mapping[str, Any]:
    """The settings that a data set brings; none where it is not known."""
    _load_bundled()
    if name not in _entries:
        _load_plugins()
    entry = _entries.get(name)
    return {} if entry is None else entry.suited


def find(name: str) -> tuple[DataSetEntry, str]:
    """The entry of `NAME` or `NAME:ARGUMENT`, and the argument. Raises `DataError`."""
    key, colon, argument = name.partition(":")
    _load_bundled()
    if key not in _entries:
        _load_plugins()
    entry = _entries.get(key)
    if entry is None:
        raise DataError(
            f"there is no data set {key!r}",
            _of_folder(name) or did_you_mean(key, _entries) or f"there are {', '.join(names())}",
        )
    if bool(entry.argument) != bool(argument) or (colon and not entry.argument):
        raise DataError(
            f"{name!r} is incomplete" if entry.argument else f"{key!r} takes nothing after a colon",
            f"write it as {entry.usage}",
        )
    return entry, argument


def _of_folder(name: str) -> str | None:
    """The help for the name of a folder alone."""
    readers = [entry.name for entry in _entries.values() if entry.argument == "PATH"]
    if not readers or not os.path.isdir(name):
        return None
    return f"{name!r} is a folder here: write {readers[0]}:{name}"


@cache
def _load_bundled() -> None:
    for module in BUNDLED:
        import_module(f"archspec.data.{module}")


@cache
def _load_plugins() -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        point.load()
