"""`eject`: a network as one Python file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from archspec.ejecting.carried import Carried
from archspec.ejecting.channels import IN_CHANNELS, Channels
from archspec.ejecting.classes import Classes, Root
from archspec.ejecting.constructors import Constructors
from archspec.ejecting.first_values import computed_last, fills
from archspec.ejecting.forward import Line
from archspec.ejecting.layout import docstring, statement
from archspec.ejecting.members import Unsayable
from archspec.ejecting.renaming import Renamer
from archspec.ejecting.unrolling import Unroller
from archspec.ejecting.view import View
from archspec.emit import namespace
from archspec.folding.fold import fold
from archspec.ir.graph import Graph
from archspec.ir.shape import Shape
from archspec.ir.types import ValueType
from archspec.sizes.size import everywhere, known

NAMESPACE = "archspec.emit.namespace"


def eject(graph: Graph, name: str, doc: str = "", init: str | None = None) -> str:
    """The source of a file whose last class is the network. It needs torch alone.

    Raises `Refusal`, without place, for a network that cannot be written.
    """
    view = View(graph, name)
    while view.lost - view.untracked:
        view = View(graph, name, view.untracked | view.lost)
    constructors = Constructors(bool(computed_last(graph, init)))
    last = [*fills(graph, init), *_computed(graph, init, constructors)]
    classes, network = _classes(view, constructors, Root(doc or f"The network `{name}`.", last))
    return _file(graph, classes, network, doc)


def _classes(view: View, constructors: Constructors, root: Root) -> tuple[Classes, str]:
    """All classes, and the name of the last. What cannot be said folded is written in full."""
    flat: list[str] = []
    while True:
        start: Any = view.root.given.get(IN_CHANNELS, 0)
        channels = Channels(start)
        classes = Classes(constructors, view.shapes, channels.running)
        whole = len(flat) > MOST_FLAT or len(set(flat)) < len(flat)
        try:
            folded = Unroller().template(fold(view.root, whole or flat))
            return classes, classes.name(channels.root(Renamer().template(folded)), root)
        except Unsayable as error:
            if whole:
                raise
            flat.append(re.sub(r"_\d+\Z", "", error.of))


MOST_FLAT = 20
"""More classes than these that must be written in full, and all are."""


def _computed(graph: Graph, init: str | None, constructors: Constructors) -> Iterator[Line]:
    for path, name, how in computed_last(graph, init):
        yield Line(constructors.computed(f'self.get_submodule("{path}")', name, how))


def _file(graph: Graph, classes: Classes, network: str, doc: str) -> str:
    made = classes.constructors
    body = "\n\n\n".join(classes.sources)
    functions = [n for n in ("with_state", "with_states") if re.search(rf"\b{n}\(", body)]
    carried = Carried([*made.own, *[f"{namespace.__name__}.{name}" for name in functions]])
    body = "\n\n\n".join([*carried.blocks, body, *_main(graph, network)])
    head = docstring(doc or f"The network {network}.", 0)
    lines = [*head, "", *_imports(body, carried, made), ""]
    if carried.constants:
        lines += [*carried.constants, ""]
    return "\n".join([*lines, "", body, "", "", 'if __name__ == "__main__":', "    main()", ""])


def _imports(body: str, carried: Carried, made: Constructors) -> Iterator[str]:
    """The import lines, in the order in which linters want them."""
    wanted: dict[str, set[str]] = {}
    for package, name in carried.imports:
        if name:
            wanted.setdefault(package, set()).add(name)
    for path in made.others:
        package, _, name = path.rpartition(".")
        wanted.setdefault(package, set()).add(name)
    if re.search(r"\bOrderedDict\(", body):
        wanted.setdefault("collections", set()).add("OrderedDict")
    if re.search(r"\bSequence\[", body):
        wanted.setdefault("collections.abc", set()).add("Sequence")
    torch = wanted.setdefault("torch", set())
    torch |= {name for name in ("Tensor", "nn") if re.search(rf"\b{name}\b", body)}
    if re.search(r"\bF\.", body):
        wanted.setdefault("torch.nn", set()).add("functional as F")
    wanted.get("torch.nn", set()).discard("F")
    standard = [p for p in sorted(wanted) if p.partition(".")[0] in _STANDARD]
    for package in standard:
        yield from _import(package, wanted.pop(package))
    if standard:
        yield ""
    yield "import torch"
    for package in sorted(wanted):
        yield from _import(package, wanted[package])


_STANDARD = frozenset(("collections", "functools", "typing", "math", "itertools"))


def _import(package: str, names: set[str]) -> Iterator[str]:
    lower = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    if "functional as F" in lower:
        yield f"from {package} import functional as F  # noqa: N812"
        lower.remove("functional as F")
    if lower:
        yield from statement(f"from {package} import {', '.join(lower)}", 0)


def _main(graph: Graph, network: str) -> list[str]:
    """The function `main`, which runs the network once."""
    values = [
        _drawn(everywhere(known, shape), kind)
        for shape, kind in zip(graph.inputs, graph.input_types, strict=True)
    ]
    lines = ["def main() -> None:", '    """Prints the shape of what the network gives."""']
    lines.append(f"    net = {network}().eval()")
    lines.append("    with torch.no_grad():")
    lines += statement(f"output = net({', '.join(values)})", 8)
    if graph.output_names is not None and len(graph.outputs) > 1:
        lines.append(
            '    values = output.items() if isinstance(output, dict) else [("output", output)]'
        )
        lines.append("    for name, value in values:")
        lines.append("        print(name, tuple(value.shape))")
    else:
        lines.append("    print(tuple(output.shape))")
    return ["\n".join(lines)]


def _drawn(shape: Shape, kind: ValueType) -> str:
    sizes = ", ".join(map(str, (2, *shape[1:])))
    if kind.is_float:
        return f"torch.randn({sizes})"
    if kind.name == "bool":
        return f"torch.rand({sizes}) < 0.5"
    dtype = "" if kind.name == "int64" else f", dtype=torch.{kind.name}"
    comma = "," if len(shape) == 1 else ""
    return f"torch.randint({kind.below or 2}, ({sizes}{comma}){dtype})"
