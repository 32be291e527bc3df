"""The keys of nodes whose weights come from elsewhere: `weights` and `parametrize`."""

from __future__ import annotations

from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.listed import Listed
from archspec.document.node_key import NodeKey
from archspec.document.records import Node
from archspec.document.schema_words import Schema, ref
from archspec.document.scope import Scope
from archspec.text.values import Mapping, Scalar, Value, kind


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
