"""`input:` and `inputs:`: what the network takes, as sizes alone or with a type."""

from __future__ import annotations

import re
from collections.abc import Mapping as AbstractMapping
from typing import Any

from archspec.diagnostics.diagnostic import Code, Edit, Help, Refusal, Span
from archspec.diagnostics.suggestions import certain_word, suggestion
from archspec.document.blocks import File
from archspec.document.keys.key import FileKey
from archspec.document.records import StatedInput
from archspec.document.schema_words import Schema, ref
from archspec.expressions.arguments import (
    NUMBERS,
    Argument,
    LocatedError,
    compile_value,
    found_value,
    show_value,
)
from archspec.expressions.names import check_input_name, check_node_name
from archspec.ir.graph import Graph
from archspec.ir.op import MAX_SIZE
from archspec.ir.types import FLOAT, INTEGERS, NAMES, ValueType
from archspec.sizes.size import WHOLE
from archspec.text.values import Items, Mapping, Scalar, Value, kind, shorten

MAX_SIZES = 6
"""The most sizes that one input may have."""

IMPORTED = ("torch", "observe")
"""Names that generated code reads, and that no argument of `forward` may hide."""

INPUT_KEYS: dict[str, Schema] = {
    "shape": {
        **ref("sizes"),
        "description": "Sizes without the batch; [] for one value a sample.",
    },
    "dtype": {
        "enum": list(NAMES[::-1]),
        "description": "float (the network's working precision), int64, int32 or bool.",
    },
    "below": {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_SIZE}, ref("expression")],
        "description": "Whole numbers of this input are at least 0 and less than this.",
    },
}
"""The keys of an input that states its type, and what may stand there."""

INPUT: Schema = {
    "anyOf": [
        ref("sizes"),
        {
            "type": "object",
            "properties": INPUT_KEYS,
            "required": ["shape"],
            "dependentRequired": {"below": ["dtype"]},
            "additionalProperties": False,
        },
    ]
}
"""What may stand for one input."""


class Input(FileKey):
    """`input: [3, 224, 224]`."""

    name = "input"
    doc = (
        "Sizes of the one input, without the batch: [3, 224, 224]; or with its type: "
        "{shape: [16], dtype: int64, below: 1000}."
    )

    def schema(self) -> Schema:
        return ref("input")

    def written(self, said: AbstractMapping[str, Any], graph: Graph) -> Any:
        return _written(said, graph)["input"] if graph.input_names == ("input",) else None


class Inputs(FileKey):
    """`inputs: {image: [3, 224, 224], meta: [16]}`."""

    name = "inputs"
    doc = (
        "Named inputs, each as `input` is: {image: [3, 64, 64], label: {shape: [], dtype: int64}}."
    )

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": ref("input"), "minProperties": 1}

    def written(self, said: AbstractMapping[str, Any], graph: Graph) -> Any:
        return None if graph.input_names == ("input",) else _written(said, graph)


def _written(said: AbstractMapping[str, Any], graph: Graph) -> dict[str, Any]:
    """The inputs by name, as a spec states them, with the symbols that it declares."""
    shapes = [shape[1:] for shape in graph.inputs]
    known = said.get("input_sizes") or dict(zip(graph.input_names, shapes, strict=True))
    kinds = zip(graph.input_names, graph.input_types, strict=True)
    return {name: _input_written(known[name], kind_) for name, kind_ in kinds}


def _input_written(sizes: tuple[Any, ...], kind_: ValueType) -> Any:
    if kind_ == FLOAT:
        return sizes
    below = {} if kind_.below is None else {"below": kind_.below}
    return {"shape": sizes, "dtype": kind_.name, **below}


def read_inputs(file: File, value: Mapping, required: bool, start: Span) -> dict[str, StatedInput]:
    """The inputs by name; empty where the base's are kept."""
    one, several = value.get("input"), value.get("inputs")
    if one is not None and several is not None:
        file.report(
            Code.STRUCTURE, "`input` and `inputs` exclude each other", value.key("inputs").span
        )
    if several is not None:
        return _named_inputs(file, several)
    if one is not None:
        return {"input": _input(file, one)}
    if required:
        file.report(
            Code.MISSING_KEY,
            "the spec has no `input`",
            start,
            expected="input: [channels, height, width]",
        )
    return {}


def _named_inputs(file: File, value: Value) -> dict[str, StatedInput]:
    """What stands under `inputs:`; mistakes are reported."""
    if not isinstance(value, Mapping) or not value.entries:
        file.report(
            Code.STRUCTURE,
            f"`inputs` must be a mapping of names to sizes, not {kind(value)}",
            value.span,
            expected="{image: [3, 224, 224], meta: [16]}",
        )
        return {}
    types = [value.get(key) for key in INPUT_KEYS if key != "shape"]
    if "shape" in value.entries and any(isinstance(each, Scalar) for each in types):
        file.report(
            Code.STRUCTURE,
            "these are keys of one input, and `inputs` has a name for each input",
            value.span,
            expected="{image: [3, 64, 64], label: {shape: [], dtype: int64}}",
            help="write `input:` for one input, or give it a name",
        )
        return {}
    found = {}
    for name, key, item in value.items():
        try:
            _check_name(name)
        except Refusal as refusal:
            file.refuse(refusal, key.span)
        found[name] = _input(file, item)
    return found


def _check_name(name: str) -> None:
    """Raises `Refusal` for what cannot name an input."""
    check_input_name(name)
    if name == "input":
        check_node_name(name)  # it stands for the first input, whatever that is called
    if name in IMPORTED or name.startswith("__"):
        raise Refusal(
            f"{name!r} means something else in the code of the network",
            code=Code.NAME,
            help=f"call it {name.strip('_')}_in",
        )


def _input(file: File, value: Value) -> StatedInput:
    """One input; mistakes are reported."""
    if not isinstance(value, Mapping) or not _has_a_key(value):
        return StatedInput(_sizes(file, value), FLOAT.name, None, value.span, value.span)
    file.check_keys(value, tuple(INPUT_KEYS), "an input")
    shape = value.get("shape")
    if shape is None and all(key in INPUT_KEYS for key in value.entries):  # else it is misspelt
        file.report(
            Code.MISSING_KEY,
            "the input has no `shape`",
            value.span,
            expected="shape: [16], without the batch; shape: [] for one value a sample",
        )
    sizes = _sizes(file, shape) if shape is not None else ()
    dtype = _dtype(file, value.get("dtype"))
    below = _below(file, value, dtype) if dtype is not None else None
    return StatedInput(
        sizes, dtype or FLOAT.name, below, value.span, shape.span if shape else value.span
    )


def _has_a_key(value: Mapping) -> bool:
    """Whether a mapping has a key of an input, or a slip of one."""
    return any(key in INPUT_KEYS or certain_word(key, INPUT_KEYS) for key in value.entries)


def _dtype(file: File, value: Value | None) -> str | None:
    """The name of a type; None for any other word, which is reported."""
    if value is None:
        return FLOAT.name
    if isinstance(value, Scalar) and value.text in INPUT_KEYS["dtype"]["enum"]:
        return value.text
    message, help_ = f"a dtype is a word, not {kind(value)}", None
    if isinstance(value, Scalar) and isinstance(value.value, str):
        message, help_ = f"{shorten(value.text)!r} is no dtype", _dtype_help(value)
    file.report(
        Code.STRUCTURE,
        message,
        value.span,
        expected=f"one of {', '.join(NAMES[::-1])}",
        help=help_,
    )
    return None


def _dtype_help(value: Scalar) -> Help:
    from archspec.document.other_words import type_elsewhere  # for a mistake alone

    _, dot, word = value.text.rpartition(".")
    if dot and word in NAMES:
        return Help(f"write `{word}`", (Edit(value.span, word),))
    near = suggestion(word, NAMES, value.span)
    text = type_elsewhere(word)
    return near if near.edits or text is None else Help(text)


def _below(file: File, given: Mapping, dtype: str) -> Argument | None:
    """The bound of an input's whole numbers; mistakes are reported."""
    value = given.get("below")
    if value is None:
        return None
    if dtype not in INTEGERS:
        file.report(
            Code.STRUCTURE,
            f"`below` bounds whole numbers, and this input is {dtype}",
            given.key("below").span,
            expected="`below` beside `dtype: int64` or `dtype: int32`",
            help="write `dtype: int64`, or remove `below`",
        )
        return None
    if not isinstance(value, Scalar):
        file.report(
            Code.STRUCTURE,
            f"`below` is one number, not {kind(value)}",
            value.span,
            expected=_BOUND,
        )
        return None
    try:
        below = compile_value(value, NUMBERS, file.reader.limits)
        if below.evaluate is None:
            check_below(below.constant)
    except Refusal as refusal:
        file.refuse(refusal, value.span)
    except LocatedError as error:
        file.diagnostics.extend(error.diagnostics)
    else:
        return below
    return None


def _sizes(file: File, value: Value) -> tuple[Argument, ...]:
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
        if index == 0 and _is_batch(file, item):
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
    elif isinstance(value, Mapping):
        return (
            "an input with a type is `{shape: [16], dtype: int64}`; several stand under `inputs:`"
        )
    return f"write `[{', '.join(sizes)}]`" if sizes else None


def _is_batch(file: File, value: Value) -> bool:
    """Whether a first size is a word for the batch."""
    return isinstance(value, Scalar) and value.text in BATCH - file.params


def check_count(count: int) -> None:
    """Raises `Refusal` for an input of too many sizes."""
    if count > MAX_SIZES:
        raise Refusal(
            f"an input of {count} sizes",
            code=Code.STRUCTURE,
            expected=f"at most {MAX_SIZES} sizes, without N",
        )


def check_size(size: Any) -> None:
    """Raises `Refusal` for what is no size of an input."""
    if type(size) not in WHOLE or not 1 <= size <= MAX_SIZE:
        raise Refusal(
            f"an input's size cannot be {show_value(size)}",
            code=Code.STRUCTURE,
            expected=f"a whole number from 1 to {MAX_SIZE}",
            found=found_value(size),
        )


_BOUND = f"a whole number from 1 to {MAX_SIZE}"


def check_below(below: Any) -> None:
    """Raises `Refusal` for what bounds no whole numbers."""
    if below.__class__ is not int or not 1 <= below <= MAX_SIZE:
        raise Refusal(
            f"`below` cannot be {show_value(below)}",
            code=Code.STRUCTURE,
            expected=_BOUND,
            found=found_value(below),
        )
