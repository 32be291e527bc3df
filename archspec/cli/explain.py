"""`archspec explain [CODE]`: what a diagnostic means, with a wrong and a right example."""

from __future__ import annotations

import textwrap

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import formats
from archspec.cli.output import columns, write, write_json
from archspec.diagnostics.catalogue import CATALOGUE, Explanation
from archspec.diagnostics.diagnostic import Code

COMMAND = Command(
    "explain the code of an error or warning",
    "Print what a code means at length, with a wrong and a right example.\n"
    "Without a code, list all of them.",
    "archspec explain AS401\narchspec explain",
    (Option("code", "a code, such as AS401", metavar="CODE", nargs="?"), *formats()),
)


def run(args: Arguments) -> int:
    """Print one entry, or a line for each."""
    if args.code is None:
        if args.format == "json":
            write_json([_as_dict(code, entry) for code, entry in CATALOGUE.items()])
        else:
            for code, entry in CATALOGUE.items():
                write(f"{code}  {entry.title}")
        return 0
    word = args.code.upper()
    if word.isdigit():
        word = f"AS{word}"
    if word not in CATALOGUE:
        known = f"{min(CATALOGUE)} to {max(CATALOGUE)}; `archspec explain` lists them"
        args.error(f"there is no code {args.code!r}: codes are {known}")
    code = Code(word)
    if args.format == "json":
        write_json(_as_dict(code, CATALOGUE[code]))
    else:
        write(explanation(code, CATALOGUE[code]))
    return 0


def explanation(code: Code, entry: Explanation) -> str:
    """The entry as plain text."""
    kind = "warning" if code.is_warning else "error"
    parts = [f"{code} ({kind}): {entry.title}", textwrap.fill(entry.text, columns())]
    if not entry.wrong:
        return "\n\n".join(parts)
    parts += ["Wrong:", _indented(entry.wrong)]
    parts += [f"With the file {name}:\n\n{_indented(text)}" for name, text in entry.files.items()]
    return "\n\n".join([*parts, "Right:", _indented(entry.right)])


def _indented(text: str) -> str:
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    return "\n".join(f"    {line}".rstrip() for line in shown.rstrip("\n").split("\n"))


def _as_dict(code: Code, entry: Explanation) -> dict[str, object]:
    return {"code": str(code), **entry._asdict()}
