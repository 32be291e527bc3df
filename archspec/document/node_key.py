"""A key of a node beside its form, with all that is said of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from archspec.document.listed import Listed
from archspec.document.records import Node
from archspec.document.schema_words import Schema
from archspec.document.scope import Scope
from archspec.text.values import Scalar, Value


class NodeKey(ABC):
    """One key. `in_loop`: what it says may differ in each iteration of the node's `repeat`.

    `in_parallel`: the same of the elements of a `parallel`.
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    in_loop: ClassVar[bool] = False
    in_parallel: ClassVar[bool] = True

    @abstractmethod
    def schema(self) -> Schema:
        """What may stand there."""

    @abstractmethod
    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        """Reads the value into the node; mistakes are reported."""

    def written(self, step: Listed) -> Any:
        """What `expand` writes for a step of a finished graph; None where nothing is to say.

        Names and repeats are worked out by then, and conditions decided.
        """
        return None
