"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable

from archspec.cli.command import Option


def whole(least: int) -> Callable[[str], int | None]:
    """What reads a whole number of at least `least`."""

    def read(text: str) -> int | None:
        plain = text.isascii() and text.isdigit() and len(text) < 10
        return int(text) if plain and int(text) >= least else None

    return read


def assignment(text: str) -> tuple[str, str] | None:
    """The key and the value of `K=V`."""
    key, equals, value = text.partition("=")
    return (key.strip(), value) if equals and key.strip() else None


def _input(text: str) -> tuple[str | None, tuple[int | None, ...]] | None:
    name, equals, sizes = text.rpartition("=")
    shape = tuple(map(whole(1), sizes.lower().split("x")))
    return None if None in shape else (name.strip() if equals else None, shape)


def size(text: str) -> tuple[str, int] | None:
    """What reads a size for a symbol, as H=96."""
    name, number = assignment(text) or ("", "")
    found = whole(1)(number.strip())
    return (name, found) if found else None


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
        type=assignment,
        expected="of the form K=V, as in growth_rate=12",
        action="append",
        default=[],
    ),
    Option(
        "--input",
        "another input size without the batch: 3x224x224; of several inputs, name=3x224x224",
        metavar="[NAME=]SIZES",
        dest="inputs",
        type=_input,
        expected="a shape without the batch, as in 3x224x224",
        action="append",
        default=[],
    ),
    Option(
        "--size",
        "another size for a symbol that the spec declares under `sizes:`; may be repeated",
        metavar="NAME=SIZE",
        dest="sizes",
        type=size,
        expected="of the form NAME=SIZE, as in H=96",
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
