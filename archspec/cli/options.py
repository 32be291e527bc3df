"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable

from archspec.cli.command import Arguments, Option


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


WEIGHTS = (
    Option(
        "--weights",
        "a file of trained weights, or a name that torchvision publishes; its keys must fit",
        metavar="FILE|NAME",
    ),
    Option(
        "--weights-map",
        "with --weights: read keys below the path OLD as below NEW; may be repeated, or one "
        "YAML or JSON file of such pairs",
        metavar="OLD=NEW|FILE",
        action="append",
        default=[],
    ),
    Option(
        "--partial",
        "with --weights: take what fits (as for a new head) and list the rest",
        action="store_true",
    ),
)
"""Trained weights for the network."""


def renames(args: Arguments) -> dict[str, str] | str | None:
    """What --weights-map says: pairs, or the name of a file of them."""
    given: list[str] = args.weights_map
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    wrong = next((text for text in given if "=" not in text), None)
    if wrong is not None:
        args.error(f"--weights-map: {wrong!r} is not of the form OLD=NEW, as backbone=")
    return dict(text.split("=", 1) for text in given) or None


def refuse_idle_weights(args: Arguments) -> None:
    """An option of --weights without it would be ignored in silence."""
    for option, given in (("--weights-map", bool(args.weights_map)), ("--partial", args.partial)):
        if given and not args.weights:
            args.error(f"{option} needs --weights")
