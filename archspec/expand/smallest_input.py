"""How large an input must be for a window that did not fit: found by expanding again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.analyses.orientation import turned_around, turned_help
from archspec.diagnostics.diagnostic import Diagnostic
from archspec.ir.shape import Shape

LARGEST = 4096
"""Largest input size that is tried."""
MAX_NODES = 3_000
"""A larger network is not expanded again and again for the sake of a help line."""

AXES = {"height": -2, "width": -1}

Inputs = dict[str, Shape]
Check = Callable[[Inputs], Sequence[Diagnostic]]


def with_smallest_input(
    diagnostic: Diagnostic, inputs: Inputs, check: Check, stated: bool
) -> Diagnostic:
    """The diagnostic with the smallest legal size of the input as its help, where there is one.

    `check` expands the network for other inputs; `stated` inputs are those that the spec states.
    """
    axis = diagnostic.too_small
    if axis not in AXES:
        return diagnostic
    images = [name for name, shape in inputs.items() if len(shape) in (3, 4)]
    if len(images) != 1:
        return diagnostic
    name = images[0]
    if channels_first := turned_around(inputs[name]):
        return diagnostic._replace(help=turned_help(name, channels_first, stated))
    axes = _axes(inputs[name], AXES[axis])
    same = (diagnostic.code, diagnostic.span, axis)
    words_of_axes = set(AXES) if len(axes) == 2 else {axis}

    def errors(size: int) -> Sequence[Diagnostic]:
        shape = list(inputs[name])
        for position in axes:
            shape[position] = size
        return check({**inputs, name: tuple(shape)})

    def all_fit(size: int) -> bool:
        return not any(d.too_small in words_of_axes for d in errors(size))

    def this_fits(size: int) -> bool:
        return not any((d.code, d.span, d.too_small) == same for d in errors(size))

    start = inputs[name][axes[0]]
    size = _smallest(start, all_fit) or _smallest(start, this_fits)
    if size is None:
        return diagnostic
    words = "height and width here are" if len(axes) == 2 else f"{axis} here is"
    shape = [size if i - len(inputs[name]) in axes else dim for i, dim in enumerate(inputs[name])]
    written = f": `{name}: [{', '.join(map(str, shape[1:]))}]`" if stated else ""
    text = f"the smallest legal input {words} {size}{written}"
    return diagnostic._replace(help=f"{diagnostic.help}; {text}" if diagnostic.help else text)


def _axes(shape: Shape, axis: int) -> tuple[int, ...]:
    """The axis to enlarge; both axes of a square image."""
    if len(shape) == 4 and shape[-1] == shape[-2]:
        return (-2, -1)
    return (axis,)


def _smallest(size: int, fits: Callable[[int], bool]) -> int | None:
    """The least size above `size` from which on it fits, by doubling and halving."""
    low, high = size, size * 2
    while not fits(high):
        low, high = high, high * 2
        if high > LARGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return high
