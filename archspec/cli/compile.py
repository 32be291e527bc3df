"""`archspec compile SPEC`: figures, summary and verification of one spec."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from archspec.cli.output import (
    columns,
    diagnostics_of,
    write,
    write_diagnostics,
    write_json,
)
from archspec.cli.specs import as_dicts, figures, line_of_figures, load
from archspec.errors import SpecError

if TYPE_CHECKING:
    from archspec.analyses.summary import Summary
    from archspec.architecture import Architecture
    from archspec.verify import Report


def run(args: Namespace) -> int:
    """Print what the options ask for; 1 where the spec is wrong or verification fails."""
    _refuse_idle_options(args)
    try:
        arch = load(args)
    except (SpecError, OSError) as error:
        diagnostics = diagnostics_of(error)
        write_diagnostics(diagnostics)
        if args.format == "json":
            write_json({"diagnostics": as_dicts(diagnostics)})
        return 1
    return _json(arch, args) if args.format == "json" else _table(arch, args)


def _refuse_idle_options(args: Namespace) -> None:
    """An option without its switch would be ignored in silence."""
    for option, given, switch in (
        ("--depth", args.depth is not None, "summary"),
        ("--batch-size", args.batch_size is not None, "summary"),
        ("--device", args.device is not None, "verify"),
    ):
        if given and not getattr(args, switch):
            args.parser.error(f"{option} needs --{switch}")


def _table(arch: Architecture, args: Namespace) -> int:
    write_diagnostics(arch.warnings)
    if args.summary:
        show_summary(_summary(arch, args))
    elif not args.verify:
        write(f"{arch.name}: {line_of_figures(arch)}")
    if not args.verify:
        return 0
    # The table is there to read while the real network runs.
    sys.stdout.flush()
    report = _verify(arch, args)
    if args.summary:
        write("")
    write(str(report), sys.stdout if report.ok else sys.stderr)
    return 0 if report.ok else 1


def _json(arch: Architecture, args: Namespace) -> int:
    result = _summary(arch, args).as_dict() if args.summary else figures(arch)
    result["warnings"] = as_dicts(arch.warnings)
    ok = True
    if args.verify:
        report = _verify(arch, args)
        result["verify"] = report.as_dict()
        ok = report.ok
        if not ok:
            write(str(report), sys.stderr)
    write_json(result)
    return 0 if ok else 1


def _summary(arch: Architecture, args: Namespace) -> Summary:
    return arch.summary(depth=args.depth, batch_size=args.batch_size or 1)


def show_summary(summary: Summary) -> None:
    """The table in the terminal's width and colours, or plain where the output goes elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console

        from archspec.analyses.terminal import terminal_view

        console = Console()
        console.print(terminal_view(summary, console.width), crop=False)
    else:
        from archspec.analyses.table import plain_text

        write(plain_text(summary, columns()))


def _verify(arch: Architecture, args: Namespace) -> Report:
    device = args.device or "cpu"
    if args.device:
        _check_device(args)
    return arch.verify(device=device)


def _check_device(args: Namespace) -> None:
    """A device that this machine has not is wrong usage."""
    import torch

    try:
        usable = torch.empty(0, device=args.device).device.type != "meta"
        reason = "computes nothing"
    except (RuntimeError, AssertionError) as error:
        usable, reason = False, str(error).splitlines()[0]
    if not usable:
        args.parser.error(f"--device {args.device}: {reason}")
