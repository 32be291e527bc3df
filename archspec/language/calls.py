"""What a node calls, an op, a block or a layers parameter, and the arguments written for it."""

from __future__ import annotations

from contextlib import suppress

from archspec.errors import Code, Diagnostic, Refusal, Span, certain_word, mended
from archspec.ir.op import REGISTRY, Op
from archspec.language import wording
from archspec.language.arguments import (
    NUMBERS,
    TEXT,
    Argument,
    check_truth,
    colon_mended,
    op_kinds,
    truths,
    unknown_argument,
)
from archspec.language.expressions import inserted, parse
from archspec.language.model import Block, Layers, Node, Parameter
from archspec.language.operations import MAGIC, Env
from archspec.language.scope import Scope, hidden_name, missing_argument
from archspec.language.source import Items, Mapping, Scalar, Value, kind, shorten
from archspec.language.validate import make_op

NODE_KEYS = ("name", "from", "when", "repeat", "share", "training_only")


class CallParser(Scope):
    """Parses the op, block or layers parameter of a node, with its arguments."""

    def node_or_list(self, value: Value, what: str) -> tuple[Node, ...]:
        """A list of nodes, or one node alone: what a layers parameter may be given."""
        raise NotImplementedError

    # --- ops and blocks --------------------------------------------------------------------------

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
            f"{shorten(key.text)!r} is not an op, nor a block that this file can see",
            key.span,
            **(
                colon_mended(key.text, names, key.span)
                or wording.op_mended(key.text, names, key.span)
            ),
        )

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
        self.called.add(block)
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
                    expected=wording.call_form(target),
                    help=wording.by_name(target, args),
                )
                return {}
            return self._one(target, primary, args)
        compiled: dict[str, Argument] = {}
        known = target.params if isinstance(target, Block) else target.fields()
        for key, at, value in args.items():
            if key not in known:
                self.diagnostics.append(unknown_argument(name, key, known, at.span, args.entries))
                if is_op and key in NODE_KEYS:
                    self.diagnostics[-1] = wording.misplaced_key(name, key, at.span)
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

    # --- layers ----------------------------------------------------------------------------------

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

    def _insert(self, name: str, span: Span, args: Value | None) -> Node | None:
        if self.params is not None:
            declared = self.params.get(name)
            if declared is None and name in self.hidden:
                self.diagnostics.append(Diagnostic.of(hidden_name(name), span))
                return None
            if declared is None:
                layered = [p.name for p in self.params.values() if p.type == "layers"]
                self.report(
                    Code.UNKNOWN_NAME,
                    f"no parameter {name!r} is in scope",
                    span,
                    expected="a parameter that holds layers",
                    **wording.dollar_mended(name, mended(name, layered, span)),
                )
                return None
            if declared.type != "layers":
                self.report(
                    Code.PARAMETER,
                    f"the parameter {name!r} holds {wording.with_article(declared.type)}, "
                    "and a node needs layers",
                    span,
                    help=self._op_default(declared)
                    or f"declare it as `{name}: layers`, or with an op as its default",
                )
                return None
        self.reads.add(name)
        node = Node("insert", name, span)
        if args is not None and not (isinstance(args, Scalar) and args.value is None):
            node.raw = args
            loops = list(self.loops)
            self.note_reads(args)

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

    def _op_default(self, declared: Parameter) -> str | None:
        """Help for a default that is text, and all but the name of an op."""
        if declared.type != "str" or not isinstance(declared.value, Scalar):
            return None
        near = certain_word(declared.value.text, {*REGISTRY, *self.known_blocks()})
        return near and f"did you mean the op? `{declared.name}: {near}`"

    def note_reads(self, value: Value) -> None:
        """Names that arguments may read, before it is known which argument is an expression."""
        if isinstance(value, Scalar):
            if isinstance(value.value, str):
                with suppress(Refusal):
                    text = inserted(value.value) or value.value
                    self.reads.update(parse(text, self.limits).names)
        elif isinstance(value, Items):
            for item in value:
                self.note_reads(item)
        else:
            for _, _, item in value.items():
                self.note_reads(item)


_EMPTY = Env({}, None, None)  # type: ignore[arg-type]
