"""What must hold for every answer of the front end."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, SpecError, line_starts
from archspec.ir.graph import Graph, walk

SHAPE_RULES = frozenset(
    (
        *(Code.SHAPE, Code.RANK, Code.EMPTY),
        *(Code.UNBATCHED, Code.MIXES_BATCH, Code.SINGLE_VALUE),
    )
)
"""Codes of refusals that say something about shapes."""


def outcome(error: SpecError) -> str:
    """The kind of a refusal. The earliest stage decides, because the rest may follow from it."""
    codes = {diagnostic.code for diagnostic in error.diagnostics}
    if codes <= SHAPE_RULES:
        return "refused by a shape rule"
    if codes <= SHAPE_RULES | {Code.LIMIT}:
        return "refused by a limit"
    return "refused by the schema"


def diagnostics_findings(
    diagnostics: Iterable[Diagnostic], placeless: Collection[Code] = ()
) -> list[str]:
    """What is wrong with the diagnostics: no place, a wrong place, or text that cannot print."""
    found: list[str] = []
    shown = list(diagnostics)
    if not shown:
        found.append("diagnostics: a SpecError without any")
    for each in shown[:200]:
        found += _findings(each, each.code in placeless)
    return found


def _findings(diagnostic: Diagnostic, placeless: bool) -> list[str]:
    found: list[str] = []
    text = str(diagnostic)
    about = f"{diagnostic.code} {diagnostic.message[:80]!r}"
    if diagnostic.span is None:
        return [] if placeless else [f"diagnostics: no place: {about}"]
    lines = len(line_starts(diagnostic.span.source.text))
    spans = [diagnostic.span, *(edit.span for edit in diagnostic.edits)]
    for span in spans:
        if not (1 <= span.line <= lines + 1 and span.column >= 1):
            found.append(f"diagnostics: a place outside the text: {span.line}: {about}")
        if (span.end_line, span.end_column) < (span.line, span.column):
            found.append(f"diagnostics: a place that ends before it begins: {about}")
    if any(not (c.isprintable() or c == "\n") for c in text):
        found.append(f"diagnostics: a control character is printed: {about}")
    if len(text) > 20_000:
        found.append(f"diagnostics: {len(text)} characters long: {about}")
    text.encode("utf-8")
    json.dumps(diagnostic.as_dict())
    return found


def described(graph: Graph) -> list[Any]:
    """Everything about a graph, as data to compare: equal data mean the same network."""
    head = [graph.input_names, graph.inputs, graph.outputs, graph.output_names]
    return head + [
        (
            visit.path,
            _kind(visit.step.kind),
            visit.step.op,
            visit.step.inputs,
            visit.step.outputs,
            visit.shared,
            visit.step.shares,
            visit.step.idle,
            visit.training_only,
            visit.step.body.outputs if visit.step.body else None,
        )
        for visit in walk(graph)
    ]


def _kind(written: str) -> str:
    """The kind of a step, as an expansion keeps it.

    There, blocks of one name have different numbers, and a group of several inputs is a block.
    """
    kind = re.sub(r"_\d+\Z", "", written)
    return "group" if kind == "scope" else kind
