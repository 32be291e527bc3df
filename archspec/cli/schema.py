"""`archspec schema`: the JSON Schema of the spec language."""

from __future__ import annotations

from archspec.cli.command import Arguments, Command
from archspec.cli.output import write_json

COMMAND = Command(
    "print the JSON Schema of specs, for editors",
    "Print the JSON Schema (draft 2020-12) of the spec language. Editors with a YAML language\n"
    "server then complete and check keys, ops, blocks and their arguments. Name it in a spec:\n"
    "  # yaml-language-server: $schema=archspec.schema.json",
    "archspec schema > archspec.schema.json",
)


def run(args: Arguments) -> int:
    """Print the schema."""
    from archspec.document.schema import spec_schema

    write_json(spec_schema())
    return 0
