"""Nodes without an op: `share: other_node`, and `from: [a, b]`."""

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


class FromAlone(Form):
    """The name stands for the values that `from` names: no module, no number."""

    __slots__ = ()

    def __init__(self, span: Span) -> None:
        super().__init__("from", span)

    def step(self, place: Place) -> Step | None:
        raise AssertionError("values that are named are no step")
