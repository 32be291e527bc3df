"""Keys that say something of a network: its name, how it is filled, what to ignore."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics import silencing as ignores
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.diagnostics.suggestions import suggestion
from archspec.document.blocks import File
from archspec.document.keys.key import Statement
from archspec.document.schema_words import Schema, listed
from archspec.ir.schemes import SCHEMES
from archspec.text.values import Items, Scalar, Value, kind, shorten

VERSION = 1


class Version(Statement):
    """`archspec: 1`."""

    name = "archspec"
    doc = "Version of the language."

    def schema(self) -> Schema:
        return {"const": VERSION}

    def read(self, file: File, value: Value | None) -> int:
        if value is not None and not (isinstance(value, Scalar) and value.value == VERSION):
            file.report(
                Code.VERSION,
                f"this archspec reads version {VERSION} of the language",
                value.span,
                expected=f"archspec: {VERSION}",
                found=kind(value),
            )
        return VERSION


class NetworkName(Statement):
    """`name: lenet`."""

    name = "name"
    doc = "Name of the network."

    def schema(self) -> Schema:
        return {"type": "string"}

    def read(self, file: File, value: Value | None) -> str:
        return file.text(value, self.name) or file.stem

    def inherited(self, said: Sequence[str]) -> str:
        return said[-1]


class Doc(Statement):
    """`doc: …`."""

    name = "doc"
    doc = "What the network is, for people."

    def schema(self) -> Schema:
        return {"type": "string"}

    def read(self, file: File, value: Value | None) -> str:
        return file.text(value, self.name)


class Init(Statement):
    """`init: xavier_uniform`."""

    name = "init"
    doc = "How every convolution and linear layer is filled."
    behind_layers = 3

    def schema(self) -> Schema:
        return {"enum": list(SCHEMES)}

    def read(self, file: File, value: Value | None) -> str | None:
        if value is None:
            return None
        name = file.text(value, self.name)
        if name and name not in SCHEMES:
            file.report(
                Code.ARGUMENT,
                f"{shorten(name)!r} is not an initialisation scheme",
                value.span,
                expected=f"one of {', '.join(SCHEMES)}",
                help=suggestion(name, SCHEMES, value.span),
            )
        return name or None


class Ignore(Statement):
    """`ignore: [AS903]`: warnings that the whole file silences."""

    name = "ignore"
    doc = "Codes of warnings to leave out."
    behind_layers = 2

    def schema(self) -> Schema:
        return listed({"enum": list(ignores.WARNINGS)})

    def read(self, file: File, value: Value | None) -> tuple[str, ...]:
        codes = []
        for item in () if value is None else value.items if isinstance(value, Items) else (value,):
            code = file.text(item, self.name)
            try:
                codes.append(ignores.check_code(code))
            except Refusal as refusal:
                if code:
                    file.refuse(refusal, item.span)
        return tuple(codes)

    def inherited(self, said: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(code for codes in said for code in codes))
