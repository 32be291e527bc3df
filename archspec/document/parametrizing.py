"""`parametrize` of a node: read where one is met."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code
from archspec.diagnostics.suggestions import suggestion
from archspec.document.records import Form, Node
from archspec.document.scope import Scope
from archspec.ir.weight_norms import PARAMETRIZATIONS
from archspec.text.values import Mapping, Scalar, Value, kind


def read(scope: Scope, node: Node, key: Scalar, value: Value) -> None:
    """Reads the key into the node; mistakes are reported."""
    if node.share is not None:
        scope.report(
            Code.STRUCTURE,
            "`parametrize` beside `share`: the module and its weights are those that are shared",
            key.span,
            help="write it on the node that is shared",
        )
    elif not isinstance(value, Mapping) or not value.entries:
        scope.report(
            Code.STRUCTURE,
            f"`parametrize` names weights of the op and what computes them, not {kind(value)}",
            value.span,
            expected="a mapping, such as `parametrize: {weight: weight_norm}`",
        )
    else:
        calls = [(name, place, _call(scope, item)) for name, place, item in value.items()]
        node.parametrize = {name: (place.span, call) for name, place, call in calls if call}


def _call(scope: Scope, value: Value) -> Form | None:
    """One parametrization: a word, or a mapping of a word to its arguments."""
    word, given = value, None
    if isinstance(value, Mapping) and len(value.entries) == 1:
        ((_, word, given),) = value.items()
    if not isinstance(word, Scalar) or word.value is None:
        scope.report(
            Code.STRUCTURE,
            f"{kind(value)} is no parametrization",
            value.span,
            expected=_expected(),
            help="give one word with its arguments: `{weight_norm: {dim: 0}}`",
        )
        return None
    known = PARAMETRIZATIONS.get(word.text)
    if known is None:
        scope.report(
            Code.UNKNOWN_OP,
            f"{word.text!r} is no parametrization",
            word.span,
            expected=_expected(),
            help=suggestion(word.text, PARAMETRIZATIONS, word.span),
        )
        return None
    return scope.op_call(known, word.span, given)


def _expected() -> str:
    return " or ".join(PARAMETRIZATIONS)
