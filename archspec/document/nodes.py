"""Values to nodes: the entries of a `layers:` list.

A mistake is reported and parsing goes on with the next node.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from archspec.diagnostics.diagnostic import Code, Edit, Help, Span
from archspec.diagnostics.suggestions import suggestion
from archspec.document import other_forms, wording
from archspec.document.forms import FIXED
from archspec.document.forms.alone import FromAlone, ShareAlone, check_values
from archspec.document.forms.block import BlockCall
from archspec.document.forms.insert import Insert
from archspec.document.forms.op import OpCall
from archspec.document.node_keys import KEYS, NODE_KEYS, PARALLEL, REPEAT, SPECIAL
from archspec.document.records import Form, Layers, Node, Repeat
from archspec.document.scope import Scope
from archspec.expressions.arguments import TEXT, Argument, missing_space
from archspec.expressions.evaluate import EDGES, Env
from archspec.expressions.functions import MAGIC
from archspec.ir.op import REGISTRY, Op
from archspec.text.values import Items, Mapping, Scalar, Value, kind, shorten

_OP_WORD = re.compile(r"\$?[A-Za-z_]\w*\Z")


class NodeParser(Scope):
    """Parses the nodes of one scope."""

    # --- lists -----------------------------------------------------------------------------------

    def nodes(self, value: Value, what: str = "layers") -> tuple[Node, ...]:
        if not isinstance(value, Items):
            self.report(
                Code.STRUCTURE,
                f"`{what}` must be a list of nodes, not {kind(value)}",
                value.span,
                expected="a list: one `- node` a line",
                help=other_forms.named_nodes(value, self.is_target)
                or wording.list_help(what, value),
            )
            return ()
        outer, self.partial = self.partial, False
        nodes = []
        for item, self.following in zip(value, (*value.items[1:], None), strict=False):
            if (node := self.node(item)) is not None:
                nodes.append(node)
        self.partial = outer
        return tuple(nodes)

    def node_or_list(self, value: Value, what: str) -> tuple[Node, ...]:
        if isinstance(value, Items):
            return self.nodes(value, what)
        self.following = None
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
                help=other_forms.by_position(value, self.names())
                or "for a list within a list write `- layers: […]`",
            )
            return None
        with self.reporting(value):
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
                help=self._no_node(value),
            )
            return None
        form = self._form(text, value.span, None)
        if form is None:
            return None
        node = Node(form, form.span, inputs=form.inputs)
        node.plain = not form.joins_list
        return node

    def _no_node(self, value: Scalar) -> Help:
        from archspec.document.python_calls import as_node, callee  # for a mistake alone

        word = value.text.partition(":")[0]
        known = [word] if self.is_target(word) else []
        names = self.names()
        if call := as_node(value.text, names, self.find):
            by_name = "arguments follow a colon, by name: " if ":" in call else "write "
            return Help(f"{by_name}`{call}`")
        if called := callee(value.text):
            return wording.unknown_op(called, names, value.span)._replace(edits=())
        return missing_space(value.text, known, value.span) or wording.no_node(value, names)

    def _mapped(self, value: Mapping) -> Node | None:
        entry = self._op_key(value)
        if entry is None:
            return None
        key, args = entry
        repeat = REPEAT.loop(self, value.get("repeat"))
        parallel = PARALLEL.loop(self, value.get("parallel"))
        outer, loop = self.loops, repeat or parallel
        if repeat is not None and parallel is not None:
            self._two_loops(parallel)
            return None
        if loop is not None:
            self.loops = [*outer, "index", *(name for name, _ in loop.variables)]
        try:
            node = self._looped(value, key, args, repeat, parallel)
        finally:
            self.loops = outer
        if node is not None:
            self.whole_loop = loop is not None
            self.read_keys(node, value, in_loop=False)
            self.whole_loop = False
            alone = isinstance(node.form, FromAlone)
            node.plain = SPECIAL.isdisjoint(value.entries) and not (alone or node.form.joins_list)
            if alone:
                check_values(self, node)
            if "else" in value.entries:
                from archspec.document.otherwise import check  # few nodes have one

                check(self, node, value)
        return node

    def _looped(
        self,
        value: Mapping,
        key: Scalar | None,
        args: Value | None,
        repeat: Repeat | None,
        parallel: Repeat | None,
    ) -> Node | None:
        """What may differ in each iteration. The loop's variables are in scope."""
        form = self._alone(value) if key is None else self._form(key.text, key.span, args)
        if form is None:
            return None
        node = Node(form, form.span, inputs=form.inputs, repeat=repeat, parallel=parallel)
        self.read_keys(node, value, in_loop=True)
        if (repeat or parallel) is not None and node.name is None and not node.shares_one:
            self._refuse_fixed_names(node)
        return node

    def op_call(self, op: type[Op], span: Span, value: Value | None) -> Form:
        return OpCall.read(self, op, span, value)

    def _alone(self, value: Mapping) -> Form:
        """The form of a node without an op: the module of another one, or a name for values."""
        if "share" in value.entries:
            return ShareAlone(value.key("share").span)
        return FromAlone(value.key("from").span)

    def read_keys(self, node: Node, value: Mapping, *, in_loop: bool) -> None:
        """Reads the keys beside the form: those of each iteration, or those of the whole loop."""
        if value.entries.keys().isdisjoint(NODE_KEYS):
            return
        for known in KEYS:
            inside = known.in_loop if node.parallel is None else known.in_parallel
            if inside is in_loop and (entry := value.entries.get(known.name)):
                key, item = entry
                if isinstance(item, Scalar) and item.is_absent:
                    self.report(Code.STRUCTURE, f"`{known.name}` has no value", key.span)
                else:
                    known.read(self, node, key, item)

    def _two_loops(self, parallel: Repeat) -> None:
        self.report(
            Code.REPEAT,
            "a node repeats in a chain or stands side by side, and this does both",
            parallel.span,
            expected="`repeat` or `parallel`",
            help="nest them: `{parallel: …, layers: [{repeat: …, …}]}`",
        )

    def _refuse_fixed_names(self, node: Node) -> None:
        """Refuses a fixed name in a loop without a scope, where each iteration would bear it."""
        word = "repeat" if node.parallel is None else "parallel"
        for inner in node.form.joining():
            if inner.name is not None and inner.name.is_fixed and _is_there(inner):
                self.report(
                    Code.DUPLICATE_NAME,
                    f"every iteration would be called {inner.name.text!r}",
                    inner.name_span or inner.span,
                    expected=f"a name with an expression in braces, since the {word} has no name",
                    help=f'write `name: "{inner.name.text}{{index}}"`, or name the {word}',
                )

    def _op_key(self, value: Mapping) -> tuple[Scalar | None, Value | None] | None:
        """The one key that names an op, a block, `layers`, `branches` or a layers parameter."""
        others = [(key, item) for text, key, item in value.items() if text not in NODE_KEYS]
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
            if not others and any(key in self.broken for key in value.entries):
                return None  # a block that has the name of a node key is called
            if not others and ("share" in value.entries or {"name", "from"} <= {*value.entries}):
                if "share" in value.entries and "else" in value.entries:
                    self._refuse_beside_share(value.key("else"), value)
                    return None
                return None, None
            self._no_op(value, others)
            return None
        key, item = known[0]
        owner = value.get("share")
        of_loop = isinstance(owner, Scalar) and isinstance(owner.value, bool)
        if owner is not None and not of_loop:
            self._refuse_beside_share(key, value)
            return None
        wrong = [other for other, _ in others if other is not key]
        for other in wrong:
            self._unknown_node_key(other, key, item, value.entries)
        return None if wrong else (key, item)

    def _refuse_beside_share(self, key: Scalar, value: Mapping) -> None:
        owner = value.get("share")
        shown = owner.text if isinstance(owner, Scalar) else "…"
        self.report(
            Code.SHARE,
            f"`share` says what the node is, and {key.text!r} stands beside it",
            key.span,
            help=f"write `share: {shown}` alone, with what it reads: `from: …`",
        )

    def _no_op(self, value: Mapping, others: list[tuple[Scalar, Value]]) -> None:
        if others:
            self._unknown_op(others[0][0], other_forms.op_as_value(others, self.names()))
            return
        self.report(
            Code.STRUCTURE,
            "this node has no op",
            value.span,
            expected="an op or block key, such as `relu:`",
            found=f"only {', '.join(value.entries) or 'an empty mapping'}",
            help=other_forms.lone_keys(value, self.following, self.is_target)
            or _name_for_values(value)
            or "an op without arguments keeps its colon: {name: bn1, batch_norm: }",
        )

    def _unknown_node_key(
        self, other: Scalar, op: Scalar, args: Value | None, taken: Container[str]
    ) -> None:
        absent = isinstance(args, Scalar) and args.is_absent
        fields = self._fields(op.text)
        help_: Help | None = None
        if other.text in fields:
            help_ = Help(
                f"it is an argument of {op.text}: "
                + (
                    f"indent it under `{op.text}:`"
                    if absent
                    else f"move it into `{op.text}: {{…}}`"
                )
            )
        self.report(
            Code.UNKNOWN_KEY,
            f"{shorten(other.text)!r} is not a key of a node",
            other.span,
            expected=f"one op or block key, and any of {', '.join(NODE_KEYS)}",
            help=help_
            or missing_space(other.text, NODE_KEYS, other.span)
            or wording.about_key(other.text, NODE_KEYS)
            or self._top_level(other.text)
            or suggestion(other.text, NODE_KEYS, other.span, taken),
        )

    def _fields(self, name: str) -> Iterable[str]:
        block = self.find(name)
        if block is not None:
            return block.params
        return REGISTRY[name].fields() if name in REGISTRY else ()

    def _top_level(self, key: str) -> Help | None:
        """The help for a key of the whole file that stands in a node."""
        if key not in self.file_keys or key in FIXED:
            return None
        return Help(f"`{key}:` belongs at the top level of the file, beside `layers:`")

    # --- what a node is --------------------------------------------------------------------------

    def is_target(self, word: str) -> bool:
        if word in FIXED or word in REGISTRY or word in self.broken:
            return True
        # A search through installed packages may bring the op itself.
        return word.startswith("$") or self.find(word) is not None or word in REGISTRY

    def names(self) -> set[str]:
        """The ops and blocks that this file can see."""
        return {*REGISTRY, *self.known_blocks()}

    def _form(self, word: str, span: Span, value: Value | None) -> Form | None:
        if word in self.broken:
            return None
        if word in FIXED:
            return FIXED[word].read(self, span, value)
        if word.startswith("$"):
            return Insert.read(self, word[1:], span, value)
        block = self.find(word)
        if block is not None:
            return BlockCall.read(self, block, span, value)
        if word in REGISTRY:
            return OpCall.read(self, REGISTRY[word], span, value)
        self._unknown_op(Scalar(word, word, True, span))
        return None

    def _unknown_op(self, key: Scalar, help_: str | None = None) -> None:
        if self.lost:
            return  # it may be a block of a file that could not be read
        names = self.names()
        self.report(
            Code.UNKNOWN_OP,
            f"{shorten(key.text)!r} is not an op, nor a block that this file can see",
            key.span,
            help=help_
            or missing_space(key.text, names, key.span)
            or self._parameter(key)
            or other_forms.GROUPS.get(key.text.lower())
            or wording.unknown_op(key.text, names, key.span),
        )

    def _parameter(self, key: Scalar) -> Help | None:
        """The help for the name of a parameter, written as if it were an op."""
        declared = (self.params or {}).get(key.text)
        if declared is None:
            return None
        if declared.type == "layers":
            edit = Edit(key.span, f"${key.text}")
            return Help(f"it is a parameter: write `${key.text}`", (edit,))
        return Help(f"it is a parameter that holds {wording.with_article(declared.type)}, no op")

    # --- layers ----------------------------------------------------------------------------------

    def layers_argument(self, value: Value) -> Argument:
        if isinstance(value, Scalar) and isinstance(value.value, str):
            word = value.value[1:]
            declared = self.params.get(word) if self.params is not None else None
            if value.value.startswith("$") and (declared or self.params is None):
                return self.argument(value, TEXT)
        before, self.reads = self.reads, set()
        outer, is_one = self.partial, not isinstance(value, Items)
        # `$name` may add the arguments that a single op or block lacks here.
        self.partial = is_one
        nodes = self.node_or_list(value, "layers")
        self.partial = outer
        names, self.reads = frozenset(self.reads - {*MAGIC, EDGES}), before | self.reads
        text = value.text if isinstance(value, Scalar) else None
        if not names:
            constant = Layers(nodes, _EMPTY, names, text, is_one)
            return Argument(value.span, None, lambda env: constant)
        return Argument(
            value.span, None, lambda env: Layers(nodes, env, names, text, is_one), names
        )


def _name_for_values(node: Mapping) -> str | None:
    """The help for a node of `from` alone, which names values where it has a name."""
    if set(node.entries) != {"from"}:
        return None
    return "to name values write `{name: …, from: …}`; `from` beside an op says what the op reads"


def _is_there(node: Node) -> bool:
    """Whether a node stands there whatever its `when` says."""
    if node.when is None:
        return not isinstance(node.form, FromAlone)
    return node.otherwise is not None and _is_there(node.otherwise)


_EMPTY = Env({}, None, None)  # type: ignore[arg-type]
