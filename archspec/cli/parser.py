"""The parser of the command line, made of the commands' records."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, HelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from archspec import __version__
from archspec.cli.command import Arguments, Command, Option
from archspec.cli.output import columns
from archspec.diagnostics.suggestions import did_you_mean

COMMANDS = (
    "compile",
    "check",
    "explain",
    "expand",
    "import",
    "eject",
    "list",
    "schema",
    "completion",
    "train",
    "evaluate",
    "predict",
    "export",
    "runs",
)
"""The modules of the commands, in the order of the help."""


def declared(name: str) -> Command:
    """What a command takes."""
    command: Command = import_module(f"archspec.cli.{name}").COMMAND
    return command


def build_parser() -> ArgumentParser:
    """The whole command line: slower to make than one command's part of it."""
    parser = ArgumentParser(
        prog="archspec",
        description="Compile declarative YAML architectures into verified torch modules.",
        epilog="exit status: 0 fine; 1 the spec is wrong, or real figures differ; 2 wrong usage",
    )
    parser.add_argument("--version", action="version", version=f"archspec {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        command = declared(name)
        _fill(commands.add_parser(name, help=command.summary, **_texts(command)), name, command)
    return parser


def parse(argv: Sequence[str] | None) -> Arguments:
    """The arguments. Wrong usage ends the program, with the option that was meant."""
    given = sys.argv[1:] if argv is None else list(argv)
    name = given[0] if given else ""
    if name not in COMMANDS:  # --help, --version, or a mistake
        return build_parser().parse_args(given, Arguments())
    command = declared(name)
    parser = ArgumentParser(prog=f"archspec {name}", **_texts(command))
    _fill(parser, name, command)
    args, unknown = parser.parse_known_args(given[1:], Arguments())
    if unknown:
        word = unknown[0].partition("=")[0]
        # `--weights` means no part of `--loss-weights`.
        flags = [each for each in ("--help", *command.flags) if not each.endswith(word[1:])]
        near = did_you_mean(word, flags) if word.startswith("-") else None
        hint = f" ({near})" if near else ""
        args.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return args


def _texts(command: Command) -> dict[str, Any]:
    lines = "\n".join(f"  {line}" for line in command.examples.splitlines())
    return {
        "description": command.description,
        "epilog": f"examples:\n{lines}",
        "formatter_class": _formatter,
        "allow_abbrev": False,
    }


def _formatter(prog: str) -> HelpFormatter:
    """One of a given width: argparse makes one for each option, and imports shutil for a width."""
    return RawDescriptionHelpFormatter(prog, width=columns() - 2)


def _fill(parser: ArgumentParser, name: str, command: Command) -> None:
    """Add the command's options."""
    parser.set_defaults(command=name, error=parser.error)
    groups: dict[str | None, Any] = {None: parser}
    alone = None
    for option in command.options:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        place = groups[option.group]
        if option.alone:
            alone = place = alone or parser.add_mutually_exclusive_group()
        settings = {**option._asdict(), "type": option.type and _reader(option)}
        for own in ("name", "also", "group", "alone", "expected"):
            del settings[own]
        place.add_argument(*option.names, **{k: v for k, v in settings.items() if v is not None})


def _reader(option: Option) -> Callable[[str], Any]:
    """`option.type` as argparse has it: it raises where the text is not what is expected."""

    def read(text: str) -> Any:
        value = option.type(text) if option.type else text
        if value is None:
            raise ArgumentTypeError(f"{text!r} is not {option.expected}")
        return value

    return read
