"""`fold`: a tree to templates."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from archspec.folding.classes import Classes
from archspec.folding.flat import flat_template
from archspec.folding.template import Template
from archspec.folding.tree import Known, List


def fold(
    root: List,
    flat: bool | Collection[str] = False,
    known: Mapping[List, Known] | None = None,
) -> Template:
    """The template of a network, whose calls lead to those of its classes.

    With `flat` there is one template for each distinct list, and no loop; or only for the classes
    that are named there. Lists that are `known` become calls of blocks that the writer has.
    """
    if flat is True:
        return flat_template(root)
    return Classes(flat or (), known or {}).root(root)
