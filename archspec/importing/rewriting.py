"""A compiled network as a spec that reads well, and is the same network."""

from __future__ import annotations

from archspec.architecture import Architecture
from archspec.folding.fold import fold
from archspec.importing.view import seen
from archspec.importing.writing import write


def rewritten(arch: Architecture, *, flat: bool = False) -> str:
    """The text of a spec that compiles to the same graph."""
    root = seen(arch.graph)
    return write(fold(root, flat), arch.program)
