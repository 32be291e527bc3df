"""`fold`: a tree to templates."""

from __future__ import annotations

from collections.abc import Collection

from archspec.folding.classes import Classes
from archspec.folding.flat import flat_template
from archspec.folding.template import Template
from archspec.folding.tree import List


def fold(root: List, flat: bool | Collection[str] = False) -> Template:
    """The template of a network, whose calls lead to those of its classes.

    With `flat` there is one template for each distinct list, and no loop; or only for the classes
    that are named there.
    """
    if flat is True:
        return flat_template(root)
    return Classes(flat or ()).root(root)
