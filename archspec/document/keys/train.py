"""`train:`: the default recipe of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archspec.diagnostics.diagnostic import Code
from archspec.document.blocks import File
from archspec.document.keys.key import Statement
from archspec.document.schema_words import Schema
from archspec.ir.graph import Graph
from archspec.text import values
from archspec.text.values import Mapping as YamlMapping
from archspec.text.values import Value, kind

if TYPE_CHECKING:
    from archspec.recipe.layers import Located


class Train(Statement):
    """`train: {…}`: the default recipe.

    Each key and value is checked here. Whether they go together is left to `check` and the
    trainer, because other layers of the recipe may still change some of them.
    """

    name = "train"
    doc = "The default training recipe."
    behind_layers = 4

    def schema(self) -> Schema:
        from archspec.recipe.schema import recipe_schema

        return recipe_schema()

    def read(self, file: File, value: Value | None) -> Located:
        if value is None:
            return {}
        if not isinstance(value, YamlMapping):
            file.report(Code.STRUCTURE, f"`train` must be a mapping, not {kind(value)}", value.span)
            return {}
        # Here, because most specs have no recipe.
        from archspec.recipe.layers import located_layer, read_values
        from archspec.recipe.recipe import fields

        file.diagnostics += read_values(fields(), located_layer(value.entries))[1]
        return value.entries

    def inherited(self, said: Sequence[Located]) -> Located:
        merged: Located = {}
        if not any(said):
            return merged
        from archspec.recipe.recipe import laid_over

        for recipe in said:
            merged = laid_over(merged, recipe, lambda each: getattr(each[1], "value", None))
        return merged

    def written(self, said: Mapping[str, Any], graph: Graph) -> Any:
        return plain(said[self.name]) or None


def plain(recipe: Located) -> dict[str, Any]:
    """A recipe as plain data."""
    return {name: values.plain(value) for name, (_, value) in recipe.items()}
