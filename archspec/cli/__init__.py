"""The command line. Each command is a module with `run(args) -> int`, imported when it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from archspec.cli.parser import build_parser

INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a program that the signal (2 and 13, plus 128) has ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `archspec ARGV…` and return the exit status.

    0: fine; 1: the spec is wrong, or static and real figures disagree; 2: wrong usage, for which
    argparse raises `SystemExit`, as for --help and --version.
    """
    try:
        args = build_parser().parse_args(argv)
        # Pydantic would search all installed packages for plugins of its own before the first op.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
        status = _command(args.command).run(args)
        # Here, so that a reader that went away is noticed inside this try.
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit; let it have somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return int(status)


def _command(name: str) -> ModuleType:
    return import_module(f"archspec.cli.{name}")
