"""`archspec schema`: the JSON Schema of the spec language."""

from __future__ import annotations

from argparse import Namespace

from archspec.cli.output import write_json


def run(args: Namespace) -> int:
    """Print the schema."""
    from archspec.document.schema import spec_schema

    write_json(spec_schema())
    return 0
