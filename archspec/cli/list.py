"""`archspec list`: the bundled specs with their figures."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

import archspec
from archspec.cli.output import diagnostics_of, write, write_diagnostics, write_json
from archspec.cli.specs import figures, shape_text
from archspec.errors import SpecError

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.ir.shape import Shape

HEADER = ("Spec", "Input", "Output", "Params", "MACs")
WIDTHS = (9, 6, 11, 15)
"""Of the columns after the names; fixed, so that each line can be printed when it is known."""


def run(args: Namespace) -> int:
    """Print a line each; 1 where one is wrong, as no bundled spec should be."""
    if args.ops:
        from archspec.cli import catalogue

        return catalogue.run(args)
    names = archspec.bundled()
    if args.names:
        if names:
            write("\n".join(names))
        return 0
    width = max(map(len, names), default=0)
    results: list[dict[str, Any]] = []
    ok = True
    if args.format == "table":
        write(_line(HEADER, width))
    for name in names:
        try:
            arch = archspec.load(name)
        except (SpecError, OSError) as error:
            write_diagnostics(diagnostics_of(error))
            ok = False
            continue
        if args.format == "json":
            results.append({"spec": name, **figures(arch), "doc": arch.doc})
        else:
            write(_line(_cells(name, arch), width))
    if args.format == "json":
        write_json(results)
    return 0 if ok else 1


def _cells(name: str, arch: Architecture) -> tuple[str, ...]:
    shapes = _sample(arch.input_shape), _sample(arch.output_shape)
    return (name, *shapes, f"{arch.num_parameters:,}", f"{arch.macs:,}")


def _sample(shape: Shape | dict[str, Shape]) -> str:
    """A shape without N, as --input takes it: with long names every column counts."""
    return shape_text(shape).replace("N×", "")


def _line(cells: tuple[str, ...], width: int) -> str:
    name, *shapes, parameters, macs = cells
    texts = [name.ljust(width), *(s.ljust(w) for s, w in zip(shapes, WIDTHS[:2], strict=True))]
    return "  ".join([*texts, parameters.rjust(WIDTHS[2]), macs.rjust(WIDTHS[3])])
