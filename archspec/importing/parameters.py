"""The `params:` of a block."""

from __future__ import annotations

from archspec.folding.template import Template
from archspec.importing.data import type_word, written_default
from archspec.importing.layout import Plain


def declared(template: Template) -> dict[str, object]:
    """The parameters with their defaults, or the words for their types where these are missing."""
    return {
        each.name: Plain(type_word(each)) if each.default is None else written_default(each.default)
        for each in template.parameters
    }
