"""Where a mistake is shown: at the user's own line, with the way into a block below it."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics.diagnostic import Diagnostic, Note, Span
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
