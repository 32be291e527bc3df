"""Values to nodes: the form of a `layers:` list, its edges, repeats and branches.

A mistake is reported and parsing goes on with the next node.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from archspec.errors import Code, Diagnostic, Refusal, Span, mended
from archspec.ir.op import REGISTRY
from archspec.language import wording
from archspec.language.arguments import (
    NUMBERS,
    Argument,
    LocatedError,
    check_truth,
    colon_mended,
    never_written,
)
from archspec.language.calls import NODE_KEYS, CallParser
from archspec.language.expressions import Template
from archspec.language.model import (
    Branch,
    Condition,
    Node,
    Reference,
    Repeat,
)
from archspec.language.names import check_identifier
from archspec.language.source import Items, Mapping, Scalar, Value, kind, shorten

_OP_WORD = re.compile(r"\$?[A-Za-z_]\w*\Z")


class NodeParser(CallParser):
    """Parses the nodes of one scope."""

    # --- lists -----------------------------------------------------------------------------------

    def nodes(self, value: Value, what: str = "layers") -> tuple[Node, ...]:
        """A list of nodes."""
        if not isinstance(value, Items):
            self.report(
                Code.STRUCTURE,
                f"`{what}` must be a list of nodes, not {kind(value)}",
                value.span,
                expected="a list: one `- node` a line",
                help=wording.list_help(what, value),
            )
            return ()
        outer, self.partial = self.partial, False
        nodes = [node for item in value if (node := self.node(item)) is not None]
        self.partial = outer
        return tuple(nodes)

    def node_or_list(self, value: Value, what: str) -> tuple[Node, ...]:
        """A list of nodes, or one node alone."""
        if isinstance(value, Items):
            return self.nodes(value, what)
        node = self.node(value)
        return (node,) if node else ()

    # --- one node --------------------------------------------------------------------------------

    def node(self, value: Value) -> Node | None:
        """One node; None (and a diagnostic) where it has no sound form."""
        if isinstance(value, Scalar):
            return self._bare(value)
        if isinstance(value, Items):
            self.report(
                Code.STRUCTURE,
                "a list cannot be a node",
                value.span,
                expected="an op or block name, or a mapping with one",
                help="for a list within a list write `- layers: […]`",
            )
            return None
        with self.reporting(value.span):
            return self._mapped(value)
        return None

    def _bare(self, value: Scalar) -> Node | None:
        text = value.text
        if value.is_absent:
            self.report(
                Code.STRUCTURE,
                "this entry of the list is empty",
                value.span,
                expected="an op or block name, or a mapping with one",
                help="remove the dash, or write a node behind it",
            )
            return None
        if not isinstance(value.value, str) or not _OP_WORD.match(text):
            self.report(
                Code.STRUCTURE,
                f"{kind(value)} is not a node",
                value.span,
                expected="an op or block name, or a mapping with one",
                **self._bare_mended(value),
            )
            return None
        return self._target(text, value.span, None)

    def _bare_mended(self, value: Scalar) -> dict[str, Any]:
        word = value.text.partition(":")[0]
        known = [word] if self.is_target(word) else []
        names = {*REGISTRY, *self.known_blocks()}
        return colon_mended(value.text, known, value.span) or wording.bare_mended(value, names)

    def _mapped(self, value: Mapping) -> Node | None:
        entry = self._op_key(value)
        if entry is None:
            return None
        key, args = entry
        repeat = self._repeat(value.get("repeat"))
        with self._looping(repeat):
            node = (
                Node("share", "share", value.key("share").span)
                if key is None
                else self._target(key.text, key.span, args)
            )
            if node is None:
                return None
            if node.form == "branches":
                self._merge(node, value)
            shared = value.get("share")
            if shared is not None and not (isinstance(shared, Scalar) and shared.is_absent):
                node.share = self._share(shared)
            name = value.get("name")
            if name is not None and not (isinstance(name, Scalar) and name.is_absent):
                node.name, node.name_span = self._name_value(name), name.span
            if repeat is not None and node.name is None:
                self._refuse_fixed_names(node)
        node.repeat = repeat
        self._node_keys(node, value)
        return node

    def _refuse_fixed_names(self, node: Node) -> None:
        """In a repeat that opens no scope every iteration would bear a fixed name again."""
        for inner in _joining(node):
            if inner.name is not None and inner.name.is_fixed and inner.when is None:
                self.report(
                    Code.DUPLICATE_NAME,
                    f"every iteration would be called {inner.name.text!r}",
                    inner.name_span or inner.span,
                    expected="a name with an expression in braces, since the repeat has no name",
                    help=f'write `name: "{inner.name.text}{{index}}"`, or name the repeat',
                )

    @contextmanager
    def _looping(self, repeat: Repeat | None) -> Iterator[None]:
        """The loop's variables are in scope for the node's arguments and its name."""
        if repeat is None:
            yield
            return
        outer = self.loops
        self.loops = [*outer, "index", *(name for name, _ in repeat.variables)]
        yield
        self.loops = outer

    def _op_key(self, value: Mapping) -> tuple[Scalar | None, Value | None] | None:
        """The one key that names an op, a block, `layers`, `branches` or a layers parameter."""
        own = (*NODE_KEYS, "merge") if "branches" in value.entries else NODE_KEYS
        others = [(key, item) for text, key, item in value.items() if text not in own]
        known = [(key, item) for key, item in others if self.is_target(key.text)]
        if len(known) > 1:
            names = " and ".join(repr(key.text) for key, _ in known)
            self.report(
                Code.STRUCTURE,
                f"a node has one op, and this has {names}",
                known[1][0].span,
                expected="one op or block key beside the node keys",
                help="begin a node of its own with a dash",
            )
            return None
        if not known:
            if not others and "share" in value.entries:
                return None, None
            self._no_op(value, others)
            return None
        key, item = known[0]
        wrong = [other for other, _ in others if other is not key]
        for other in wrong:
            self._unknown_node_key(other, key, item, value.entries)
        return None if wrong else (key, item)

    def _no_op(self, value: Mapping, others: list[tuple[Scalar, Value]]) -> None:
        if others:
            self._unknown_op(others[0][0])
            return
        self.report(
            Code.STRUCTURE,
            "this node has no op",
            value.span,
            expected="an op or block key, such as `relu:`",
            found=f"only {', '.join(value.entries) or 'an empty mapping'}",
            help="an op without arguments keeps its colon: {name: bn1, batch_norm: }",
        )

    def _unknown_node_key(
        self, other: Scalar, op: Scalar, args: Value | None, taken: Container[str]
    ) -> None:
        absent = isinstance(args, Scalar) and args.is_absent
        fields = self._fields(op.text)
        help_ = None
        if other.text in fields:
            help_ = f"it is an argument of {op.text}: " + (
                f"indent it under `{op.text}:`" if absent else f"move it into `{op.text}: {{…}}`"
            )
        self.report(
            Code.UNKNOWN_KEY,
            f"{shorten(other.text)!r} is not a key of a node",
            other.span,
            expected=f"one op or block key, and any of {', '.join(NODE_KEYS)}",
            **(
                {"help": help_}
                if help_
                else colon_mended(other.text, NODE_KEYS, other.span)
                or never_written(other.text)
                or wording.top_level(other.text)
                or mended(other.text, NODE_KEYS, other.span, taken)
            ),
        )

    def _fields(self, name: str) -> Iterable[str]:
        op = REGISTRY.get(name)
        if op is not None:
            return op.fields()
        block = self.find(name)
        return block.params if block else ()

    def _target(self, word: str, span: Span, args: Value | None) -> Node | None:
        if word in self.broken:
            return None
        if word == "layers":
            if args is None:
                self.report(Code.STRUCTURE, "`layers` needs a list of nodes", span)
                return None
            with self._nested(span):
                return Node("group", word, span, body=self.nodes(args))
        if word == "branches":
            return self._branches(span, args)
        if word.startswith("$"):
            return self._insert(word[1:], span, args)
        block = None if word in REGISTRY else self.find(word)
        if block is not None:
            return self._block(block, span, args)
        if word in REGISTRY:
            return self._op(REGISTRY[word], span, args)
        self._unknown_op(Scalar(word, word, True, span))
        return None

    @contextmanager
    def _nested(self, span: Span) -> Iterator[None]:
        """One group deeper. Raises `LocatedError` where that is too deep."""
        try:
            self.limits.check("depth", self.depth + 1, "the nesting of groups")
        except Refusal as refusal:
            raise LocatedError(Diagnostic.of(refusal, span)) from None
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    # --- branches --------------------------------------------------------------------------------

    def _branches(self, span: Span, args: Value | None) -> Node:
        node = Node("branches", "branches", span)
        found: list[Branch] = []
        with self._nested(span):
            if isinstance(args, Items):
                found.extend(
                    Branch(None, self.node_or_list(item, "a branch"), item.span) for item in args
                )
            elif isinstance(args, Mapping):
                for text, key, item in args.items():
                    name = self.name(text, key.span)
                    if name:
                        found.append(Branch(name, self.node_or_list(item, text), key.span))
            else:
                self.report(
                    Code.STRUCTURE,
                    f"`branches` must be a list of lists, not {kind(args) if args else 'nothing'}",
                    args.span if args else span,
                    expected="a list of branches, or a mapping of named ones",
                )
        node.branches = tuple(found)
        return node

    def _merge(self, node: Node, value: Mapping) -> None:
        merge = value.get("merge")
        if merge is None:
            self.report(
                Code.MISSING_KEY,
                "`branches` needs a `merge`",
                node.span,
                expected="merge: concat, add, mul, or a block that takes as many inputs",
                help="add `merge: concat` beside `branches:`",
            )
            return
        if isinstance(merge, Items):
            self.report(Code.STRUCTURE, f"`merge` is one op, not {kind(merge)}", merge.span)
            return
        node.merge = self.node(merge)
        if node.merge is not None and node.merge.repeat is not None:
            self.report(
                Code.REPEAT,
                "a merge stands once and cannot repeat",
                node.merge.repeat.span,
                help="put `repeat:` beside `branches:`, or on a node after it",
            )
        if node.merge is not None and node.merge.inputs is not None:
            self.report(
                Code.STRUCTURE,
                "a merge of branches takes the branches, and names no inputs of its own",
                merge.span,
            )

    # --- node keys -------------------------------------------------------------------------------

    def _node_keys(self, node: Node, value: Mapping) -> None:
        """The keys that belong to the whole loop, where the node repeats."""
        for text, key, item in value.items():
            if text in NODE_KEYS and isinstance(item, Scalar) and item.is_absent:
                self.report(Code.STRUCTURE, f"`{text}` has no value", key.span)
            elif text == "from":
                if node.inputs is not None:
                    self.report(
                        Code.STRUCTURE,
                        f"the inputs are named twice: by `{node.key}` and by `from`",
                        key.span,
                        help="keep one of the two",
                    )
                node.inputs = self.references(item, "from")
            elif text == "when":
                with self.reporting(item.span):
                    if not self.is_name(item):
                        check_truth(item)
                    node.when = Condition(self.argument(item, NUMBERS), item.span)
            elif text == "training_only":
                self._training_only(node, item)

    def _share(self, item: Value) -> Reference | None:
        refs = self.references(item, "share")
        if len(refs) > 1 or (refs and refs[0].output is not None):
            self.report(
                Code.STRUCTURE,
                "`share` names one node, whose module is applied again",
                item.span,
                expected="a name",
                help=f"write `share: {refs[0].name.text}`; what it reads, `from:` says",
            )
        return refs[0] if refs else None

    def _training_only(self, node: Node, item: Value) -> None:
        if not isinstance(item, Scalar) or not isinstance(item.value, bool):
            with self.reporting(item.span):
                check_truth(item)
            if self.diagnostics and self.diagnostics[-1].span == item.span:
                return
            self.report(
                Code.STRUCTURE,
                f"`training_only` is true or false, not {kind(item)}",
                item.span,
            )
            return
        node.training_only = item.value

    def _name_value(self, item: Value) -> Template | None:
        if not isinstance(item, Scalar) or item.value is None or isinstance(item.value, bool):
            help_ = None
            if isinstance(item, Mapping) and item.flow and len(item.entries) == 1:
                help_ = f'quote it: "{{{next(iter(item.entries))}}}"'
            self.report(
                Code.NAME,
                f"{kind(item)} cannot name a node",
                item.span,
                expected="a word",
                help=help_,
            )
            return None
        return self.name(item.text, item.span)

    # --- repeat ----------------------------------------------------------------------------------

    def _repeat(self, repeat: Value | None) -> Repeat | None:
        if repeat is None or (isinstance(repeat, Scalar) and repeat.is_absent):
            return None
        variables: list[tuple[str, Argument]] = []
        times = None
        with self.reporting(repeat.span):
            if isinstance(repeat, Mapping):
                variables = [self._variable(text, item) for text, _, item in repeat.items()]
                if not variables:
                    raise Refusal("`repeat` over nothing", code=Code.REPEAT)
            elif isinstance(repeat, Items):
                raise Refusal(
                    "a list to repeat over needs a name for its elements",
                    code=Code.REPEAT,
                    help="write `repeat: {item: [...]}`",
                )
            else:
                times = self.argument(repeat, NUMBERS)
        return Repeat(times, tuple(variables), repeat.span)

    def _variable(self, name: str, value: Value) -> tuple[str, Argument]:
        check_identifier(name, "a loop variable")
        if name == "index":
            raise Refusal(
                "`index` counts every repeat and cannot name a loop variable",
                code=Code.NAME,
                help="call it item",
            )
        if self.params and name in self.params:
            raise Refusal(f"{name!r} is a parameter already", code=Code.DUPLICATE_NAME)
        if isinstance(value, Scalar) and value.is_absent:
            raise Refusal(f"{name!r} has no list to walk", code=Code.REPEAT)
        return name, self.argument(value, NUMBERS)


def _joining(node: Node) -> Iterator[Node]:
    """The nodes that join the list of `node`, a repeat without a name."""
    if node.form == "group":
        bodies = [node.body]
    else:
        bodies = [branch.nodes for branch in node.branches if branch.name is None]
    for inner in (inner for body in bodies for inner in body):
        yield inner
        if inner.form == "branches" and inner.name is None and inner.repeat is None:
            yield from _joining(inner)
    if node.merge is not None:
        yield node.merge
