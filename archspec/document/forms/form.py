"""Forms that are read: those with a word of their own, and calls."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from archspec.diagnostics.diagnostic import Span
from archspec.document.records import Form
from archspec.document.schema_words import Schema
from archspec.document.scope import Scope
from archspec.text.values import Value


class FixedForm(Form):
    """A form with a word of its own, such as `layers`."""

    __slots__ = ()

    own_word: ClassVar[str]

    @classmethod
    @abstractmethod
    def read(cls, scope: Scope, span: Span, value: Value | None) -> Form | None:
        """The form whose word stands at `span`; None (and diagnostics) where it is not sound."""

    @classmethod
    @abstractmethod
    def schema(cls) -> dict[str, tuple[Schema, str]]:
        """The schema and the description of its word."""
