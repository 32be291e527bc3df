"""`archspec check SPEC…`: every mistake of several specs; `--fix` corrects what is certain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import CHECKING, SPEC, formats
from archspec.cli.output import write, write_diagnostics, write_json
from archspec.cli.specs import as_dicts, figures, line_of_figures, opened
from archspec.diagnostics.diagnostic import Code, Diagnostic, Source, SpecError, printable
from archspec.expand.program import compile_text, read_named
from archspec.text.limits import DEFAULT

if TYPE_CHECKING:
    from archspec.diagnostics.fix import Change

COMMAND = Command(
    "check specs and name every mistake",
    "Check each spec and print a line of figures for it. Mistakes go to standard error.\n"
    "With --fix, misspelt words and leftovers of YAML 1.1 are corrected in the file where there\n"
    "is one way to do so; comments and layout stay.",
    "archspec check my_network.yaml\n"
    "archspec check my_network.yaml --fix\n"
    "archspec check specs/*.yaml --format json\n"
    "archspec check specs/*.yaml --format sarif > archspec.sarif",
    (
        SPEC._replace(name="specs", nargs="+"),
        Option("--fix", "correct in the files what is certain", action="store_true"),
        *CHECKING,
        *formats("sarif", note="; sarif for code review tools"),
    ),
)


def run(args: Arguments) -> int:
    """Check them all; 1 where any is wrong."""
    results: list[dict[str, Any]] = []
    every: list[Diagnostic] = []
    for spec in args.specs:
        result, diagnostics = _check(spec, args)
        write_diagnostics(diagnostics)
        every += diagnostics
        results.append({**result, "diagnostics": as_dicts(diagnostics)})
    if args.format == "json":
        write_json(results)
    elif args.format == "sarif":
        from archspec.diagnostics.sarif import sarif

        write_json(sarif(every))
    return 0 if all(result["ok"] for result in results) else 1


def _check(spec: str, args: Arguments) -> tuple[dict[str, Any], Sequence[Diagnostic]]:
    """What is to be said of one spec, and its diagnostics."""
    result: dict[str, Any] = {"spec": spec}
    try:
        if args.fix:
            changes = _fix(spec, args)
            result["changes"] = [change._asdict() for change in changes]
            if args.format == "table":
                for change in changes:
                    write(f"{printable(spec)}:{change.line}: {change.before} → {change.after}")
        arch = opened(spec, args, {})
        if arch.located_recipe:
            from archspec.recipe.layers import located_layer
            from archspec.recipe.recipe import resolve

            resolve([located_layer(arch.located_recipe)])
    except SpecError as error:
        return {**result, "ok": False}, error.diagnostics
    if args.format == "table":
        write(f"{printable(spec)}: ok, {line_of_figures(arch)}")
    return {**result, "ok": True, **figures(arch)}, arch.warnings


def _fix(spec: str, args: Arguments) -> list[Change]:
    """Correct a file in its place; a bundled spec is none. Raises `SpecError`."""
    from pathlib import Path

    from archspec.diagnostics.fix import fixed, write_whole

    path = Path(spec)
    if not path.is_file():
        return []
    source, folder = read_named(spec, DEFAULT)

    limits = DEFAULT._replace(modules=tuple(args.allow_module))

    def mistakes(text: Source) -> Sequence[Diagnostic]:
        try:
            compile_text(text, folder, {}, None, limits, args.allow_outside, args.ignore)
        except SpecError as error:
            return error.diagnostics
        return ()

    corrected, changes = fixed(source, mistakes)
    if changes:
        try:
            write_whole(path, corrected.text)
        except OSError as error:
            reason = f"cannot write {spec}: {error.strerror or error}"
            raise SpecError([Diagnostic(Code.FILE, reason)]) from None
    return changes
