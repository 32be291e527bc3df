"""`sizes:`: symbols for sizes of the inputs, with the values at which figures are shown."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.blocks import File
from archspec.document.keys.inputs import check_size
from archspec.document.keys.key import Statement
from archspec.document.schema_words import IDENTIFIER, Schema
from archspec.expressions.names import check_identifier
from archspec.ir.op import MAX_SIZE
from archspec.text.values import Mapping, Scalar, Value, kind


class SizesKey(Statement):
    """`sizes: {H: 224, W: 224}`."""

    name = "sizes"
    doc = "Symbols for sizes of the inputs, with the sizes at which figures are shown."

    def schema(self) -> Schema:
        return {
            "type": "object",
            "propertyNames": {"pattern": IDENTIFIER},
            "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MAX_SIZE},
        }

    def read(self, file: File, value: Value | None) -> dict[str, int]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            file.report(
                Code.STRUCTURE,
                f"`sizes` must be a mapping of names to sizes, not {kind(value)}",
                value.span,
                expected="{H: 224, W: 224}",
            )
            return {}
        found: dict[str, int] = {}
        for name, key, item in value.items():
            span, size = key.span, item.value if isinstance(item, Scalar) else None
            try:
                check_identifier(name, "a size")
                span = item.span
                check_size(size)
            except Refusal as refusal:
                file.refuse(refusal, span)
                continue
            assert isinstance(size, int)
            found[name] = size
        return found

    def inherited(self, said: Sequence[AbstractMapping[str, int]]) -> dict[str, int]:
        return {name: size for sizes in said for name, size in sizes.items()}
