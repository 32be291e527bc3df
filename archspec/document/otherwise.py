"""`else`: what stands in the place of a node whose `when` is false. Imported where one is met."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics.diagnostic import Code
from archspec.diagnostics.suggestions import certain_word
from archspec.document.forms import FIXED
from archspec.document.forms.alone import FromAlone
from archspec.document.forms.group import Group
from archspec.document.records import Node
from archspec.document.scope import Scope
from archspec.ir.op import REGISTRY
from archspec.text.values import Items, Mapping, Scalar, Value

FROM_KEYS = frozenset(("from", "when", "else"))
"""The keys of a mapping that only names values."""


def alternative(scope: Scope, value: Value) -> Node | None:
    """The node that an `else` means; None (and a diagnostic) where it has no sound form.

    It has no name: `Node.hand_down` gives it that of the node in whose place it stands.
    """
    with scope.reporting(value.span), scope.nested(value.span):
        if isinstance(value, Scalar):
            return _word(scope, value)
        if isinstance(value, Items):
            if names := _names(scope, value.items):
                _refuse_names(scope, value, names)
                return None
            return Node(Group(value.span, scope.nodes(value, "else")), value.span)
        _check_no_name(scope, value)
        if "from" in value.entries and not value.entries.keys() - FROM_KEYS:
            return _values(scope, value)
        return scope.node(value)
    return None


def check(scope: Scope, node: Node, value: Mapping) -> None:
    """Reports an `else` without a `when`. Gives the node under it what it has from this one."""
    if "when" not in value.entries:
        scope.report(
            Code.STRUCTURE,
            "`else` says what stands there where `when` is false, and there is no `when`",
            value.key("else").span,
            help="add `when:` beside it, or remove it",
        )
    if node.parallel is not None:
        _check_elements(scope, node, value)
    node.hand_down()


def _check_elements(scope: Scope, node: Node, value: Mapping) -> None:
    """Reports what cannot stand in the place of one element of a `parallel`."""
    if node.shares_one:
        scope.report(
            Code.SHARE,
            "`share: true` has one module for all elements, and `else` would make another",
            value.key("else").span,
            help="leave out one of the two, or put the choice into the block that is shared",
        )
    other = node.otherwise
    while other is not None:
        if (loop := other.repeat or other.parallel) is not None:
            scope.report(
                Code.REPEAT,
                f"one element stands in one place, and `{loop.word}` would make several nodes",
                loop.span,
                help=f"put it into a list: `else: [{{{loop.word}: …, …}}]`",
            )
        other = other.otherwise


def _word(scope: Scope, value: Scalar) -> Node | None:
    """A word is an edge. Raises nothing: one that could also be an op is reported."""
    word = value.text
    if isinstance(value.value, str) and scope.is_target(word):
        ways = [] if word in FIXED else [f"`else: {{{word}}}` for what it makes"]
        if not word.startswith("$"):
            ways.append(f"`else: {{from: {word}}}` for the value of that name")
        scope.report(
            Code.STRUCTURE,
            f"a word under `else` is the name of a value, and {word!r} begins a node too",
            value.span,
            help=f"write {', or '.join(ways)}",
        )
        return None
    if isinstance(value.value, str) and "," in word:
        _refuse_names(scope, value, [each.strip() for each in word.strip("[]() ").split(",")])
        return None
    inputs = scope.references(value, "else")
    return Node(FromAlone(value.span), value.span, inputs=inputs) if inputs else None


def _names(scope: Scope, items: Sequence[Value]) -> list[str]:
    """The words of a list in which there is nothing but names of values."""
    words = [item.text for item in items if isinstance(item, Scalar) and not item.is_absent]
    if len(words) < len(items) or any(map(scope.is_target, words)):
        return []
    known = {*REGISTRY, *scope.known_blocks()}
    return [] if any(certain_word(word, known) for word in words) else words


def _refuse_names(scope: Scope, value: Value, names: Sequence[str]) -> None:
    scope.report(
        Code.STRUCTURE,
        "a list under `else` is a list of nodes, and these are names of values",
        value.span,
        help=f"write `else: {{from: [{', '.join(names)}]}}`, or the one that is meant",
    )


def _values(scope: Scope, value: Mapping) -> Node:
    """`{from: [a, b]}`, perhaps with a `when` and an `else` of its own."""
    span = value.key("from").span
    node = Node(FromAlone(span), span)
    scope.read_keys(node, value, in_loop=False)
    if "else" in value.entries:
        check(scope, node, value)
    return node


def _check_no_name(scope: Scope, value: Mapping) -> None:
    if "name" in value.entries:
        scope.report(
            Code.NAME,
            "a node under `else` has the name of the node in whose place it stands",
            value.key("name").span,
            help="remove `name` here; the node that has the `when` may bear one",
        )
        del value.entries["name"]
