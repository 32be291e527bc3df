"""Values to nodes: the form of a `layers:` list, its edges, repeats, branches and arguments.

A mistake is reported and parsing goes on with the next node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from archspec.errors import Code, Diagnostic, Edit, Refusal, Span, mended
from archspec.ir.op import REGISTRY, Op
from archspec.language.arguments import (
    NUMBERS,
    TEXT,
    Argument,
    LocatedError,
    check_truth,
    colon_mended,
    never_written,
    op_kinds,
    truths,
    unknown_argument,
)
from archspec.language.expressions import Template, inserted, parse
from archspec.language.model import (
    Block,
    Branch,
    Condition,
    Layers,
    Node,
    Repeat,
)
from archspec.language.names import check_identifier
from archspec.language.operations import MAGIC, Env
from archspec.language.scope import Scope, missing_argument
from archspec.language.source import Items, Mapping, Scalar, Value, kind, shorten
from archspec.language.validate import make_op

NODE_KEYS = ("name", "from", "when", "repeat", "share", "training_only")
_OP_WORD = re.compile(r"\$?[A-Za-z_]\w*\Z")
_REFERENCE = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<index>[^\[\]]*)\])?\Z")

FindBlock = Callable[[str], Block | None]


class NodeParser(Scope):
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
                help=_list_help(what, value),
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
                f"{kind(value)} is no node",
                value.span,
                expected="an op or block name, or a mapping with one",
                **self._bare_mended(value),
            )
            return None
        return self._target(text, value.span, None)

    def _bare_mended(self, value: Scalar) -> dict[str, Any]:
        word = value.text.partition(":")[0]
        known = [word] if self.is_target(word) else []
        return colon_mended(value.text, known, value.span) or {"help": _bare_help(value)}

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
                    expected="a name with an expression, in a repeat that has no name itself",
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
            f"{shorten(other.text)!r} is no key of a node",
            other.span,
            expected=f"one op or block key, and any of {', '.join(NODE_KEYS)}",
            **(
                {"help": help_}
                if help_
                else colon_mended(other.text, NODE_KEYS, other.span)
                or never_written(other.text)
                or mended(other.text, NODE_KEYS, other.span, taken)
            ),
        )

    def _fields(self, name: str) -> Iterable[str]:
        op = REGISTRY.get(name)
        if op is not None:
            return op.fields()
        block = self.find(name)
        return block.params if block else ()

    def is_target(self, word: str) -> bool:
        """Whether a word names an op, a block, a layers parameter, or a group."""
        if word in ("layers", "branches") or word in REGISTRY or word in self.broken:
            return True
        # A search through installed packages may bring the op itself.
        return word.startswith("$") or self.find(word) is not None or word in REGISTRY

    def _unknown_op(self, key: Scalar) -> None:
        if self.lost:
            return  # it may be a block of a file that could not be read
        names = {*REGISTRY, *self.known_blocks()}
        self.report(
            Code.UNKNOWN_OP,
            f"{shorten(key.text)!r} is no op, and no block that this file can see",
            key.span,
            **(colon_mended(key.text, names, key.span) or _op_mended(key.text, names, key.span)),
        )

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

    # --- ops and blocks --------------------------------------------------------------------------

    def _op(self, op: type[Op], span: Span, args: Value | None) -> Node:
        node = Node("op", op.op_name, span, target=op)
        reported = len(self.diagnostics)
        node.args = self.arguments(op, args, span, node)
        sound = len(self.diagnostics) == reported
        if sound and not self.partial and all(a.evaluate is None for a in node.args.values()):
            with self.reporting(span):
                node.ready = make_op(
                    op,
                    {name: arg.constant for name, arg in node.args.items()},
                    {name: arg.span for name, arg in node.args.items()},
                    span,
                )
        return node

    def _block(self, block: Block, span: Span, args: Value | None) -> Node:
        node = Node("block", block.name, span, target=block)
        reported = len(self.diagnostics)
        node.args = self.arguments(block, args, span, node)
        if self.partial or len(self.diagnostics) > reported:
            return node  # a misspelt argument is not also a missing one
        for parameter in block.params.values():
            if parameter.required and parameter.name not in node.args:
                self.diagnostics.append(missing_argument(block.name, parameter, span))
        return node

    def arguments(
        self, target: type[Op] | Block, args: Value | None, span: Span, node: Node | None
    ) -> dict[str, Argument]:
        """The arguments written for an op or block; `node` takes the edges of a merge."""
        is_op = not isinstance(target, Block)
        name = target.op_name if not isinstance(target, Block) else target.name
        if args is None or (isinstance(args, Scalar) and args.plain and args.value is None):
            return {}
        if not isinstance(target, Block) and target.variadic and node is not None:
            args = self._merge_inputs(args, node)
            if args is None:
                return {}
        if not isinstance(args, Mapping):
            primary = target.primary if not isinstance(target, Block) else None
            if primary is None:
                self.report(
                    Code.ARGUMENT,
                    f"{name} takes its arguments by name, not {kind(args)}",
                    args.span,
                    expected=_call_form(target),
                    help=_by_name(target, args),
                )
                return {}
            return self._one(target, primary, args)
        compiled: dict[str, Argument] = {}
        known = target.params if isinstance(target, Block) else target.fields()
        for key, at, value in args.items():
            if key not in known:
                self.diagnostics.append(unknown_argument(name, key, known, at.span, args.entries))
                if is_op and key in NODE_KEYS:
                    self.diagnostics[-1] = _misplaced_key(name, key, at.span)
            elif isinstance(value, Scalar) and value.is_absent:
                self.report(
                    Code.ARGUMENT,
                    f"{name}: {key} has no value",
                    at.span,
                    expected="a value after the colon",
                    help="write `null` where null is meant",
                )
            else:
                compiled.update(self._one(target, key, value))
        return compiled

    def _one(self, target: type[Op] | Block, key: str, value: Value) -> dict[str, Argument]:
        with self.reporting(value.span):
            if isinstance(target, Block):
                parameter = target.params[key]
                if parameter.type == "layers":
                    return {key: self.layers_argument(value)}
                if parameter.type == "bool" and not self.is_name(value):
                    check_truth(value)
                return {key: self.argument(value, TEXT if parameter.type == "str" else NUMBERS)}
            if key in truths(target) and not self.is_name(value):
                check_truth(value)
            return {key: self.argument(value, op_kinds(target)[key])}
        return {}

    def layers_argument(self, value: Value) -> Argument:
        """A value for a layers parameter: nodes, or `$name` of another such parameter."""
        if isinstance(value, Scalar) and isinstance(value.value, str):
            word = value.value[1:]
            declared = self.params.get(word) if self.params is not None else None
            if value.value.startswith("$") and (declared or self.params is None):
                return self.argument(value, TEXT)
        before, self.reads = self.reads, set()
        outer, is_one = self.partial, not isinstance(value, Items)
        # The one who places a single op or block may add the arguments that are missing here.
        self.partial = is_one
        nodes = self.node_or_list(value, "layers")
        self.partial = outer
        names, self.reads = frozenset(self.reads - set(MAGIC)), before | self.reads
        text = value.text if isinstance(value, Scalar) else None
        if not names:
            constant = Layers(nodes, _EMPTY, names, text, is_one)
            return Argument(value.span, None, lambda env: constant)
        return Argument(
            value.span, None, lambda env: Layers(nodes, env, names, text, is_one), names
        )

    def _merge_inputs(self, args: Value, node: Node) -> Value | None:
        """Takes the edges out of a merge's arguments; what is left, or None."""
        if not isinstance(args, Mapping):
            node.inputs = self.references(args, node.key)
            return None
        given = args.get("inputs")
        if given is not None:
            node.inputs = self.references(given, "inputs")
            rest = {key: entry for key, entry in args.entries.items() if key != "inputs"}
            return Mapping(rest, args.span, args.size, args.flow)
        return args

    def _insert(self, name: str, span: Span, args: Value | None) -> Node | None:
        if self.params is not None:
            declared = self.params.get(name)
            if declared is None:
                layered = [p.name for p in self.params.values() if p.type == "layers"]
                self.report(
                    Code.UNKNOWN_NAME,
                    f"no parameter {name!r} is in scope",
                    span,
                    expected="a parameter that holds layers",
                    **_dollar(name, mended(name, layered, span)),
                )
                return None
            if declared.type != "layers":
                self.report(
                    Code.PARAMETER,
                    f"the parameter {name!r} holds {_article(declared.type)}, and a node needs "
                    "layers",
                    span,
                    help=f"declare it as `{name}: layers`, or with an op as its default",
                )
                return None
        self.reads.add(name)
        node = Node("insert", name, span)
        if args is not None and not (isinstance(args, Scalar) and args.value is None):
            node.raw = args
            loops = list(self.loops)
            self._note_reads(args)

            def compile_raw(
                target: type[Op] | Block,
            ) -> tuple[dict[str, Argument], list[Diagnostic]]:
                saved = self.loops, self.diagnostics
                self.loops, self.diagnostics = loops, []
                compiled, errors = self.arguments(target, args, span, None), self.diagnostics
                self.loops, self.diagnostics = saved
                return compiled, errors

            node.compile_raw = compile_raw
        return node

    def _note_reads(self, value: Value) -> None:
        """Names that arguments may read, before it is known which argument is an expression."""
        if isinstance(value, Scalar):
            if isinstance(value.value, str):
                with suppress(Refusal):
                    text = inserted(value.value) or value.value
                    self.reads.update(parse(text, self.limits).names)
        elif isinstance(value, Items):
            for item in value:
                self._note_reads(item)
        else:
            for _, _, item in value.items():
                self._note_reads(item)

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
            elif text == "share":
                refs = self.references(item, "share")
                node.share = refs[0] if refs else None
            elif text == "training_only":
                self._training_only(node, item)

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


def _dollar(name: str, found: dict[str, Any]) -> dict[str, Any]:
    found["help"] = found["help"] or f"declare it: `params: {{{name}: layers}}`"
    found["edits"] = tuple(Edit(e.span, f"${e.replacement}") for e in found["edits"])
    return found


def _op_mended(word: str, names: Iterable[str], span: Span) -> dict[str, Any]:
    found = mended(word, names, span)
    found["help"] = found["help"] or (
        "`archspec list --ops` names them all; define your own under `blocks:`"
    )
    return found


_EMPTY = Env({}, None, None)  # type: ignore[arg-type]


def _list_help(what: str, value: Value) -> str | None:
    if isinstance(value, Mapping):
        return "begin each node with a dash"
    if isinstance(value, Scalar) and value.text.startswith("-"):
        return f"write a space after the dash: `- {value.text.split()[0][1:]}`"
    if isinstance(value, Scalar) and isinstance(value.value, str):
        return f"write `{what}: [{shorten(value.text)}]`"
    return None


def _bare_help(value: Scalar) -> str | None:
    words = value.text.split()
    if len(words) == 2 and value.span.end_line > value.span.line:
        return f"a dash is missing on the next line: `- {words[1]}`"
    return "write a space after the colon" if ":" in value.text else None


def _article(type_: str) -> str:
    return {"int": "a number", "float": "a number", "bool": "a truth value", "str": "text"}.get(
        type_, f"a {type_}"
    )


def _by_name(target: type[Op] | Block, args: Value) -> str:
    """The arguments given by position, with the names that they have in this order."""
    names = list(target.params if isinstance(target, Block) else target.fields())
    name = target.name if isinstance(target, Block) else target.op_name
    values = (
        [item.text for item in args if isinstance(item, Scalar)]
        if (isinstance(args, Items))
        else [args.text]
        if isinstance(args, Scalar)
        else []
    )
    count = len(args) if isinstance(args, Items) else 1
    if not names or len(values) != count or count > len(names):
        return f"write `{name}: {{argument: value}}`"
    written = ", ".join(f"{key}: {value}" for key, value in zip(names, values, strict=False))
    return f"write `{name}: {{{written}}}`"


def _call_form(target: type[Op] | Block) -> str:
    if isinstance(target, Block):
        return f"{target.name}: {{{', '.join(f'{name}: …' for name in list(target.params)[:4])}}}"
    return f"{target.op_name}: {{{', '.join(f'{n}: …' for n in list(target.fields())[:4])}}}"


def _misplaced_key(name: str, key: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"{name} has no argument {key!r}: it is a key of the node",
        span,
        help=f"move `{key}:` beside `{name}:`, at the same indentation",
    )
