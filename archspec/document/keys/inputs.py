"""`input:` and `inputs:`: what the network takes."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal, Span
from archspec.document.blocks import File
from archspec.document.keys.key import FileKey
from archspec.document.schema_words import Schema, ref
from archspec.expressions.names import MODULE_ATTRIBUTES, check_identifier, check_node_name
from archspec.ir.graph import Graph
from archspec.text.values import Mapping, kind

IMPORTED = ("torch", "observe")
"""Names that generated code reads, and that no argument of `forward` may hide."""


class Input(FileKey):
    """`input: [3, 224, 224]`."""

    name = "input"
    doc = "Sizes of the one input, without the batch: [3, 224, 224]."

    def schema(self) -> Schema:
        return ref("sizes")

    def written(self, said: AbstractMapping[str, Any], graph: Graph) -> Any:
        return graph.inputs[0][1:] if graph.input_names == ("input",) else None


class Inputs(FileKey):
    """`inputs: {image: [3, 224, 224], meta: [16]}`."""

    name = "inputs"
    doc = "Named inputs and their sizes, without the batch."

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": ref("sizes"), "minProperties": 1}

    def written(self, said: AbstractMapping[str, Any], graph: Graph) -> Any:
        if graph.input_names == ("input",):
            return None
        return {n: s[1:] for n, s in zip(graph.input_names, graph.inputs, strict=True)}


def read_inputs(
    file: File, value: Mapping, required: bool, start: Span
) -> dict[str, tuple[Any, Span]]:
    """Named inputs as compiled lists of sizes; empty where the base's are kept."""
    one, several = value.get("input"), value.get("inputs")
    if one is not None and several is not None:
        file.report(
            Code.STRUCTURE, "`input` and `inputs` exclude each other", value.key("inputs").span
        )
    if several is not None:
        if isinstance(several, Mapping) and several.entries:
            found = {}
            for name, key, item in several.items():
                try:
                    check_identifier(name, "an input")
                    if name not in MODULE_ATTRIBUTES:  # an argument of forward() hides none
                        check_node_name(name)
                    if name in IMPORTED or name.startswith("__"):
                        raise Refusal(
                            f"{name!r} means something else in the code of the network",
                            code=Code.NAME,
                            help=f"call it {name.strip('_')}_in",
                        )
                except Refusal as refusal:
                    file.refuse(refusal, key.span)
                found[name] = (item, item.span)
            return found
        file.report(
            Code.STRUCTURE,
            f"`inputs` must be a mapping of names to sizes, not {kind(several)}",
            several.span,
            expected="{image: [3, 224, 224], meta: [16]}",
        )
        return {}
    if one is not None:
        return {"input": (one, one.span)}
    if required:
        file.report(
            Code.MISSING_KEY,
            "the spec has no `input`",
            start,
            expected="input: [channels, height, width]",
        )
    return {}
