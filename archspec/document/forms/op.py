"""A primitive op with its arguments: `conv2d: {out_channels: 64, kernel_size: 3}`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, TypeGuard

from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Span
from archspec.document import wording
from archspec.document.forms.call import NO_ARGUMENTS, Call, misplaced
from archspec.document.records import Arguments, Inputs, Place
from archspec.document.scope import Scope
from archspec.expressions.arguments import Argument, check_truth, op_kinds, truths
from archspec.expressions.evaluate import EDGES, Env
from archspec.expressions.functions import MAGIC, shape_of
from archspec.expressions.parse import parse
from archspec.ir.fields import ArgumentsError
from archspec.ir.graph import Step
from archspec.ir.op import Op
from archspec.text.values import Items, Mapping, Scalar, Value, kind


class OpCall(Call):
    """One op. `ready` is the validated one, where no argument depends on anything.

    Its `args` are not kept then.
    """

    __slots__ = ("op", "ready")

    def __init__(self, op: type[Op], span: Span) -> None:
        super().__init__(op.op_name, span)
        self.op = op
        self.ready: Op | None = None

    @classmethod
    def read(cls, scope: Scope, op: type[Op], span: Span, value: Value | None) -> OpCall:
        """The call as written; mistakes are reported."""
        call, reported = cls(op, span), len(scope.diagnostics)
        call.args = call.read_arguments(scope, value)
        sound = len(scope.diagnostics) == reported and not scope.partial
        if sound and all(argument.evaluate is None for argument in call.args.values()):
            with scope.reporting(span):
                values = {name: argument.constant for name, argument in call.args.items()}
                call.ready = scope.ops.make(op, values, call.args, span)
                call.args = NO_ARGUMENTS  # they are all in it, and have passed
        return call

    @property
    def count(self) -> int | None:
        return None if self.op.gives_several else 1

    @property
    def primary(self) -> str | None:
        return self.op.primary

    @property
    def known(self) -> Collection[str]:
        fields = self.op.fields()
        return [*fields, LIKE] if self.op.sized_like else fields

    @property
    def required(self) -> Iterable[str]:
        return [name for name, field in self.op.fields().items() if field.is_required]

    def read_one(self, scope: Scope, name: str, value: Value) -> Arguments:
        with scope.reporting(value):
            if name == LIKE and self.op.sized_like:
                return {self.op.sized_like: sizes} if (sizes := _sizes_of(scope, value)) else {}
            if name in truths(self.op) and not scope.is_name(value):
                check_truth(value)
            return {name: scope.argument(value, op_kinds(self.op)[name])}
        return {}

    def _by_name(self, scope: Scope, given: Mapping) -> Arguments:
        if self.op.sized_like and LIKE in given.entries and self.op.sized_like in given.entries:
            scope.report(
                Code.ARGUMENT,
                f"{self.word}: `{LIKE}` and `{self.op.sized_like}` both say its sizes",
                given.key(LIKE).span,
                help="keep one of the two",
            )
        return super()._by_name(scope, given)

    def unknown(self, name: str, key: Scalar, given: Mapping) -> Diagnostic:
        return misplaced(name, self.word, key.span) or super().unknown(name, key, given)

    def instead(self, scope: Scope, name: str, value: Value, given: Mapping | None) -> str | None:
        if not isinstance(value, Scalar) or not isinstance(value.value, str):
            return None
        if name == LIKE or scope.is_name(value) or value.value in op_kinds(self.op)[name].literals:
            return None
        return self.op.instead(name, value.value, _written_out(given) if given else {})

    def alone(self, value: Value) -> str | None:
        if isinstance(value, Items):
            return self._as_inputs(value) or self._in_torchs_order(value)
        if not isinstance(value, Scalar) or type(value.value) is not int:
            return None
        if any(int in field.leaves for field in self.op.fields().values()):
            return None
        return f"write `{self.word}` alone: sizes of the input are inferred"

    def _as_inputs(self, given: Items) -> str | None:
        """The help for a list of nodes, as `add` takes them."""
        words = [item.text for item in given if isinstance(item, Scalar)]
        if self.op.num_inputs < 2 or len(words) != len(given.items):
            return None
        read = ", ".join(words)
        return f"the nodes that it reads stand beside it: `{{{self.word}: , from: [{read}]}}`"

    def _in_torchs_order(self, given: Items) -> str | None:
        """The help for more values than are needed: torch's first one is the size of the input."""
        values = [item for item in given if isinstance(item, Scalar)]
        if not self.op.kernels or not len(list(self.required)) < len(values) == len(given.items):
            return None
        named = dict(zip(self.known, values[1:], strict=False))
        try:
            self.op(**{name: each.value for name, each in named.items()})
        except (ArgumentsError, Refusal):
            return None
        written = ", ".join([f"{name}: {each.text}" for name, each in named.items()])
        return (
            "the size of the input, which comes first in torch, is inferred: write "
            f"`{self.word}: {{{written}}}`"
        )

    def read_edges(self, scope: Scope, value: Value) -> Value | None:
        if not self.op.variadic:
            return value
        if not isinstance(value, Mapping):
            if self._is_argument(value):
                return value
            has_other = "other" in self.op.fields()
            if has_other and (_is_number(value) or _is_computed(value, scope)):
                scope.diagnostics.append(wording.lone_number(self.word, value))
            else:
                self.inputs = scope.references(value, self.word)
            return None
        given = value.get("inputs")
        if given is None:
            return value
        self.inputs = scope.references(given, "inputs")
        rest = {key: entry for key, entry in value.entries.items() if key != "inputs"}
        return Mapping(rest, value.span, value.size, value.flow)

    def _is_argument(self, value: Value) -> bool:
        """Whether what stands alone is the primary argument, and not what the op reads."""
        name = self.op.primary
        if name is None or not isinstance(value, Scalar):
            return False
        is_text = str in self.op.fields()[name].leaves and not _NAME.fullmatch(value.text)
        return is_text or _is_number(value) or _is_inserted(value)

    def step(self, place: Place) -> Step | None:
        return place.op(self.made(place))

    def made(self, place: Place) -> Op:
        """The validated op. Raises `LocatedError`."""
        return self.ready or place.make(self.op, self.args, self.span)

    def input_names(self, env: Env) -> Inputs | None:
        if self.op.names_its_inputs:
            return Inputs((), any_names=True)
        return (
            Inputs(self.op.input_names, optional=self.op.optional_inputs, names_of=self.op.names_of)
            if self.op.input_names
            else None
        )


LIKE = "like"
"""The argument that names a value, of which an op takes the sizes after the channels."""


_NAME = re.compile(r"-?[\w.*-]+(\[[^\[\]]*\])?|.*\{.*")
"""What names a node, perhaps with an expression in braces; no sum and no product does."""


def _sizes_of(scope: Scope, value: Value) -> Argument | None:
    """The sizes after the channels of the value that is named; None where the edge is none.

    Raises `Refusal`.
    """
    if not isinstance(value, Scalar) or value.value is None or isinstance(value.value, bool):
        raise Refusal(
            f"`{LIKE}` names a value, and {kind(value)} is not a name",
            code=Code.ARGUMENT,
            expected="the name of a node before this one",
        )
    edge = scope.reference(value.text, value.span)
    if edge is None:
        return None

    def sizes(env: Env) -> Any:
        return shape_of(env, edge.render(env), f"`{LIKE}`")[2:]

    return Argument(value.span, None, sizes, frozenset((EDGES, *edge.names)))


def _is_inserted(value: Value) -> bool:
    """Whether it is `$name` or `$(…)`, which no node is called."""
    return isinstance(value, Scalar) and value.text.startswith("$")


def _is_computed(value: Value, scope: Scope) -> TypeGuard[Scalar]:
    """Whether a text is no name, but an expression over the names in scope."""
    if not isinstance(value, Scalar) or not isinstance(value.value, str) or scope.params is None:
        return False
    if _NAME.fullmatch(value.text):
        return False
    try:
        names = parse(value.text, scope.limits).names
    except Refusal:
        return False
    return bool(names) and names <= {*scope.params, *scope.loops, *MAGIC, EDGES}


def _is_number(value: Value) -> TypeGuard[Scalar]:
    return isinstance(value, Scalar) and type(value.value) in (int, float)


def _written_out(given: Mapping) -> dict[str, Any]:
    """The arguments that are numbers, or lists of numbers, in the text itself."""
    found: dict[str, Any] = {}
    for name, _, value in given.items():
        items = value.items if isinstance(value, Items) else (value,)
        numbers = [item.value for item in items if isinstance(item, Scalar)]
        if len(numbers) == len(items) and all(type(number) is int for number in numbers):
            found[name] = tuple(numbers) if isinstance(value, Items) else numbers[0]
    return found
