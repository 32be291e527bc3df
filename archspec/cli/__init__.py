"""The command line. Each command is a module with `run(args) -> int`, imported when it is used."""

from __future__ import annotations

import gc
import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import archspec
from archspec.cli.command import Arguments
from archspec.cli.output import OutputError, flush, write, write_diagnostics
from archspec.cli.parser import parse
from archspec.diagnostics.diagnostic import ArchspecError, SpecError

LONG = frozenset({"train", "evaluate", "predict", "export"})
"""Commands that run networks."""

USUAL = gc.get_threshold()
MANY = 200_000
"""Objects that are made before garbage is looked for: a short command ends before that."""

INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a program that the signal (2 and 13, plus 128) has ended."""

OVERWRITTEN = """\
another distribution of the name archspec (which tells CPUs apart) has overwritten this one.
Give each an environment of its own; here, `pip uninstall archspec` and then
`pip install --force-reinstall --no-deps archspec-nn` bring this one back."""
NEEDS_TORCH = """\
this needs torch, which is not installed: `pip install torch`.
Without it specs are compiled, checked, expanded and summarised."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `archspec ARGV…` and return the exit status.

    0: fine; 1: the spec is wrong, or static and real figures disagree; 2: wrong usage, for which
    argparse raises `SystemExit`, as for --help and --version.
    """
    if sys.stdout is None:  # closed by the caller, as with `>&-`: nobody wants the output
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # torch does without NumPy, and so does archspec.
    warnings.filterwarnings("ignore", "Failed to initialize NumPy", UserWarning)
    if "loads" not in getattr(archspec, "__all__", ()):
        return _error(OVERWRITTEN)
    try:
        args = parse(argv)
        # Pydantic would search all installed packages for plugins of its own before the first op.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
        if args.command in LONG or getattr(args, "verify", False):
            gc.set_threshold(*USUAL)
        status = _run(args)
        # Here, so that a reader that went away is noticed inside this try.
        flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return BROKEN_PIPE
    except OutputError as error:
        _give_up_output()
        return _error(str(error))
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return _error(NEEDS_TORCH)
    return status


def _run(args: Arguments) -> int:
    """The command's exit status; whatever a user can correct is written to standard error."""
    try:
        return int(import_module(f"archspec.cli.{args.command}").run(args))
    except SpecError as error:
        write_diagnostics(error.diagnostics)
    except ArchspecError as error:
        write(f"archspec {args.command}: error: {error}", sys.stderr)
    return 1


def _error(message: str) -> int:
    sys.stderr.write(f"archspec: error: {message}\n")
    return 1


class _Pattern:
    """A regular expression that is compiled when it is first used."""

    def __init__(self, *given: Any) -> None:
        self._given = given

    def __getattr__(self, name: str) -> Any:
        return getattr(re.compile(*self._given), name)


def _import_yaml() -> None:
    """PyYAML compiles patterns for a parser of its own, which takes longer than a whole spec.

    libyaml does its work here. This is for a process of ours alone, where nothing else runs yet.
    """
    compile = re.compile
    re.compile = _Pattern  # type: ignore[assignment]
    try:
        import yaml  # noqa: F401
    finally:
        re.compile = compile


def run() -> NoReturn:
    """The command as a program of its own: it does not clean up what the system takes away."""
    gc.set_threshold(MANY)
    if len(sys.argv) > 2:  # a command, and most likely a spec
        _import_yaml()
    status = main()
    if "torch" in sys.modules:  # threads, devices and files to be left in order
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):  # closed by its reader, or by us
                stream.flush()
    os._exit(status)


def _give_up_output() -> None:
    """The interpreter flushes stdout once more at exit; let it have somewhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
