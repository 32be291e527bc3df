"""Where a mistake is shown: at the user's own line, with the way into a block below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, Span
from archspec.record import Record


class CallSite(Record):
    """A block (or, without a name, a group) that is being expanded, and where it is called."""

    span: Span
    block: str | None


def located(diagnostic: Diagnostic, calls: Sequence[CallSite]) -> Diagnostic:
    """Moves a place inside a library block to the user's call, and notes the way there.

    `calls` leads from the outermost list to the one that holds the diagnostic's place.
    """
    place = diagnostic.span
    notes: list[Note] = []
    inner = [*(call.span for call in calls[1:]), place]
    library = next((i for i, span in enumerate(inner) if span and span.source.library), None)
    if library is not None:
        notes = [
            Note(f"in the block {call.block}" if call.block else "in the group", span, excerpt=True)
            for call, span in zip(calls[library:], inner[library:], strict=True)
        ]
        place, calls = calls[library].span, calls[:library]
    notes += [
        Note(f"in the block {call.block}, called here", call.span)
        for call in reversed(calls)
        if call.block is not None
    ]
    # A block that calls itself is on the way very often.
    return diagnostic._replace(span=place, notes=diagnostic.notes + tuple(dict.fromkeys(notes)))


MOST_LINES = 6
"""Lines of further calls that are listed."""


def once_a_line(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Without those that the same line of a block gives in further calls, which a note counts."""
    first: dict[tuple[Code, Span | None], tuple[Note, ...]] = {}
    further: dict[tuple[Code, Span | None], dict[tuple[Note, ...], None]] = {}
    kept: list[Diagnostic] = []
    for each in diagnostics:
        key = each.code, each.span
        if first.setdefault(key, each.notes) == each.notes:
            kept.append(each)
        else:
            further.setdefault(key, {})[each.notes] = None
    return [
        each.with_notes(_counted(list(further[each.code, each.span])))
        if (each.code, each.span) in further
        else each
        for each in kept
    ]


def _counted(calls: Sequence[tuple[Note, ...]]) -> Note:
    """A note on the calls in which the same line is wrong again."""
    lines = dict.fromkeys(notes[-1].span.line for notes in calls if notes and notes[-1].span)
    listed = ", ".join(map(str, list(lines)[:MOST_LINES]))
    more = ", …" if len(lines) > MOST_LINES else ""
    times = "once" if len(calls) == 1 else f"{len(calls)} times"
    return Note(
        f"called {times} more, with the same result: line{'s'[len(lines) == 1 :]} {listed}{more}"
    )
