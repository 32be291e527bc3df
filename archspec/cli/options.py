"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from argparse import ArgumentTypeError

from archspec.cli.command import Option


def natural(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0)


def positive(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ArgumentTypeError(f"{text!r} is not of the form K=V, as in growth_rate=12")
    return key.strip(), value


def _input(text: str) -> tuple[str | None, tuple[int, ...]]:
    name, equals, sizes = text.rpartition("=")
    try:
        shape = tuple(positive(size) for size in sizes.lower().split("x"))
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{text!r} is not a shape without the batch, as in 3x224x224"
        ) from None
    return name.strip() if equals else None, shape


SPEC = Option(
    "spec",
    "a YAML file, the name of a bundled spec (see `archspec list`), or - for stdin",
    metavar="SPEC",
)
ALLOW_MODULE = Option(
    "--allow-module",
    "let `module` nodes import and run code of this package; may be repeated",
    metavar="PACKAGE",
    action="append",
    default=[],
)
CHECKING = (
    Option(
        "--allow-outside",
        "let `extends` and `use` read files outside the folder of the spec",
        action="store_true",
    ),
    ALLOW_MODULE,
    Option(
        "--ignore",
        "leave out the warnings of this code, such as AS903; may be repeated",
        metavar="CODE",
        action="append",
        default=[],
    ),
)
"""How a spec is checked."""

COMPILING = (
    SPEC,
    Option(
        "--set",
        "give the parameter K the value V, written as in YAML; may be repeated",
        metavar="K=V",
        dest="params",
        type=_assignment,
        action="append",
        default=[],
    ),
    Option(
        "--input",
        "another input size without the batch: 3x224x224; of several inputs, name=3x224x224",
        metavar="[NAME=]SIZES",
        dest="inputs",
        type=_input,
        action="append",
        default=[],
    ),
    *CHECKING,
)
"""A spec, and with which parameters and inputs it is compiled."""


def formats(*more: str, note: str = "") -> tuple[Option, ...]:
    """The options that choose how results are written: table, json, or one of `more`."""
    return (
        Option(
            "--format",
            f"table (default) to read; json with the names of the Python API{note}",
            choices=("table", "json", *more),
            default="table",
        ),
        Option(
            "--json",
            "short for --format json",
            dest="format",
            action="store_const",
            const="json",
        ),
    )
