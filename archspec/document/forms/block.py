"""A call of a block: `residual: {out_channels: 64}`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from archspec.diagnostics.diagnostic import Span
from archspec.document.forms.call import Call
from archspec.document.records import Arguments, Block, Inputs, Place
from archspec.document.scope import Scope, missing_argument
from archspec.expressions.arguments import NUMBERS, TEXT, check_truth
from archspec.expressions.evaluate import Env
from archspec.ir.graph import Step
from archspec.text.values import Value


class BlockCall(Call):
    """A block with values for its parameters."""

    __slots__ = ("block",)

    def __init__(self, block: Block, span: Span) -> None:
        super().__init__(block.name, span)
        self.block = block

    @classmethod
    def read(cls, scope: Scope, block: Block, span: Span, value: Value | None) -> BlockCall:
        """The call as written; mistakes are reported."""
        call, reported = cls(block, span), len(scope.diagnostics)
        call.args = call.read_arguments(scope, value)
        if scope.partial or len(scope.diagnostics) > reported:
            return call  # a misspelt argument is not also a missing one
        for name in call.required:
            if name not in call.args:
                missing = missing_argument(block.name, block.params[name], span)
                scope.diagnostics.append(missing)
        return call

    @property
    def known(self) -> Collection[str]:
        return self.block.params

    @property
    def required(self) -> Iterable[str]:
        return [name for name, parameter in self.block.params.items() if parameter.required]

    def read_one(self, scope: Scope, name: str, value: Value) -> Arguments:
        parameter = self.block.params[name]
        with scope.reporting(value):
            if parameter.type == "layers":
                return {name: scope.layers_argument(value)}
            if parameter.type == "bool" and not scope.is_name(value):
                check_truth(value)
            return {name: scope.argument(value, TEXT if parameter.type == "str" else NUMBERS)}
        return {}

    def step(self, place: Place) -> Step | None:
        return place.call(self.block, self.args, self.span)

    @property
    def count(self) -> int | None:
        return len(self.block.outputs or ()) or None

    def input_names(self, env: Env) -> Inputs | None:
        return self.block.inputs

    def output_names(self, env: Env) -> tuple[str | None, ...]:
        return tuple([output.name for output in self.block.outputs or ()])
