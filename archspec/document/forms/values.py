"""`{name: levels, from: [a, b, c]}`: a name for values, and no module."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Span
from archspec.document.records import Form, Node, Place
from archspec.document.reporting import Reporter
from archspec.ir.graph import Step


class Values(Form):
    """What the node reads, under its name. It takes no number."""

    __slots__ = ()

    names_values = True

    def __init__(self, span: Span) -> None:
        super().__init__("from", span)

    def step(self, place: Place) -> Step | None:
        raise AssertionError("a name for values makes no step")


def check_values(report: Reporter, node: Node) -> None:
    """Reports what cannot stand on a node that only names values."""
    for is_there, key in (
        (node.repeat is not None, "repeat"),
        (node.parallel is not None, "parallel"),
        (node.training_only, "training_only"),
    ):
        if is_there:
            report.report(
                Code.STRUCTURE,
                f"`{key}` has no effect on a node of `from` alone, which makes nothing",
                node.span,
                help=f"remove `{key}`, or name the op or block that is meant",
            )
