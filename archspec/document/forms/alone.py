"""Nodes without an op: `share: other_node`, and `from: [a, b]`."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Span
from archspec.document.records import Form, Node, Place
from archspec.document.reporting import Reporter
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


def check_values(report: Reporter, node: Node) -> None:
    """Reports what cannot stand on a node that only names values."""
    for is_there, key in (
        (node.repeat is not None, "repeat"),
        (node.parallel is not None, "parallel"),
        (node.training_only, "training_only"),
        (node.trainable is not None, "trainable"),
        (bool(node.weights), "weights"),
        (bool(node.parametrize), "parametrize"),
    ):
        if is_there:
            report.report(
                Code.STRUCTURE,
                f"`{key}` has no effect on a node of `from` alone, which makes nothing",
                node.span,
                help=f"remove `{key}`, or name the op or block that is meant",
            )
