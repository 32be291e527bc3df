"""A library block whose shapes do not fit, tried with other arguments, for a help line.

A user cannot change the lines of such a block, only what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archspec.diagnostics.diagnostic import Diagnostic, Refusal
from archspec.document.records import Arguments, Block
from archspec.expand.expansion import Expansion
from archspec.expressions.arguments import Argument, show_value
from archspec.expressions.evaluate import Env

MOST = 40
"""The most calls that are tried in one compilation."""


def with_other_arguments(
    x: Expansion,
    since: int,
    block: Block,
    args: Arguments,
    env: Env,
    fits: Callable[[Arguments], bool],
) -> None:
    """Adds a help to what was reported of the call: the diagnostics from `since` on.

    `env` is the caller's; `fits` tries the call with other arguments.
    """
    reported = x.diagnostics[since:]
    if not block.in_library or not all(map(_lacks_help, reported)):
        return
    for words, other in _variants(block, args, env):
        if x.retries >= MOST:
            return
        x.retries += 1
        if fits(other):
            x.diagnostics[since:] = [each._replace(help=words) for each in reported]
            return


def _lacks_help(diagnostic: Diagnostic) -> bool:
    return diagnostic.code.is_shape and diagnostic.help is None


def _variants(block: Block, args: Arguments, env: Env) -> Iterator[tuple[str, Arguments]]:
    """Calls with one argument left out or one switch turned, and how a help line says so."""
    for name, argument in args.items():
        if not block.params[name].required and block.params[name].type != "layers":
            rest = {key: value for key, value in args.items() if key != name}
            yield f"without `{name}: {_shown(argument, env)}` the shapes fit", rest
    for name, parameter in block.params.items():
        given = args.get(name, parameter.default)
        if given is not None and given.evaluate is None and isinstance(given.constant, bool):
            value = given.constant
            turned = Argument(given.span, not value)
            words = f"with `{name}: {show_value(not value)}` the shapes fit"
            yield words, {**args, name: turned}


def _shown(argument: Argument, env: Env) -> str:
    try:
        return show_value(argument.value(env))
    except Refusal:
        return "…"
