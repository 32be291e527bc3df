"""`layers: [...]` in the place of an op: nodes in a scope of their own."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.diagnostics.diagnostic import Code, Span
from archspec.document.forms.form import FixedForm
from archspec.document.records import Form, Node, Place
from archspec.document.schema_words import Schema, ref
from archspec.document.scope import Scope
from archspec.ir.graph import Step
from archspec.text.values import Value


class Group(FixedForm):
    """A list of nodes as one node. Those of a repeat without a name join the list around it."""

    __slots__ = ("body",)

    own_word = "layers"
    joins_in_repeat = True

    def __init__(self, span: Span, body: tuple[Node, ...]) -> None:
        super().__init__(self.own_word, span)
        self.body = body

    @classmethod
    def read(cls, scope: Scope, span: Span, value: Value | None) -> Form | None:
        if value is None:
            scope.report(Code.STRUCTURE, "`layers` needs a list of nodes", span)
            return None
        with scope.nested(span):
            return cls(span, scope.nodes(value))

    def step(self, place: Place) -> Step | None:
        return place.group(self.body)

    @property
    def members(self) -> tuple[Node, ...]:
        return self.body

    def joining(self) -> Iterator[Node]:
        return joining(self.body)

    @classmethod
    def schema(cls) -> dict[str, tuple[Schema, str]]:
        return {cls.own_word: (ref("nodes"), "A group: a list of nodes.")}


def joining(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Nodes, and those that join their list through one of them."""
    for node in nodes:
        yield node
        if node.name is None:
            yield from joining(() if node.otherwise is None else (node.otherwise,))
            if node.form.joins_list and node.repeat is None:
                yield from node.form.joining()
            if node.parallel is not None and node.merge is not None:
                yield node.merge
