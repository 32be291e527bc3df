"""`share: other_node` with nothing beside it that says what the node is."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Span
from archspec.document.records import Form, Place
from archspec.ir.graph import Step


class ShareAlone(Form):
    """The node that owns the module says what this one is."""

    __slots__ = ()

    def __init__(self, span: Span) -> None:
        super().__init__("share", span)

    def step(self, place: Place) -> Step | None:
        raise AssertionError("a shared module is applied by its owner's form")
