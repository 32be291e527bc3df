"""What modules define, by name: a module is imported when one of its names is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


class Registry(MutableMapping[str, T]):
    """The definitions of a package's modules, and of others that add their own.

    The module of a name that it was told to `expect` is imported where the name is looked up. Any
    other name is there once its module is imported: `load` imports all, and so does iteration.
    """

    def __init__(self) -> None:
        self._defined: dict[str, T] = {}
        self._modules: Mapping[str, str] = {}
        self._package, self._is_whole = "", True

    def expect(self, package: str, modules: Mapping[str, str]) -> None:
        """Says which module of a package defines each of its names."""
        self._package, self._is_whole, self._modules = package, False, modules

    def is_taken(self, name: str, module: str) -> bool:
        """Whether a module may not define the name: it is defined, or expected of the package."""
        is_own = module.startswith(f"{self._package}.")
        return name in self._defined or (name in self._modules and not is_own)

    def load(self) -> None:
        """Imports all modules of the package."""
        if self._is_whole:
            return
        from pkgutil import iter_modules

        self._is_whole = True
        for module in iter_modules(import_module(self._package).__path__):
            import_module(f"{self._package}.{module.name}")

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._defined

    def __getitem__(self, name: str) -> T:
        if name not in self._defined and name in self._modules:
            import_module(self._modules[name])
        return self._defined[name]

    def __setitem__(self, name: str, defined: T) -> None:
        self._defined[name] = defined

    def __delitem__(self, name: str) -> None:
        del self._defined[name]

    def __iter__(self) -> Iterator[str]:
        self.load()
        return iter(sorted(self._defined))

    def __len__(self) -> int:
        self.load()
        return len(self._defined)
