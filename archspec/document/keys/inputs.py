"""`input:` and `inputs:`: what the network takes."""

from __future__ import annotations

import re
from collections.abc import Mapping as AbstractMapping
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Code, Refusal, Span
from archspec.document.blocks import File
from archspec.document.keys.key import FileKey
from archspec.document.schema_words import Schema, ref
from archspec.expressions.arguments import (
    NUMBERS,
    Argument,
    LocatedError,
    compile_value,
    found_value,
    show_value,
)
from archspec.expressions.names import MODULE_ATTRIBUTES, check_identifier, check_node_name
from archspec.ir.graph import Graph
from archspec.ir.op import MAX_SIZE
from archspec.text.values import Items, Mapping, Scalar, Value, kind

MAX_SIZES = 6
"""The most sizes that one input may have."""

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


Sizes: TypeAlias = tuple[Argument, ...]
"""What is written for each size of an input, compiled."""


def read_inputs(
    file: File, value: Mapping, required: bool, start: Span
) -> dict[str, tuple[Sizes, Span]]:
    """Named inputs with their sizes; empty where the base's are kept."""
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
                found[name] = (_sizes(file, item), item.span)
            return found
        file.report(
            Code.STRUCTURE,
            f"`inputs` must be a mapping of names to sizes, not {kind(several)}",
            several.span,
            expected="{image: [3, 224, 224], meta: [16]}",
        )
        return {}
    if one is not None:
        return {"input": (_sizes(file, one), one.span)}
    if required:
        file.report(
            Code.MISSING_KEY,
            "the spec has no `input`",
            start,
            expected="input: [channels, height, width]",
        )
    return {}


def _sizes(file: File, value: Value) -> Sizes:
    """The sizes of one input; mistakes are reported."""
    if not isinstance(value, Items):
        file.report(
            Code.STRUCTURE,
            f"an input is a list of sizes, not {kind(value)}",
            value.span,
            expected="[channels, height, width], without the batch",
            help=_as_list(value),
        )
        return ()
    found: list[Argument] = []
    try:
        check_count(len(value.items))
    except Refusal as refusal:
        file.refuse(refusal, value.span)
    for index, item in enumerate(value):
        if index == 0 and len(value.items) > 1 and _is_batch(file, item):
            rest = ", ".join(each.text for each in value.items[1:] if isinstance(each, Scalar))
            file.report(
                Code.STRUCTURE,
                "the batch is no size of an input",
                item.span,
                help=f"leave it out: write `[{rest}]`",
            )
            continue
        try:
            size = compile_value(item, NUMBERS, file.reader.limits)
            if size.evaluate is None:
                check_size(size.constant)
            found.append(size)
        except Refusal as refusal:
            file.refuse(refusal, item.span)
        except LocatedError as error:
            file.diagnostics.extend(error.diagnostics)
    return tuple(found)


BATCH = frozenset(("N", "B", "n", "b", "None", "null", "-1", "batch", "batch_size"))

_PRODUCT = re.compile(r"[(\s]*\d+(\s*[x×X*,]\s*\d+)*[)\s]*")
"""Sizes as people write them: `3x32x32`, `3 × 32 × 32`, `(3, 32, 32)`, `3, 32, 32`."""


_SIDES = ("channels", "height", "width")


def _as_list(value: Value) -> str | None:
    """The help for sizes that are written out, and not as a list."""
    sizes: list[str] = []
    if isinstance(value, Scalar) and _PRODUCT.fullmatch(value.text):
        sizes = re.findall("[0-9]+", value.text)
    elif isinstance(value, Mapping) and set(value.entries) == set(_SIDES):
        sides = [value.get(side) for side in _SIDES]
        sizes = [side.text for side in sides if isinstance(side, Scalar)]
    return f"write `[{', '.join(sizes)}]`" if sizes else None


def _is_batch(file: File, value: Value) -> bool:
    """Whether a first size is a word for the batch."""
    return isinstance(value, Scalar) and value.text in BATCH - file.params


def check_count(count: int) -> None:
    """Raises `Refusal` for an input of too few or too many sizes."""
    if not 1 <= count <= MAX_SIZES:
        raise Refusal(
            f"an input of {count} sizes",
            code=Code.STRUCTURE,
            expected=f"1 to {MAX_SIZES} sizes, without N",
        )


def check_size(size: Any) -> None:
    """Raises `Refusal` for what is no size of an input."""
    if size.__class__ is not int or not 1 <= size <= MAX_SIZE:
        raise Refusal(
            f"an input's size cannot be {show_value(size)}",
            code=Code.STRUCTURE,
            expected=f"a whole number from 1 to {MAX_SIZE}",
            found=found_value(size),
        )
