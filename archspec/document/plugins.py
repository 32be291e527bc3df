"""Ops and blocks of other installed packages, found through entry points.

A package lists modules that define ops under `archspec.ops`, and packages whose `*.yaml` files
are blocks under `archspec.blocks`. They are looked up only when a spec names something that
archspec itself does not have, because the search through all installed packages is slow.
"""

from __future__ import annotations

from functools import cache

from archspec.ir.op import REGISTRY

OPS, BLOCKS = "archspec.ops", "archspec.blocks"


@cache
def load_ops() -> None:
    """Import every module listed under `archspec.ops`; defining an op registers it."""
    from importlib.metadata import entry_points

    REGISTRY.load()
    for point in entry_points(group=OPS):
        point.load()


@cache
def _blocks() -> dict[str, str]:
    from importlib.metadata import entry_points
    from importlib.util import find_spec
    from pathlib import Path

    found: dict[str, str] = {}
    for point in entry_points(group=BLOCKS):
        spec = find_spec(point.module)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found.update((path.stem, str(path)) for path in sorted(Path(folder).glob("*.yaml")))
    return found


def block(name: str) -> str | None:
    """The file of a block that another package brings; loads its ops too."""
    load_ops()
    return _blocks().get(name)
