"""From the options of a command to a checked architecture, and its figures."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import archspec
from archspec.analyses.table import NOT_COUNTED, dims, dims_by_name
from archspec.cli.command import Arguments
from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Source, SpecError
from archspec.expand.program import set_text
from archspec.text import files
from archspec.text.limits import DEFAULT

if TYPE_CHECKING:
    from archspec.architecture import Architecture, InputShape
    from archspec.ir.shape import Shape

STDIN = "-"


def load(args: Arguments) -> Architecture:
    """The architecture that SPEC, --set and --input ask for. Raises `SpecError`."""
    params = {key: set_text(text) if text.strip() else None for key, text in args.params}
    return opened(args.spec, args, params, input_shape(args), dict(args.sizes))


def opened(
    spec: str,
    args: Arguments,
    params: dict[str, Any],
    input_shape: InputShape | None = None,
    sizes: dict[str, int] | None = None,
) -> Architecture:
    """The architecture of a file, a bundled name, or `-` for what standard input holds.

    Raises `SpecError`.
    """
    given: dict[str, Any] = {
        "input_shape": input_shape,
        "sizes": sizes,
        "allow_outside": args.allow_outside,
        "allow_modules": args.allow_module,
        "ignore": args.ignore,
        "warn": False,  # each command prints them
    }
    if spec != STDIN:
        return archspec.load(spec, params, **given)
    source = standard_input()
    return archspec.loads(source.text, params, name=source.name, folder=".", **given)


def standard_input() -> Source:
    """What stands on standard input. Raises `SpecError` where it is too much, or no text."""
    try:
        data = sys.stdin.buffer.read(DEFAULT.text_bytes + 1) if sys.stdin else b""
        return files.decoded(data, "<stdin>", DEFAULT)
    except OSError as error:
        mistake = Diagnostic(Code.FILE, f"cannot read standard input: {error.strerror}")
    except Refusal as refusal:
        mistake = Diagnostic.of(refusal, None)
    raise SpecError([mistake])


def input_shape(args: Arguments) -> InputShape | None:
    """What --input says, by name where it names inputs; wrong usage ends the program."""
    given: list[tuple[str | None, tuple[int, ...]]] = args.inputs
    names = [name for name, _ in given]
    if names in ([], [None]):
        return given[0][1] if given else None
    if None in names:
        args.error("--input: with several inputs, name each: --input image=3x224x224")
    if len(set(names)) < len(names):
        args.error("--input: an input is given twice")
    return {name: shape for name, shape in given if name is not None}


def figures(arch: Architecture) -> dict[str, Any]:
    """The line of figures as plain data, under the names of the Python API."""
    return {
        "name": arch.name,
        "input_shape": arch.input_shape,
        "output_shape": arch.output_shape,
        "input_dtype": arch.input_dtype,
        "output_dtype": arch.output_dtype,
        "num_parameters": arch.num_parameters,
        "macs": arch.macs,
    }


def line_of_figures(arch: Architecture) -> str:
    """`N×1×28×28 → N×10, 44,878 parameters, 281,640 MACs`."""
    macs = f"MACs {NOT_COUNTED}" if arch.macs is None else f"{arch.macs:,} MACs"
    return (
        f"{shape_text(arch.input_shape, arch.input_dtype)} → "
        f"{shape_text(arch.output_shape, arch.output_dtype)}, "
        f"{arch.num_parameters:,} parameters, {macs}"
    )


def shape_text(shape: Shape | dict[str, Shape], dtype: str | dict[str, str]) -> str:
    """One shape, or several with their names; with each type that is not float."""
    if isinstance(shape, dict):
        assert isinstance(dtype, dict)
        return dims_by_name(shape, dtype)
    assert isinstance(dtype, str)
    return dims(shape, dtype)


def as_dicts(diagnostics: Iterable[Any]) -> list[dict[str, Any]]:
    """Diagnostics as plain data."""
    return [diagnostic.as_dict() for diagnostic in diagnostics]
