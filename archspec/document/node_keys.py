"""The keys of a node beside its form. Each is declared once, with all that is said of it.

How a key is read, what may stand there for schema and editors, what it is for, and how `expand`
writes it back. A key is added with a field of `Node` and one entry here.
"""

from __future__ import annotations

from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.listed import Listed
from archspec.document.loop_keys import NodeMerge, NodeParallel, NodeRepeat
from archspec.document.node_key import NodeKey
from archspec.document.records import Condition, NamedInput, Node
from archspec.document.schema_words import Schema, ref
from archspec.document.scope import Scope
from archspec.document.weight_keys import NodeParametrize, NodeWeights
from archspec.expressions.arguments import NUMBERS, check_truth
from archspec.text.values import Mapping, Scalar, Value, kind


class NodeName(NodeKey):
    """`name: stem`."""

    name = "name"
    doc = "The last part of the node's module path, which may have dots."
    in_loop = True

    def schema(self) -> Schema:
        return {"type": ["string", "number"]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        node.name_span = value.span
        if isinstance(value, Scalar) and not (value.value is None or isinstance(value.value, bool)):
            node.name = scope.name(value.text, value.span)
            return
        help_ = None
        if isinstance(value, Mapping) and value.flow and len(value.entries) == 1:
            help_ = f'quote it: "{{{next(iter(value.entries))}}}"'
        scope.report(
            Code.NAME,
            f"{kind(value)} cannot name a node",
            value.span,
            expected="a word",
            help=help_,
        )

    def written(self, step: Listed) -> Any:
        made = step.step
        return made.name if made.named or made.name != str(step.number) else None


class NodeFrom(NodeKey):
    """`from: stem`, `from: [a, b]`, `from: {x: a, memory: b}`."""

    name = "from"
    doc = "What the node reads, instead of the node before it."

    def schema(self) -> Schema:
        named = {
            "type": "object",
            "additionalProperties": ref("references"),
            "description": "Inputs by name.",
        }
        return {"anyOf": [ref("references"), named]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if node.inputs is not None:
            scope.report(
                Code.STRUCTURE,
                f"the inputs are named twice: by `{node.form.word}` and by `from`",
                key.span,
                help="keep one of the two",
            )
        if not isinstance(value, Mapping):
            node.inputs = scope.references(value, "from")
            return
        by_name = [(key, scope.references(item, key.text)) for _, key, item in value.items()]
        node.named = tuple([NamedInput(key.text, key.span, len(refs)) for key, refs in by_name])
        node.inputs = tuple([reference for _, refs in by_name for reference in refs])

    def written(self, step: Listed) -> Any:
        op = step.step.op
        in_form = op is not None and op.variadic and step.step.shares is None
        if op is not None and op.given_names:
            return dict(zip(op.given_names, step.reads, strict=True))
        reads = step.reads if op is None else op.own_inputs(step.reads)
        if not reads or in_form or step.in_turn:
            return None
        return reads[0] if len(reads) == 1 else reads


class NodeWhen(NodeKey):
    """`when: stride != 1`."""

    name = "when"
    doc = "Where this is false, the node passes its input through."

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "boolean"}, ref("expression")]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        with scope.reporting(value.span):
            if not scope.is_name(value):
                check_truth(value)
            node.when = Condition(scope.argument(value, NUMBERS), value.span)


class NodeElse(NodeKey):
    """`else: input`, `else: {linear: 4}`, `else: [relu, {linear: 4}]`."""

    name = "else"
    doc = "What stands there where `when` is false: an earlier value, a node, or a list of nodes."

    def schema(self) -> Schema:
        return {"anyOf": [ref("reference"), ref("node"), ref("nodes")]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        from archspec.document.otherwise import alternative  # few specs have one

        node.otherwise = alternative(scope, value)


class NodeShare(NodeKey):
    """`share: other_node`; `share: true` on a loop."""

    name = "share"
    doc = "The node whose module is used again; true for one module that a loop applies each time."
    in_loop = True

    def schema(self) -> Schema:
        return {"anyOf": [ref("reference"), {"const": True}]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if isinstance(value, Scalar) and isinstance(value.value, bool):
            node.shares_one = True
            if refusal := _refused_share(node, value.value):
                scope.refuse(refusal, value.span)
            return
        refs = scope.references(value, "share")
        if len(refs) > 1 or (refs and refs[0].output is not None):
            scope.report(
                Code.STRUCTURE,
                "`share` names one node, whose module is applied again",
                value.span,
                expected="a name",
                help=f"write `share: {refs[0].name.text}`; what it reads, `from:` says",
            )
        node.share = refs[0] if refs else None

    def written(self, step: Listed) -> Any:
        owner = step.step.shares
        return None if owner is None else step.graph.steps[owner].name


def _refused_share(node: Node, value: bool) -> Refusal | None:
    """What is wrong with `share: true` on this node."""
    if not value or (node.repeat or node.parallel) is None or node.form.word == "share":
        return Refusal(
            "`share: true` is for a loop, whose iterations then apply one module",
            code=Code.STRUCTURE,
            expected="the name of a node, or `true` beside a loop's op or block",
            help="each iteration has a module of its own without `share`" if not value else None,
        )
    loop = node.repeat or node.parallel
    variables = {"index", *(name for name, _ in loop.variables)} if loop else set()
    if node.name is not None and not variables.isdisjoint(node.name.names):
        return Refusal(
            f"one module has one name, and {node.name.text!r} gives each iteration its own",
            code=Code.NAME,
            help="give it a name without the variables of the loop",
        )
    return None


class NodeTrainingOnly(NodeKey):
    """`training_only: true`."""

    name = "training_only"
    doc = "Left out in eval()."

    def schema(self) -> Schema:
        return {"type": "boolean"}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if isinstance(value, Scalar) and isinstance(value.value, bool):
            node.training_only = value.value
            return
        try:
            check_truth(value)
        except Refusal as refusal:
            scope.refuse(refusal, value.span)
            return
        scope.report(
            Code.STRUCTURE, f"`training_only` is true or false, not {kind(value)}", value.span
        )

    def written(self, step: Listed) -> Any:
        return step.step.training_only or None


class NodeTrainable(NodeKey):
    """`trainable: false`, `trainable: not frozen`."""

    name = "trainable"
    doc = "Where this is false, nothing trains the parameters that the node owns."

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "boolean"}, ref("expression")]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if node.share is not None:
            scope.report(
                Code.STRUCTURE,
                "`trainable` beside `share`: the parameters are those of the node that is shared",
                key.span,
                help="write it there",
            )
            return
        with scope.reporting(value.span):
            if not scope.is_name(value):
                check_truth(value)
            node.trainable = Condition(scope.argument(value, NUMBERS), value.span)

    def written(self, step: Listed) -> Any:
        made = step.step
        return False if made.frozen and made.shares is None else None


class NodeKeys(NodeKey):
    """`keys: both`, beside `share`."""

    name = "keys"
    doc = "With `both`, the shared module has a second name: that of this node."
    in_loop = True

    def schema(self) -> Schema:
        return {"const": "both"}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if not isinstance(value, Scalar) or value.value != "both":
            scope.report(
                Code.STRUCTURE,
                f"`keys` is `both`, not {kind(value)}",
                value.span,
                expected="both",
                help="without `keys`, a shared module has the keys of its owner alone",
            )
        elif node.share is None:
            scope.report(
                Code.STRUCTURE,
                "`keys: both` stands beside `share`, and nothing is shared here",
                key.span,
                help="name the owner of the module: `share: other`",
            )
        else:
            node.both_keys = True

    def written(self, step: Listed) -> Any:
        return "both" if step.step.both_keys else None


REPEAT = NodeRepeat()
PARALLEL = NodeParallel()
KEYS: tuple[NodeKey, ...] = (
    NodeName(),
    NodeFrom(),
    NodeWhen(),
    NodeElse(),
    REPEAT,
    PARALLEL,
    NodeShare(),
    NodeTrainingOnly(),
    NodeTrainable(),
    NodeWeights(),
    NodeParametrize(),
    NodeKeys(),
    NodeMerge(),
)
NODE_KEYS = tuple(key.name for key in KEYS)
SPECIAL = frozenset(NODE_KEYS) - {"name", "from", "training_only"}
"""The keys of nodes that are not `plain`."""
