"""The keys of a node beside its form. Each is declared here once, with all that is said of it.

How a key is read, what may stand there for schema and editors, what it is for, and how `expand`
writes it back. A key is added with a field of `Node` and one entry here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.listed import Listed
from archspec.document.records import Condition, Node, Repeat
from archspec.document.schema_words import IDENTIFIER, Schema, ref
from archspec.document.scope import Scope
from archspec.expressions.arguments import NUMBERS, Argument, check_truth
from archspec.expressions.names import check_identifier
from archspec.text.values import Items, Mapping, Scalar, Value, kind


class NodeKey(ABC):
    """One key. `in_loop`: what it says may differ in each iteration of the node's `repeat`."""

    name: ClassVar[str]
    doc: ClassVar[str]
    in_loop: ClassVar[bool] = False

    @abstractmethod
    def schema(self) -> Schema:
        """What may stand there."""

    @abstractmethod
    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        """Reads the value into the node; mistakes are reported."""

    def written(self, step: Listed) -> Any:
        """What `expand` writes for a step of a finished graph; None where nothing is to say.

        Names and repeats are worked out by then, and conditions decided.
        """
        return None


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
    """`from: stem`, `from: [a, b]`."""

    name = "from"
    doc = "What the node reads, instead of the node before it."

    def schema(self) -> Schema:
        return ref("references")

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if node.inputs is not None:
            scope.report(
                Code.STRUCTURE,
                f"the inputs are named twice: by `{node.form.word}` and by `from`",
                key.span,
                help="keep one of the two",
            )
        node.inputs = scope.references(value, "from")

    def written(self, step: Listed) -> Any:
        op = step.step.op
        in_form = op is not None and op.variadic and step.step.shares is None
        if not step.reads or in_form or step.in_turn:
            return None
        return step.reads[0] if len(step.reads) == 1 else step.reads


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


class NodeRepeat(NodeKey):
    """`repeat: 3`, `repeat: {stage: stages}`. It is read first: the others see its variables."""

    name = "repeat"
    doc = "A count, or lists to walk together: {stage: stages}. Binds `index`."

    def schema(self) -> Schema:
        loop = {
            "type": "object",
            "propertyNames": {"pattern": IDENTIFIER},
            "additionalProperties": {"anyOf": [{"type": "array"}, ref("expression")]},
            "minProperties": 1,
        }
        return {"anyOf": [{"type": "integer", "minimum": 0}, ref("expression"), loop]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        """`loop` has read it."""

    def loop(self, scope: Scope, value: Value | None) -> Repeat | None:
        """The loop, before anything else of the node is read."""
        if value is None or (isinstance(value, Scalar) and value.is_absent):
            return None
        variables: list[tuple[str, Argument]] = []
        times = None
        with scope.reporting(value.span):
            if isinstance(value, Mapping):
                variables = [_variable(scope, text, item) for text, _, item in value.items()]
                if not variables:
                    raise Refusal("`repeat` over nothing", code=Code.REPEAT)
            elif isinstance(value, Items):
                raise Refusal(
                    "a list to repeat over needs a name for its elements",
                    code=Code.REPEAT,
                    help="write `repeat: {item: [...]}`",
                )
            else:
                times = scope.argument(value, NUMBERS)
        return Repeat(times, tuple(variables), value.span)


def _variable(scope: Scope, name: str, value: Value) -> tuple[str, Argument]:
    check_identifier(name, "a loop variable")
    if name == "index":
        raise Refusal(
            "`index` counts every repeat and cannot name a loop variable",
            code=Code.NAME,
            help="call it item",
        )
    if scope.params and name in scope.params:
        raise Refusal(f"{name!r} is a parameter already", code=Code.DUPLICATE_NAME)
    if isinstance(value, Scalar) and value.is_absent:
        raise Refusal(f"{name!r} has no list to walk", code=Code.REPEAT)
    return name, scope.argument(value, NUMBERS)


class NodeShare(NodeKey):
    """`share: other_node`."""

    name = "share"
    doc = "The node whose module is used again."
    in_loop = True

    def schema(self) -> Schema:
        return ref("reference")

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
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


REPEAT = NodeRepeat()
KEYS: tuple[NodeKey, ...] = (
    NodeName(),
    NodeFrom(),
    NodeWhen(),
    NodeElse(),
    REPEAT,
    NodeShare(),
    NodeTrainingOnly(),
)
NODE_KEYS = tuple(key.name for key in KEYS)
