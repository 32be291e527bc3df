"""The keys of nodes that stand more than once: `repeat`, `parallel` and `merge`."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.node_key import NodeKey
from archspec.document.records import Node, Repeat
from archspec.document.schema_words import IDENTIFIER, Schema, ref
from archspec.document.scope import Scope
from archspec.expressions.arguments import NUMBERS, Argument
from archspec.expressions.names import check_identifier
from archspec.text.values import Items, Mapping, Scalar, Value, kind


class NodeRepeat(NodeKey):
    """`repeat: 3`, `repeat: {stage: stages}`. It is read first: the others see its variables."""

    name = "repeat"
    doc = "A count, or lists to walk together: {stage: stages}. Binds `index`."

    def schema(self) -> Schema:
        loop = {
            "type": "object",
            "propertyNames": {"pattern": IDENTIFIER},
            "additionalProperties": {
                "anyOf": [{"type": "array"}, {"type": "integer", "minimum": 0}, ref("expression")]
            },
            "minProperties": 1,
        }
        return {"anyOf": [{"type": "integer", "minimum": 0}, ref("expression"), loop]}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        """`loop` has read it."""

    def loop(self, scope: Scope, value: Value | None) -> Repeat | None:
        """The loop, before anything else of the node is read."""
        word = self.name
        if value is None or (isinstance(value, Scalar) and value.is_absent):
            return None
        variables: list[tuple[str, Argument]] = []
        times = None
        with scope.reporting(value.span):
            if isinstance(value, Mapping):
                variables = [_variable(scope, *each) for each in value.items()]
                if not variables:
                    raise Refusal(f"`{word}` over nothing", code=Code.REPEAT)
            elif isinstance(value, Items):
                raise Refusal(
                    f"a list to {word} over needs a name for its elements"
                    if word == "repeat"
                    else "a list to walk needs a name for its elements",
                    code=Code.REPEAT,
                    help=f"write `{word}: {{item: [...]}}`",
                )
            else:
                times = scope.argument(value, NUMBERS)
        return Repeat(times, tuple(variables), value.span, word)


class NodeParallel(NodeRepeat):
    """`parallel: 3`, `parallel: {rate: rates}`: as `repeat`, with the iterations side by side."""

    name = "parallel"
    doc = "A count, or lists to walk together: the node once for each element, side by side."


class NodeMerge(NodeKey):
    """`merge: concat`, beside `branches` or `parallel`."""

    name = "merge"
    doc = "The op or block that joins the branches, or the elements of a parallel."
    in_loop = True
    in_parallel = False

    def schema(self) -> Schema:
        return ref("node")

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if node.parallel is None and node.form.word != "branches":
            scope.report(
                Code.STRUCTURE,
                "`merge` joins branches, or the elements of a parallel",
                key.span,
                expected="`branches:` or `parallel:` beside it",
                help="a node that joins others names them: `add: [a, b]`",
            )
            return
        if isinstance(value, Items):
            scope.report(Code.STRUCTURE, f"`merge` is one op, not {kind(value)}", value.span)
            return
        node.merge = merge = scope.node(value)
        if node.parallel is None:
            node.form.merge = merge
        if merge is not None and (loop := merge.repeat or merge.parallel):
            scope.report(
                Code.REPEAT,
                "a merge stands once and cannot repeat",
                loop.span,
                help="put `repeat:` beside `branches:`, or on a node after it",
            )
        if merge is not None and merge.inputs is not None:
            scope.report(
                Code.STRUCTURE,
                "a merge of branches takes the branches, and names no inputs of its own"
                if node.parallel is None
                else "a merge takes what the elements give, and names no inputs of its own",
                merge.span,
            )


def _variable(scope: Scope, name: str, key: Scalar, value: Value) -> tuple[str, Argument]:
    """A variable and its list. Where one of them is wrong, the name still is in scope."""
    with scope.reporting(key):
        _check_variable(scope, name, value)
        return name, scope.argument(value, NUMBERS)
    return name, Argument(value.span, None)


def _check_variable(scope: Scope, name: str, value: Value) -> None:
    """Raises `Refusal` for a name that no variable may have, and for a missing list."""
    check_identifier(name, "a loop variable")
    if name == "index":
        raise Refusal(
            "`index` counts every repeat and cannot name a loop variable",
            code=Code.NAME,
            help="call it item",
        )
    if scope.params and name in scope.params:
        raise Refusal(f"{name!r} is a parameter already", code=Code.DUPLICATE_NAME)
    if name == scope.rest:
        raise Refusal(f"{name!r} is an input of the block already", code=Code.DUPLICATE_NAME)
    if isinstance(value, Scalar) and value.is_absent:
        raise Refusal(f"{name!r} has no list to walk", code=Code.REPEAT)
