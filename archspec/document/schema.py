"""The JSON Schema (draft 2020-12) of specs, with which editors complete and check them.

Ops' arguments come from their fields, through pydantic, and blocks' parameters from their
declarations, so the schema cannot drift from them. It accepts a little more than the compiler:
where a number, truth value or list is expected any text may stand, because it may be an
expression, and any key may name a block of the file's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.document import keys
from archspec.document.blocks import BLOCK_KEYS, library_block
from archspec.document.forms import FIXED
from archspec.document.keys.inputs import INPUT
from archspec.document.keys.patch import PATCH_ACTIONS
from archspec.document.node_keys import KEYS
from archspec.document.records import Block, Parameter
from archspec.document.schema_words import Schema, listed, ref
from archspec.ir.fields import model
from archspec.ir.op import REGISTRY, Op
from archspec.ir.weight_norms import PARAMETRIZATIONS
from archspec.text import files
from archspec.text.values import Scalar


def spec_schema() -> Schema:
    """The schema of a whole spec file. `$defs/block` is that of a file that is one block."""
    blocks = [block for name in sorted(files.library_blocks()) if (block := library_block(name))]
    ops = [REGISTRY[name] for name in sorted(REGISTRY)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "archspec network",
        "type": "object",
        "properties": _spec_properties(),
        "additionalProperties": False,
        "anyOf": [
            {"required": ["input", "layers"]},
            {"required": ["inputs", "layers"]},
            {"required": ["extends"]},
        ],
        "not": {"anyOf": [{"required": ["input", "inputs"]}, {"required": ["extends", "layers"]}]},
        "dependentRequired": {"patch": ["extends"]},
        "$defs": {
            **_vocabulary(),
            "node": _node(ops, blocks),
            "parametrization": _parametrization(),
            "block": _block_definition(),
            "patch": _patch(),
            **{f"op.{op.op_name}": _op(op) for op in ops},
            **{f"block.{block.name}": _block(block) for block in blocks},
        },
    }


# --- the file ------------------------------------------------------------------------------------


def _spec_properties() -> Schema:
    return {key.name: {**key.schema(), "description": key.doc} for key in keys.KEYS}


def _vocabulary() -> Schema:
    size = {"anyOf": [{"type": "integer", "minimum": 1}, ref("expression")]}
    reference = {
        "type": ["string", "number"],
        "description": "A node of this list, `input`, one of several outputs: name[0], or an "
        "iteration of a loop: name.0.",
    }
    references = {"anyOf": [ref("reference"), listed(ref("reference"))]}
    named = {"type": "object", "additionalProperties": ref("reference"), "minProperties": 1}
    return {
        "expression": {"type": "string", "description": "An expression, such as 4 * growth_rate."},
        "inserted": {
            "type": "string",
            "pattern": r"^\$",
            "description": "A value put in: $name or $(expression).",
        },
        "sizes": {"anyOf": [{"type": "array", "items": size}, ref("inserted")]},
        "input": INPUT,
        "reference": reference,
        "references": references,
        "outputs": {"anyOf": [named, references]},
        "nodes": {"type": "array", "items": ref("node")},
        "layers": {"anyOf": [ref("node"), ref("nodes")]},
    }


def _block_definition() -> Schema:
    return {
        "type": "object",
        "description": "A graph with parameters, used like an op.",
        "properties": dict(BLOCK_KEYS),
        "required": ["layers"],
        "additionalProperties": False,
    }


def _patch() -> Schema:
    forms = []
    for action in PATCH_ACTIONS:
        path = {"type": ["string", "number"], "description": "A node's path, as in the summary."}
        properties = {action: path}
        if action != "remove":
            properties["with"] = ref("layers")
        forms.append(
            {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        )
    return {"anyOf": forms}


# --- nodes ---------------------------------------------------------------------------------------


def _node(ops: Iterable[type[Op]], blocks: Iterable[Block]) -> Schema:
    """A name alone, or a mapping with an op beside the node keys."""
    alone = [op.op_name for op in ops if not _required(op)]
    alone += [b.name for b in blocks if not any(p.required for p in b.params.values())]
    targets = {op.op_name: ref(f"op.{op.op_name}") for op in ops}
    targets |= {block.name: ref(f"block.{block.name}") for block in blocks}
    others = r"^\$?(?!(?:" + "|".join(targets) + r")$)[A-Za-z_][A-Za-z0-9_]*$"
    return {
        "anyOf": [
            {"enum": sorted(alone)},
            {"type": "string", "pattern": others},
            {
                "type": "object",
                "properties": {**_node_keys(), **dict(sorted(targets.items()))},
                "minProperties": 1,
            },
        ]
    }


def _node_keys() -> Schema:
    keys = {key.name: (key.schema(), key.doc) for key in KEYS}
    for form in FIXED.values():
        keys |= form.schema()
    return {key: {**schema, "description": text} for key, (schema, text) in keys.items()}


def _parametrization() -> Schema:
    """The word of one alone, or with its arguments."""
    called = {
        name: {**_op(how), "description": _first_paragraph(how)}
        for name, how in PARAMETRIZATIONS.items()
    }
    mapping = {
        "type": "object",
        "properties": called,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": list(called)}, mapping]}


# --- arguments -----------------------------------------------------------------------------------


def _required(op: type[Op]) -> list[str]:
    return [name for name, field in op.fields().items() if field.is_required]


def _op(op: type[Op]) -> Schema:
    fields = model(op).model_json_schema(by_alias=False).get("properties", {})
    arguments = {name: argument(field) for name, field in fields.items()}
    forms: list[Schema] = []
    if op.variadic:
        forms += [ref("references")]
        arguments["inputs"] = ref("references")
    if op.sized_like is not None:
        arguments["like"] = {"type": ["string", "integer"]}
    if op.primary is not None:
        forms += [arguments[op.primary]]
    return _called(_first_paragraph(op), arguments, _required(op), forms)


def _block(block: Block) -> Schema:
    arguments = {name: _parameter(parameter) for name, parameter in block.params.items()}
    required = [name for name, parameter in block.params.items() if parameter.required]
    return _called(block.doc, arguments, required, [])


def _called(doc: str, arguments: Schema, required: list[str], forms: list[Schema]) -> Schema:
    by_name = {
        "type": "object",
        "properties": arguments,
        "required": required,
        "additionalProperties": False,
    }
    forms = [*forms, by_name] if required else [{"type": "null"}, *forms, by_name]
    return {"description": doc, "anyOf": forms}


def _first_paragraph(op: type[Op]) -> str:
    return " ".join(inspect.cleandoc(op.__doc__ or "").split("\n\n")[0].split())


def argument(field: Schema) -> Schema:
    """A pydantic field's schema, with expressions wherever a value may be computed."""
    kept: Schema = {key: field[key] for key in ("default", "description") if key in field}
    forms = list(_forms(field))
    text = [form for form in forms if form.get("type") == "string"]
    if any(form.get("type") in ("integer", "number", "boolean", "array") for form in forms):
        forms.append(ref("expression"))
    elif all("enum" in form or "const" in form for form in text):
        forms.append(ref("inserted"))
    return {**kept, "anyOf": forms}


def _forms(field: Schema) -> Iterable[Schema]:
    if "anyOf" in field:
        for form in field["anyOf"]:
            yield from _forms(form)
        return
    form = {k: v for k, v in field.items() if k not in ("title", "default", "description")}
    if "items" in form:
        form["items"] = argument(form["items"])
    if "prefixItems" in form:
        form["prefixItems"] = [argument(item) for item in form["prefixItems"]]
    yield form


_TYPES: dict[str, list[Schema]] = {
    "int": [{"type": "integer"}, {"type": "array"}, ref("expression")],
    "float": [{"type": "number"}, {"type": "array"}, ref("expression")],
    "bool": [{"type": "boolean"}, ref("expression")],
    "str": [{"type": "string"}],
    "list": [{"type": "array"}, ref("expression")],
    "mapping": [{"type": "object"}, ref("expression")],
    "layers": [ref("layers")],
}
"""Types of blocks' parameters. Where one number is expected a list may stand (`kernel_size`)."""


def _parameter(parameter: Parameter) -> Schema:
    schema: Schema = {"anyOf": _TYPES[parameter.type]} if parameter.type in _TYPES else {}
    if not parameter.required and isinstance(parameter.value, Scalar):
        schema = {**schema, "default": parameter.value.value}
    return schema
