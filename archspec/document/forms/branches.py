"""`branches: [[...], [...]]` with `merge: concat`: parallel paths from one input."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.diagnostics.diagnostic import Code, Span
from archspec.document.forms.form import FixedForm
from archspec.document.forms.group import Group, joining
from archspec.document.records import Branch, Node, Place
from archspec.document.schema_words import Schema, listed, ref
from archspec.document.scope import Scope
from archspec.expressions.templates import Template
from archspec.ir.graph import Step
from archspec.text.values import Items, Mapping, Value, kind


class Branches(FixedForm):
    """Paths that begin at the node's input. `merge`, where there is one, joins what they give."""

    __slots__ = ("paths",)

    own_word = "branches"
    joins_list = True

    def __init__(self, span: Span, paths: tuple[Branch, ...]) -> None:
        super().__init__(self.own_word, span)
        self.paths = paths

    @classmethod
    def read(cls, scope: Scope, span: Span, value: Value | None) -> Branches:
        found: list[Branch] = []
        with scope.nested(span):
            if isinstance(value, Items):
                found = [
                    Branch(scope.node_or_list(item, "a branch"), None, item.span) for item in value
                ]
            elif isinstance(value, Mapping):
                for text, key, item in value.items():
                    if (name := scope.name(text, key.span)) is not None:
                        found.append(_named(name, scope.node_or_list(item, text), key.span))
            else:
                scope.report(
                    Code.STRUCTURE,
                    "`branches` must be a list of lists, not "
                    f"{kind(value) if value else 'nothing'}",
                    value.span if value else span,
                    expected="a list of branches, or a mapping of named ones",
                )
        return cls(span, tuple(found))

    def step(self, place: Place) -> Step | None:
        return place.branches(self.paths, self.merge)

    def joining(self) -> Iterator[Node]:
        for path in self.paths:
            if path.name is None:
                yield from joining(path.nodes)
        if self.merge is not None:
            yield self.merge

    @classmethod
    def schema(cls) -> dict[str, tuple[Schema, str]]:
        named = {"type": "object", "additionalProperties": ref("layers")}
        return {
            "branches": (
                {"anyOf": [listed(ref("layers")), named]},
                "Parallel lists of nodes, each beginning at this node's input.",
            ),
        }


def _named(name: Template, nodes: tuple[Node, ...], span: Span) -> Branch:
    if not nodes:
        return Branch((), name, span)
    return Branch((Node(Group(span, nodes), span, name=name),), name, span)
