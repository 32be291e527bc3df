"""The words that schemas are made of."""

from __future__ import annotations

from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"


def ref(name: str) -> Schema:
    """A reference to one of the schema's definitions."""
    return {"$ref": f"#/$defs/{name}"}


def listed(*items: Schema) -> Schema:
    """A list of things of any of these forms."""
    return {"type": "array", "items": items[0] if len(items) == 1 else {"anyOf": list(items)}}
