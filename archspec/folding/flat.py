"""Each distinct list as a template of its own, without parameters and loops."""

from __future__ import annotations

from archspec.folding.naming import Names
from archspec.folding.template import Call, Entry, Group, Op, Part, Template
from archspec.folding.terms import Constant
from archspec.folding.tree import Leaf, List, Node


def flat_template(root: List) -> Template:
    """The template of a network written out in full."""
    return _Flat().template(root, root.of or "")


class _Flat:
    def __init__(self) -> None:
        self.names = Names()
        self.made: dict[List, Template] = {}

    def template(self, found: List, name: str) -> Template:
        return Template(
            name,
            (),
            (),
            found.inputs,
            self.parts(found),
            found.outputs,
            found.output_names,
            found.notes,
        )

    def parts(self, found: List) -> tuple[Part, ...]:
        return tuple([self.entry(node) for node in found.nodes])

    def entry(self, node: Node) -> Entry:
        return Entry(
            Constant(node.name) if node.named else None,
            self.content(node.content),
            node.reads,
            node.outputs,
            links=node.links,
            marks=node.marks,
        )

    def content(self, content: Leaf | List) -> Op | Call | Group:
        if isinstance(content, Leaf):
            return Op(content.kind, {n: Constant(v) for n, v in content.values.items()})
        if content.of is None:
            return Group(self.parts(content), content.outputs)
        if content not in self.made:
            # Templates inside it come first, and have the first names.
            parts = self.template(content, "")
            self.made[content] = parts._replace(name=self.names.new(content.of))
        return Call(self.made[content], {})
