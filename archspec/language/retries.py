"""A library block whose shapes do not fit, tried with other arguments, for a help line.

The lines of such a block are not the user's to change; what it was given is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from archspec.errors import Diagnostic, Refusal, Span
from archspec.language.arguments import Argument, LocatedError, show_value
from archspec.language.builder import Refs, Site, Stop
from archspec.language.model import Block

if TYPE_CHECKING:
    from archspec.language.expand import Expander

MOST = 40
"""Calls that are tried in one compilation."""

Arguments = dict[str, Argument]


def with_other_arguments(
    x: Expander,
    since: int,
    block: Block,
    args: Arguments,
    site: Site,
    refs: Refs,
    span: Span,
    written: Span,
) -> None:
    """Adds a help to what was reported of the call since `x.diagnostics` was so long."""
    reported = x.diagnostics[since:]
    if not block.in_library or span.source.library or not all(map(_is_mendable, reported)):
        return
    for words, other in _variants(block, args, site):
        if x.retries >= MOST:
            return
        x.retries += 1
        if _fits(x, block, other, site, refs, span, written):
            x.diagnostics[since:] = [replace(each, help=words) for each in reported]
            return


def _is_mendable(diagnostic: Diagnostic) -> bool:
    return diagnostic.code[:3] == "AS4" and diagnostic.help is None


def _variants(block: Block, args: Arguments, site: Site) -> Iterator[tuple[str, Arguments]]:
    """Calls with one argument less, or one switch turned, and the words that propose them."""
    for name, argument in args.items():
        if not block.params[name].required and block.params[name].type != "layers":
            rest = {key: value for key, value in args.items() if key != name}
            yield f"without `{name}: {_shown(argument, site)}` the shapes fit", rest
    for name, parameter in block.params.items():
        given = args.get(name, parameter.default)
        if given is not None and given.evaluate is None and isinstance(given.constant, bool):
            value = given.constant
            turned = Argument(given.span, not value)
            words = f"with `{name}: {show_value(not value)}` the shapes fit"
            yield words, {**args, name: turned}


def _shown(argument: Argument, site: Site) -> str:
    try:
        return show_value(argument.value(site.env))
    except Refusal:
        return "…"


def _fits(
    x: Expander,
    block: Block,
    args: Arguments,
    site: Site,
    refs: Refs,
    span: Span,
    written: Span,
) -> bool:
    from archspec.language import scopes

    trial = type(x)(x.limits, [], is_trial=True)
    trial.retries = MOST
    with suppress(Refusal, LocatedError, Stop):
        return scopes.call(trial, block, args, site, refs, span, (), written) is not None
    return False
