"""`archspec check SPEC…`: every mistake of several specs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import archspec
from archspec.cli.output import diagnostics_of, write, write_diagnostics, write_json
from archspec.cli.specs import as_dicts, figures, line_of_figures
from archspec.errors import Diagnostic, SpecError


def run(args: Namespace) -> int:
    """Check them all; 1 where any is wrong."""
    results: list[dict[str, Any]] = []
    for spec in args.specs:
        try:
            arch = archspec.load(spec, allow_outside=args.allow_outside)
        except (SpecError, OSError) as error:
            diagnostics: Sequence[Diagnostic] = diagnostics_of(error)
            results.append({"spec": spec, "ok": False})
        else:
            diagnostics = arch.warnings
            results.append({"spec": spec, "ok": True, **figures(arch)})
            if args.format == "table":
                write(f"{spec}: ok, {line_of_figures(arch)}")
        write_diagnostics(diagnostics)
        results[-1]["diagnostics"] = as_dicts(diagnostics)
    if args.format == "json":
        write_json(results)
    return 0 if all(result["ok"] for result in results) else 1
