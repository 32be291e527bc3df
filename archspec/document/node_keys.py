"""The keys of a node beside its form. Each is declared here once, with all that is said of it.

How a key is read, what may stand there for schema and editors, what it is for, and how `expand`
writes it back. A key is added with a field of `Node` and one entry here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.listed import Listed
from archspec.document.records import Condition, NamedInput, Node, Repeat
from archspec.document.schema_words import IDENTIFIER, Schema, ref
from archspec.document.scope import Scope
from archspec.expressions.arguments import NUMBERS, Argument, check_truth
from archspec.expressions.names import check_identifier
from archspec.text.values import Items, Mapping, Scalar, Value, kind


class NodeKey(ABC):
    """One key. `in_loop`: what it says may differ in each iteration of the node's `repeat`.

    `in_parallel`: the same of the elements of a `parallel`.
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    in_loop: ClassVar[bool] = False
    in_parallel: ClassVar[bool] = True

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


def not_on(word: str, what: str) -> Refusal:
    """The refusal of `weights` or `parametrize` on what is no op."""
    return Refusal(
        f"`{word}` stands on ops, and {what} is none",
        code=Code.STRUCTURE,
        help="give a group or block the tensor as an input: a block with `inputs: [x, weight]`"
        if word == "weights"
        else "write it on the ops inside that own the weights",
    )


def _refused_in_list(node: Node, word: str) -> Refusal | None:
    """As `not_on`, of branches and groups, whose nodes may join the list without a scope."""
    if node.form.joins_list:
        return not_on(word, "branches")
    return not_on(word, "a group") if node.form.joins_in_repeat else None


class NodeWeights(NodeKey):
    """`weights: {weight: other.weight}`."""

    name = "weights"
    doc = "Tensors in the place of the op's own: values of the list, or parameters of other nodes."
    in_loop = True

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": ref("reference"), "minProperties": 1}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if node.share is not None:
            scope.report(
                Code.STRUCTURE,
                "`weights` beside `share`: the module and its weights are those that are shared",
                key.span,
                help="keep one of the two",
            )
        elif node.shares_one:
            scope.report(
                Code.STRUCTURE,
                "`weights` beside `share: true`: what is shared is a module with its own weights",
                key.span,
                help="keep one of the two",
            )
        elif refusal := _refused_in_list(node, self.name):
            scope.refuse(refusal, node.form.span)
        elif not isinstance(value, Mapping) or not value.entries:
            scope.report(
                Code.STRUCTURE,
                f"`weights` names weights of the op and what stands for them, not {kind(value)}",
                value.span,
                expected="a mapping, such as `weights: {weight: other.weight}`",
            )
        else:
            node.weights = {
                name: (place.span, each)
                for name, place, item in value.items()
                for each in scope.references(item, name)[:1]
            }

    def written(self, step: Listed) -> Any:
        made, op = step.step, step.step.op
        if op is None or made.shares is not None:
            return None
        own = len(op.own_inputs(made.input_shapes))
        given = dict(zip(getattr(op, "given", ()), step.reads[own:], strict=False))
        owners = {tie.name: (step.graph.steps[tie.owner].name, tie.key) for tie in made.ties}
        return {**given, **{name: ".".join(each) for name, each in owners.items()}} or None


class NodeParametrize(NodeKey):
    """`parametrize: {weight: weight_norm}`, `parametrize: {weight: {weight_norm: {dim: 1}}}`."""

    name = "parametrize"
    doc = "How weights of the op are computed of others: weight_norm or spectral_norm."
    in_loop = True

    def schema(self) -> Schema:
        return {
            "type": "object",
            "additionalProperties": ref("parametrization"),
            "minProperties": 1,
        }

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        from archspec.document.parametrizing import read  # few nodes have one

        if refusal := _refused_in_list(node, self.name):
            scope.refuse(refusal, node.form.span)
            return
        read(scope, node, key, value)

    def written(self, step: Listed) -> Any:
        made = step.step
        if made.shares is not None:
            return None
        return {
            name: {how.op_name: how.arguments()} if how.arguments() else how.op_name
            for name, how in getattr(made.op, "computed", ())
        } or None


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
