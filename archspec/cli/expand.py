"""`archspec expand SPEC`: the resolved spec as YAML."""

from __future__ import annotations

from argparse import Namespace

from archspec.cli.output import diagnostics_of, write, write_diagnostics
from archspec.cli.specs import load
from archspec.diagnostics.diagnostic import SpecError


def run(args: Namespace) -> int:
    """Print the YAML; 1 where the spec is wrong."""
    try:
        arch = load(args)
    except (SpecError, OSError) as error:
        write_diagnostics(diagnostics_of(error))
        return 1
    write_diagnostics(arch.warnings)
    write(arch.expand().rstrip("\n"))
    return 0
