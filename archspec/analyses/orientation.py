"""Images whose channels stand last, as other libraries have them."""

from __future__ import annotations

from archspec.ir.shape import Shape


def turned_around(shape: Shape) -> Shape | None:
    """The sizes (without N) with the channels first, of an image that seems to have them last."""
    if len(shape) != 4:
        return None
    _, height, width, last = shape
    return (last, height, width) if last in (1, 3, 4) and min(height, width) > last else None


def turned_help(name: str, sizes: Shape, key: str | None) -> str:
    """What to write instead, under the key that has the sizes; None where the caller gives them."""
    listed = f"[{', '.join(map(str, sizes))}]"
    return (
        f"channels come first: write `{key}: {listed}`"
        if key
        else (f"channels come first: give {listed} for {name!r}")
    )
