"""Errors of the YAML reader: its own, and those of libyaml with the likely slip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, Edit, Refusal, Source, Span, SpecError
from archspec.text.limits import Limits
from archspec.text.slips import scanner_help, structure_help, unfinished, unspaced

if TYPE_CHECKING:
    import yaml


def refused(span: Span, code: Code, message: str, **more: Any) -> SpecError:
    """The error for one mistake at a place."""
    return SpecError([Diagnostic(code, message, span, **more)])


def past_limit(limits: Limits, name: str, value: int, what: str, span: Span) -> SpecError:
    """The error for a value that is past a limit."""
    try:
        limits.check(name, value, what)
    except Refusal as refusal:
        return SpecError([Diagnostic.of(refusal, span)])
    raise AssertionError(f"{name} is within its limit")


def refused_at(source: Source, code: Code, message: str, index: int) -> SpecError:
    """The error for one mistake at an index of the text."""
    before = source.text[:index]
    line = before.count("\n") + 1
    column = index - (before.rfind("\n") + 1) + 1
    return refused(Span(source, line, column, line, column + 1), code, message)


LIBYAML_NESTING = 1_000
"""The depth that libyaml allows by itself, and refuses while it reads ahead, before any event."""


def from_yaml(source: Source, error: yaml.YAMLError, limits: Limits) -> Diagnostic:
    """libyaml's refusal as a diagnostic, with a hint where the slip is a known one."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    if mark is None:
        position = getattr(error, "position", 0) or 0
        before = source.text[: position if isinstance(position, int) else 0]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        code = Code.ENCODING
    else:
        line, column, code = mark.line + 1, mark.column + 1, Code.YAML
    span = Span(source, line, column, line, column + 1)
    if code is Code.ENCODING:
        return Diagnostic(
            code,
            f"this is not YAML: {problem}",
            span,
            found=_code_point(error),
            help="remove the character",
        )
    if problem == "exceeded maximum nesting depth":
        least = limits._replace(nesting=min(limits.nesting, LIBYAML_NESTING))
        (diagnostic,) = past_limit(
            least, "nesting", LIBYAML_NESTING + 1, "the nesting", span
        ).diagnostics
        raised = limits.nesting > LIBYAML_NESTING
        return diagnostic._replace(help="libyaml nests no deeper") if raised else diagnostic
    opened = getattr(error, "context_mark", None)
    slip = None
    if problem == "could not find expected ':'" and opened is not None:
        slip = unspaced(source, opened.line + 1)
    elif "mapping values are not allowed" in problem:
        slip = unspaced(source, line)
    if slip is not None:
        key = Span(source, slip.line, slip.column, slip.line, slip.column + len(slip.key))
        return Diagnostic(
            code,
            "this key has no space after its colon, so YAML reads on as if it were text",
            key,
            help=f"write a space after the colon: `{slip.key}: {slip.value}`",
            edits=(Edit(key._replace(end_column=key.end_column + 1), f"{slip.key}: "),),
        )
    if opened is not None and (found := unfinished(source, problem, opened.line + 1, line)):
        start = Span(source, opened.line + 1, opened.column + 1, opened.line + 1, opened.column + 2)
        return Diagnostic(code, f"this is not YAML: {found.message}", start, help=found.help)
    help_ = scanner_help(source, line, problem) or structure_help(source, line, column, problem)
    return Diagnostic(code, f"this is not YAML: {problem}", span, help=help_)


def _code_point(error: yaml.YAMLError) -> str | None:
    character = getattr(error, "character", None)
    return f"U+{character:04X}" if isinstance(character, int) else None
