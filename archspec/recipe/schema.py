"""The JSON Schema of a recipe."""

from __future__ import annotations

from types import UnionType
from typing import Any, TypeAlias, get_args

from archspec.recipe.recipe import fields
from archspec.recipe.settings import Setting

Schema: TypeAlias = dict[str, Any]


def recipe_schema() -> Schema:
    """The schema of `train:`, in which editors complete and explain every field."""
    return {
        "type": "object",
        "properties": {name: _property(each) for name, each in fields().items()},
        "additionalProperties": False,
    }


def _property(setting: Setting) -> Schema:
    said: Schema = {"description": setting.doc}
    if setting.name == "dataset":
        from archspec.data.registry import names

        # Packages bring more, and some names have an argument.
        return {"anyOf": [{"enum": list(names())}, {"type": "string"}], **said}
    if setting.words:
        return {"enum": [*setting.words, *([None] if setting.default is None else [])], **said}
    is_union = isinstance(setting.annotation, UnionType)
    parts = get_args(setting.annotation) if is_union else (setting.annotation,)
    forms = [_form(part) for part in parts]
    if setting.annotation == tuple[str, ...]:
        forms.append({"type": "string"})
    return {"anyOf": forms, **said}


def _form(annotation: Any) -> Schema:
    from pydantic import TypeAdapter, create_model

    if hasattr(annotation, "_fields"):
        parts: Schema = {name: (each, ...) for name, each in annotation.__annotations__.items()}
        annotation = create_model(annotation.__name__, **parts)
    return TypeAdapter(annotation).json_schema()
