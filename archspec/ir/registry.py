"""Definitions of modules by name: a module is imported when one of its names is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


class Registry(MutableMapping[str, T]):
    """The definitions of a package's modules, and of others that add their own.

    `expect` says which module defines a name: it is imported when the name is looked up. Other
    names are known once their modules are imported: `load` and iteration import all modules.
    """

    def __init__(self) -> None:
        self._defined: dict[str, T] = {}
        self._modules: Mapping[str, str] = {}
        self._package, self._is_whole = "", True

    def expect(self, package: str, modules: Mapping[str, str]) -> None:
        """States which module of a package defines each of its names."""
        self._package, self._is_whole, self._modules = package, False, modules

    def is_taken(self, name: str, module: str) -> bool:
        """Whether the name is taken: it is defined already, or the package is to define it."""
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
