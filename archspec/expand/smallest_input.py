"""Finds input sizes that fit where the given one does not, by expanding again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from archspec.analyses.orientation import turned_around, turned_help
from archspec.diagnostics.diagnostic import Code, Diagnostic
from archspec.expand.remedies import GROWS
from archspec.ir.shape import Shape

LARGEST = 4096
"""Largest input size that is tried."""
MAX_NODES = 3_000
"""A larger network is not expanded again for a help line."""

NEARBY = 32
"""How far from the stated size a nearby one may be. A network may halve sizes five times."""
MAX_WORK = 20_000
"""Nodes that are expanded in the search for a nearby size."""

AXES = {"height": -2, "width": -1}

Inputs = dict[str, Shape]
Check = Callable[[Inputs], Sequence[Diagnostic]]


def with_smallest_input(
    diagnostic: Diagnostic, inputs: Inputs, check: Check, stated: Mapping[str, str]
) -> Diagnostic:
    """The diagnostic with the smallest legal size of the input as its help, where there is one.

    `check` expands the network for other inputs; `stated` are the keys under which the spec states
    their sizes, none where the caller gives them.
    """
    axis = diagnostic.too_small
    if axis not in AXES:
        return diagnostic
    images = [name for name, shape in inputs.items() if len(shape) in (3, 4)]
    if len(images) != 1:
        return diagnostic
    name = images[0]
    if channels_first := turned_around(inputs[name]):
        return diagnostic._replace(help=turned_help(name, channels_first, stated.get(name)))
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
    written = f": `{stated[name]}: [{', '.join(map(str, shape[1:]))}]`" if stated else ""
    text = f"the smallest legal input {words} {size}{written}"
    return diagnostic._replace(help=f"{diagnostic.help}; {text}" if diagnostic.help else text)


# --- sizes that divide ---------------------------------------------------------------------------


def has_nearby_input(diagnostic: Diagnostic) -> bool:
    """Whether another input size may help: there is no other help, or one for this size alone."""
    return diagnostic.code is Code.SHAPE and (diagnostic.help is None or GROWS in diagnostic.help)


def with_nearby_input(
    errors: Sequence[Diagnostic],
    index: int,
    inputs: Inputs,
    check: Check,
    stated: Mapping[str, str],
    nodes: int,
) -> Diagnostic:
    """The error at `index`, with the nearest inputs for which it does not arise as its help.

    `nodes` is the number of nodes that each call of `check` expands. The rest is as in
    `with_smallest_input`.
    """
    images = [name for name, shape in inputs.items() if len(shape) in (3, 4)]
    if len(images) != 1:
        return errors[index]
    (name,) = images
    channels, sizes = inputs[name][:2], inputs[name][2:]
    others = {(d.code, d.span) for i, d in enumerate(errors) if i != index}
    left = min(2 * NEARBY, MAX_WORK // max(nodes, 1))
    known: dict[tuple[int, ...], bool] = {}

    def fits(*sizes: int) -> bool:
        nonlocal left
        if sizes not in known:
            left -= 1
            found = check({**inputs, name: (*channels, *sizes)}) if left >= 0 else errors
            known[sizes] = {(d.code, d.span) for d in found if d.severity == "error"} <= others
        return known[sizes]

    def nearest(size: int, step: int) -> int | None:
        ways = range(size, max(size + step * NEARBY, size // 2), step)
        return next((way for way in ways if fits(*(way,) * len(sizes))), None)

    shapes: list[list[int]] = []
    for step in (-1, 1):
        way = [near for size in sizes if (near := nearest(size, step)) is not None]
        if len(way) == len(sizes) and fits(*way):
            shapes.append(way)
    if not shapes:
        return errors[index]
    written = [f"[{', '.join(map(str, (*channels[1:], *way)))}]" for way in shapes]
    if stated:
        written[0] = f"{stated[name]}: {written[0]}"
    period = _period(shapes)
    if period and fits(*(size + period for size in shapes[1])):
        text = f"sizes that are multiples of {period} fit: "
    else:
        text = "an input that fits is "
    text += " or ".join(f"`{each}`" for each in dict.fromkeys(written))
    help_ = errors[index].help
    return errors[index]._replace(help=f"{help_}; {text}" if help_ else text)


def _period(shapes: Sequence[Sequence[int]]) -> int | None:
    """The common divisor of the sizes of two neighbouring inputs that fit; None for none."""
    if len(shapes) < 2:
        return None
    period = max(above - below for below, above in zip(*shapes, strict=True))
    is_whole = period > 1 and not any(size % period for way in shapes for size in way)
    return period if is_whole else None


# --- sizes that are large enough -----------------------------------------------------------------


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
