"""Diagnostics as SARIF 2.1.0, the format that code review tools read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from archspec import __version__
from archspec.diagnostics.catalogue import CATALOGUE
from archspec.diagnostics.diagnostic import Code, Diagnostic, Edit, Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """A log of one run. Columns count characters (`unicodeCodePoints`) from 1."""
    found = list(diagnostics)
    codes = sorted({diagnostic.code for diagnostic in found})
    driver = {
        "name": "archspec",
        "version": __version__,
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in found],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: Code) -> dict[str, Any]:
    entry = CATALOGUE[code]
    return {
        "id": str(code),
        "name": code.name,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.text},
        "defaultConfiguration": {"level": "warning" if code.is_warning else "error"},
    }


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": str(diagnostic.code),
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": _message(diagnostic)},
    }
    if diagnostic.span is not None:
        result["locations"] = [_location(diagnostic.span)]
    related = [
        {"id": number, **_location(note.span), "message": {"text": note.message}}
        for number, note in enumerate((*diagnostic.trail, *diagnostic.notes))
        if note.span is not None
    ]
    if related:
        result["relatedLocations"] = related
    if diagnostic.edits:
        result["fixes"] = [_fix(diagnostic.edits)]
    return result


def _message(diagnostic: Diagnostic) -> str:
    lines = [diagnostic.message]
    parts = {title: getattr(diagnostic, title) for title in ("expected", "found", "help")}
    lines += [f"{title}: {text}" for title, text in parts.items() if text]
    lines += [note.message for note in diagnostic.trail if note.span is None]
    return "\n".join(lines)


def _location(span: Span) -> dict[str, Any]:
    artifact = {"uri": _uri(span.source.name)}
    return {"physicalLocation": {"artifactLocation": artifact, "region": _region(span)}}


def _uri(name: str) -> str:
    path = Path(name)
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _fix(edits: Iterable[Edit]) -> dict[str, Any]:
    changes: dict[str, list[dict[str, Any]]] = {}
    for edit in edits:
        replacement = {
            "deletedRegion": _region(edit.span),
            "insertedContent": {"text": edit.replacement},
        }
        changes.setdefault(edit.span.source.name, []).append(replacement)
    return {
        "artifactChanges": [
            {"artifactLocation": {"uri": _uri(name)}, "replacements": replacements}
            for name, replacements in changes.items()
        ]
    }
