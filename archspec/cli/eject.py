"""`archspec eject SPEC`: the network as one Python file that needs torch alone."""

from __future__ import annotations

import os
from pathlib import Path

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import COMPILING
from archspec.cli.output import OutputError, write, write_diagnostics
from archspec.cli.specs import load

COMMAND = Command(
    "write a network as one Python file that needs torch alone",
    "Write a network as plain PyTorch: a class for each block, with the same keys and results.\n"
    "The last class is the network. No line of the file depends on archspec.",
    "archspec eject torchvision/resnet50 -o resnet50.py\n"
    "archspec eject unet --set width=32 > unet.py",
    (
        *COMPILING,
        Option(
            "--output",
            "the file to write (default: standard output)",
            metavar="FILE",
            also=("-o",),
        ),
    ),
)


def run(args: Arguments) -> int:
    """Write the file. Raises `SpecError`, and `OutputError` where it cannot be written."""
    arch = load(args)
    write_diagnostics(arch.warnings)
    text = arch.eject()
    if args.output is None:
        write(text.rstrip("\n"))
    else:
        _write_file(Path(args.output), text)
    return 0


def _write_file(path: Path, text: str) -> None:
    """The whole file, or none."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None
