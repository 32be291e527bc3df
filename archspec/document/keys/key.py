"""Keys of a whole file. Each is declared once, with all that is said of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from archspec.document.blocks import File
from archspec.document.schema_words import Schema
from archspec.ir.graph import Graph
from archspec.text.values import Value


class FileKey(ABC):
    """One key of a spec: its name, its line for editors and documents, what may stand there.

    Those that build the network are read in stages, by functions beside their classes.
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    is_resolved: ClassVar[bool] = False
    """Whether a resolved spec no longer has it."""
    behind_layers: ClassVar[int] = 0
    """Its place behind the layers of a resolved spec; 0 where it stands before them."""

    @abstractmethod
    def schema(self) -> Schema:
        """What may stand there."""

    def written(self, said: Mapping[str, Any], graph: Graph) -> Any:
        """What a resolved spec says here; None for nothing, and for what its writer lays out.

        `said` holds what the spec states, by key.
        """
        return None


class Statement(FileKey):
    """A key that says something of the network, and does not build it."""

    @abstractmethod
    def read(self, file: File, value: Value | None) -> Any:
        """Its value as plain data, false where the key is absent. Mistakes are reported."""

    def inherited(self, said: Sequence[Any]) -> Any:
        """What holds along a chain of `extends`, the base's first: the nearest, unless merged."""
        return next((value for value in reversed(said) if value), said[-1])

    def written(self, said: Mapping[str, Any], graph: Graph) -> Any:
        return said[self.name] or None
