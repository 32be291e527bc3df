"""Sizes that a spec leaves open: numbers that differ between runs at several become formulas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.importing.lifting import Node
from archspec.importing.trace import cannot, refused
from archspec.record import Record

RUNS = 4
"""At how many sizes a module is run: at fewer, other formulas would give the same numbers."""
LARGEST = 64
"""The largest number by which a formula divides a size without dividing it evenly."""

Samples = tuple[int, ...]
"""A number at each of the sizes."""


class Followed(Record):
    """A number that follows the sizes of the input: its values at each of them."""

    values: Samples


def sizes_to_try(shapes: Mapping[str, Sequence[int]], count: int) -> list[dict[str, list[int]]]:
    """Shapes of all inputs for each run: the given ones, and larger ones of the last `count` axes.

    Inputs whose last sizes are not those of the first one stay as they are.
    """
    tail = list(next(iter(shapes.values())))[-count:]
    made = []
    for run in range(RUNS):
        own = [size + _step(size) * (run + axis) if run else size for axis, size in enumerate(tail)]
        made.append(
            {
                name: [*shape[:-count], *own] if list(shape[-count:]) == tail else list(shape)
                for name, shape in shapes.items()
            }
        )
    return made


def _step(size: int) -> int:
    """A step that keeps a size as even as it is, up to 32."""
    step = 1
    while step < 32 and size % (2 * step) == 0:
        step *= 2
    return step


def join(runs: Sequence[Sequence[Node]]) -> list[Node]:
    """The nodes of the first run, with `Followed` for each number that differs between the runs.

    Raises `SpecError` where the runs did not do the same.
    """
    first = runs[0]
    for nodes in runs[1:]:
        for node, other in zip(first, nodes, strict=False):
            if (node.op, node.owner) != (other.op, other.owner):
                raise refused(cannot("the module does something else at other sizes"), node.place)
        if len(nodes) != len(first):
            raise refused(cannot("the module does something else at other sizes"), first[-1].place)
    for several in zip(*runs, strict=True):
        node = several[0]
        node.at_sizes = tuple(each.shapes for each in several)
        for key, value in node.args.items():
            node.args[key] = _joined(node, value, [each.args.get(key) for each in several])
    return list(first)


def _joined(node: Node, value: Any, several: Sequence[Any]) -> Any:
    if all(each == value for each in several):
        return value
    if isinstance(value, list) and all(
        isinstance(each, list) and len(each) == len(value) for each in several
    ):
        return [
            _joined(node, *pair) for pair in zip(value, zip(*several, strict=True), strict=True)
        ]
    if all(type(each) is int for each in several):
        return Followed(tuple(several))
    raise refused(
        cannot(
            "numbers here depend on the size of the input, and no formula for them is known",
            help="import it at one size, without --symbolic",
        ),
        node.place,
    )


def plain(value: Any) -> Any:
    """An argument with the numbers of the first run."""
    if isinstance(value, Followed):
        return value.values[0]
    return [plain(each) for each in value] if isinstance(value, list) else value


def follows(value: Any) -> bool:
    """Whether an argument has a number that follows sizes."""
    if isinstance(value, list):
        return any(map(follows, value))
    return isinstance(value, Followed)


def spelled(wanted: Samples, sizes: Sequence[tuple[str, Samples]]) -> str | None:
    """A formula of some sizes, each with its name, that gives the wanted number in every run."""
    moving = [(name, values) for name, values in sizes if len(set(values)) > 1]
    for text, values in _formulas(moving, wanted):
        if values == wanted:
            return text
    return None


def _formulas(
    sizes: Sequence[tuple[str, Samples]], wanted: Samples
) -> Iterator[tuple[str, Samples]]:
    """Formulas that may be meant, the simplest first."""
    yield from sizes
    for name, values in sizes:
        yield from _scaled(name, values, wanted)
    products = [
        (f"{one} * {two}", tuple(a * b for a, b in zip(left, right, strict=True)))
        for place, (one, left) in enumerate(sizes)
        for two, right in sizes[place:]
    ]
    yield from products
    for name, values in products:
        yield from _scaled(f"({name})", values, wanted)
    for name, values in sizes:
        for by in range(2, LARGEST + 1):
            yield f"ceil({name} / {by})", tuple(-(-each // by) for each in values)
            yield f"{name} // {by}", tuple(each // by for each in values)
            yield f"-{name} % {by}", tuple(-each % by for each in values)
            yield f"ceil({name} / {by}) * {by}", tuple(-(-each // by) * by for each in values)


def _scaled(name: str, values: Samples, wanted: Samples) -> Iterator[tuple[str, Samples]]:
    """Sums, multiples and even parts of a size, and `a * size + b`."""
    first, goal = values[0], wanted[0]
    more = goal - first
    sign = "+" if more > 0 else "-"
    yield f"{name} {sign} {abs(more)}", tuple(each + more for each in values)
    if first and goal % first == 0:
        times = goal // first
        yield f"{times} * {name}", tuple(each * times for each in values)
    if goal and first % goal == 0:
        by = first // goal
        yield f"{name} // {by}", tuple(each // by for each in values)
    run, rise = values[1] - first, wanted[1] - goal
    if run and rise and rise % run == 0:
        times, rest = rise // run, goal - rise // run * first
        sign = "+" if rest > 0 else "-"
        line = tuple(times * each + rest for each in values)
        yield f"{times} * {name} {sign} {abs(rest)}", line
    if run and rise and run % rise == 0:
        by = run // rise
        rest = goal - first // by
        sign = "+" if rest > 0 else "-"
        yield f"{name} // {by} {sign} {abs(rest)}", tuple(each // by + rest for each in values)
