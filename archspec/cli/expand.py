"""`archspec expand SPEC`: the resolved spec as YAML."""

from __future__ import annotations

from archspec.cli.command import Arguments, Command
from archspec.cli.options import COMPILING
from archspec.cli.output import write, write_diagnostics
from archspec.cli.specs import load

COMMAND = Command(
    "print the resolved spec as YAML",
    "Print the spec as YAML without parameters, repeats, conditions and blocks: every node\n"
    "with the values that its expressions have.",
    "archspec expand densenet\narchspec expand densenet --set growth_rate=12 > small.yaml",
    COMPILING,
)


def run(args: Arguments) -> int:
    """Print the YAML. Raises `SpecError`."""
    arch = load(args)
    write_diagnostics(arch.warnings)
    write(arch.expand().rstrip("\n"))
    return 0
