"""What a careful person changes last: numbers that a user of the spec would set are parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from archspec.folding.template import Entry, Group, Loop, Op, Parameter, Part, Template
from archspec.folding.terms import Constant, Name, Sequence, Term
from archspec.folding.tree import Edge, Value
from archspec.importing.trace import cannot, refused
from archspec.ir.graph import Graph

CLASSES = "num_classes"

Number = int | float

BY_NAME_ALONE = frozenset(
    (
        *("kernel_size", "stride", "padding", "output_padding", "dilation", "dim", "dims", "axes"),
        *("start_dim", "end_dim", "start", "stop", "step", "groups"),
    )
)
"""Arguments whose numbers are seldom those of another argument, though they are often equal."""


def with_parameters(root: Template, params: Mapping[str, Number]) -> Template:
    """The template with these numbers as parameters, wherever they stand outside its blocks.

    Where an argument has the name of a parameter and holds its number, the number becomes the
    parameter there alone.

    Raises `SpecError` where a number stands nowhere, or a loop has the name.
    """
    for name, number in params.items():
        there = list(_numbers(root.parts))
        if name in _walked(root.parts):
            raise refused(cannot(f"{name!r} is what a loop of the spec walks", help=OTHER), None)
        words = {word for word, held in there if _same(held, number)}
        words = {name} & words or words - BY_NAME_ALONE
        if not words:
            shown = ", ".join(dict.fromkeys(f"{word} {held}" for word, held in there))
            raise refused(
                cannot(
                    f"no number of the spec is {number}, so {name!r} names nothing",
                    help=f"numbers outside of its blocks are: {shown or 'none'}",
                ),
                None,
            )

        def named(word: str, term: Term) -> Term:
            return _named(term, name, number) if word in words else term  # noqa: B023

        parts = _mapped(root.parts, named)
        parameter = Parameter(name, Constant(number), kind=type(number).__name__)
        root = root._replace(parts=parts, parameters=(*root.parameters, parameter))
    return root


OTHER = "give the number another name"


def _walked(parts: tuple[Part, ...]) -> set[str]:
    """The names that loops have for what they walk, and for what counts them."""
    found: set[str] = set()
    for part in parts:
        if isinstance(part, Loop):
            found |= {part.counter, *part.lists} | _walked(part.parts)
        elif isinstance(part.content, Group):
            found |= _walked(part.content.parts)
    return found


def _numbers(parts: tuple[Part, ...]) -> Iterator[tuple[str, Number]]:
    """Every number of a list, with the argument that holds it; not those inside of blocks."""
    found: list[tuple[str, Number]] = []

    def seen(word: str, term: Term) -> Term:
        values = term.items if isinstance(term, Sequence) else (term,)
        for each in values:
            held = each.value if isinstance(each, Constant) else ()
            several = held if isinstance(held, tuple) else (held,)
            found.extend((word, one) for one in several if isinstance(one, int | float))
        return term

    _mapped(parts, seen)
    yield from found


def _named(term: Term, name: str, number: Number) -> Term:
    """A term with the name in the place of the number."""
    if isinstance(term, Sequence):
        return Sequence(tuple([_named(each, name, number) for each in term.items]))
    if not isinstance(term, Constant):
        return term
    if isinstance(term.value, tuple):
        items = tuple([_named(Constant(each), name, number) for each in term.value])
        return Sequence(items) if any(isinstance(each, Name) for each in items) else term
    return Name(name) if _same(term.value, number) else term


def _same(held: Value, number: Number) -> bool:
    return type(held) is type(number) and held == number


def _mapped(parts: tuple[Part, ...], change: Callable[[str, Term], Term]) -> tuple[Part, ...]:
    """Parts with every argument changed, and the counts and lists of loops."""
    return tuple([_part(part, change) for part in parts])


def _part(part: Part, change: Callable[[str, Term], Term]) -> Part:
    if isinstance(part, Loop):
        return part._replace(
            times=None if part.times is None else change("repeat", part.times),
            lists={word: change(word, term) for word, term in part.lists.items()},
            parts=_mapped(part.parts, change),
        )
    content = part.content
    if isinstance(content, Group):
        return part._replace(content=content._replace(parts=_mapped(content.parts, change)))
    arguments = {word: change(word, term) for word, term in content.arguments.items()}
    return part._replace(content=content._replace(arguments=arguments))


def with_classes(root: Template, graph: Graph) -> Template:
    """The template with a parameter for the number of classes, if its first output is of some.

    It is where a linear layer gives one vector a sample.
    """
    if not root.outputs or len(graph.shape(graph.outputs[0])) != 2:
        return root
    if any(each.name == CLASSES for each in root.parameters):
        return root
    found = _replaced(root.parts, root.outputs[0])
    if found is None:
        return root
    parts, classes = found
    return root._replace(parts=parts, parameters=(*root.parameters, Parameter(CLASSES, classes)))


def _replaced(parts: tuple[Part, ...], edge: Edge) -> tuple[tuple[Part, ...], Constant] | None:
    """The parts with the parameter in the layer behind an edge, and its number."""
    if edge.node < 0:
        return None
    part = parts[edge.node]
    if not isinstance(part, Entry):
        return None
    content: Op | Group
    if isinstance(part.content, Group):
        inner = _replaced(part.content.parts, part.content.outputs[edge.output])
        if inner is None:
            return None
        content, classes = part.content._replace(parts=inner[0]), inner[1]
    elif isinstance(part.content, Op) and part.content.kind == "linear":
        number = part.content.arguments["out_features"]
        if not isinstance(number, Constant):
            return None
        classes = number
        content = part.content._replace(
            arguments={**part.content.arguments, "out_features": Name(CLASSES)}
        )
    else:
        return None
    changed = part._replace(content=content)
    return (*parts[: edge.node], changed, *parts[edge.node + 1 :]), classes
