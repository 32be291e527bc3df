"""`archspec list`: the bundled specs with their figures."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import archspec
from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import formats
from archspec.cli.output import write, write_diagnostics, write_json
from archspec.cli.specs import figures, shape_text
from archspec.diagnostics.diagnostic import SpecError

if TYPE_CHECKING:
    from archspec.architecture import Architecture


def _count(text: str) -> int | None:
    """A number of parameters or MACs, with a decimal suffix where it is large."""
    scale = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}.get(text[-1:].lower(), 1)
    digits = text if scale == 1 else text[:-1]
    if not re.fullmatch(r"\d{1,15}(\.\d{1,6})?", digits, re.ASCII):
        return None
    whole, _, part = digits.partition(".")
    return int(whole) * scale + int(part or 0) * scale // int("1" + "0" * len(part))


COMMAND = Command(
    "list the bundled specs, or the ops and blocks",
    "List the specs that come with archspec, a line of figures each; or the primitive ops and\n"
    "the standard blocks that specs are made of.",
    "archspec list\n"
    "archspec list --max-params 5M --max-macs 1G\n"
    "archspec list --name 'torchvision/resn*' --json\n"
    "archspec list --ops",
    (
        Option("--names", "the names of the specs alone", action="store_true", alone=True),
        Option("--ops", "the ops and blocks instead", action="store_true", alone=True),
        Option(
            "--name",
            "only specs whose name matches, with or without its folder: 'resnet*'",
            metavar="GLOB",
        ),
        *(
            Option(
                f"--{bound}-{short}",
                f"only specs of at {most} N {words}, such as 500k, 5M or 1.5G",
                metavar="N",
                type=_count,
                expected="a count, such as 500k, 5M or 1.5G",
            )
            for short, words in (("params", "parameters"), ("macs", "MACs"))
            for bound, most in (("min", "least"), ("max", "most"))
        ),
        *formats(),
    ),
)

HEADER = ("Spec", "Input", "Output", "Params", "MACs")
WIDTHS = (9, 9, 11, 15)
"""Of the columns after the names; fixed, so that each line can be printed when it is known."""


def run(args: Arguments) -> int:
    """Print a line each; 1 where one is wrong, as no bundled spec should be."""
    _refuse_idle_options(args)
    if args.ops:
        from archspec.cli import catalogue

        return catalogue.run(args)
    names = [name for name in archspec.bundled() if _named(name, args.name)]
    if not names:
        write(f"no bundled spec is called {args.name!r}", sys.stderr)
    if args.names:
        if names:
            write("\n".join(names))
        return 0
    width = max(map(len, names), default=0)
    results: list[dict[str, Any]] = []
    ok = True
    if args.format == "table" and names:
        write(_line(HEADER, width))
    for name in names:
        try:
            arch = archspec.load(name, warn=False)
        except SpecError as error:
            write_diagnostics(error.diagnostics)
            ok = False
            continue
        if not _within(arch, args):
            continue
        if args.format == "json":
            results.append({"spec": name, **figures(arch), "doc": arch.doc})
        else:
            write(_line(_cells(name, arch), width))
    if args.format == "json":
        write_json(results)
    return 0 if ok else 1


def _refuse_idle_options(args: Arguments) -> None:
    """A filter that is not applied would be ignored in silence."""
    bounds = ("min_params", "max_params", "min_macs", "max_macs")
    given = [name for name in bounds if getattr(args, name) is not None]
    if given and (args.names or args.ops):
        args.error(f"--{given[0].replace('_', '-')} filters the table of specs")
    if args.name is not None and args.ops:
        args.error("--name filters specs, not ops and blocks")


def _named(name: str, pattern: str | None) -> bool:
    """Whether a name, or what follows its folder, matches; letters' case counts."""
    if pattern is None:
        return True
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)


def _within(arch: Architecture, args: Arguments) -> bool:
    """Whether the figures are between the bounds that were given."""
    bounds = (
        (arch.num_parameters, args.min_params, args.max_params),
        (arch.macs, args.min_macs, args.max_macs),
    )
    return all(
        (least is None or value >= least) and (most is None or value <= most)
        for value, least, most in bounds
    )


def _cells(name: str, arch: Architecture) -> tuple[str, ...]:
    taken = shape_text(arch.input_shape, arch.input_dtype)
    shapes = _sample(taken), _sample(shape_text(arch.output_shape, arch.output_dtype))
    macs = "not counted" if arch.macs is None else f"{arch.macs:,}"
    return (name, *shapes, f"{arch.num_parameters:,}", macs)


def _sample(shown: str) -> str:
    """A shape without N, as --input takes it: with long names every column counts."""
    return shown.replace("N×", "")


def _line(cells: tuple[str, ...], width: int) -> str:
    name, *shapes, parameters, macs = cells
    texts = [name.ljust(width), *(s.ljust(w) for s, w in zip(shapes, WIDTHS[:2], strict=True))]
    return f"{'  '.join(texts)} {parameters.rjust(WIDTHS[2])} {macs.rjust(WIDTHS[3])}"
