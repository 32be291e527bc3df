"""Values given from outside for the parameters of a spec: from Python, or by `--set`."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from typing import Any

from archspec.diagnostics.diagnostic import (
    Code,
    Diagnostic,
    Refusal,
    Source,
    Span,
    SpecError,
)
from archspec.document.records import Spec
from archspec.document.spec import chain, override, root_of
from archspec.expressions.arguments import (
    Argument,
    LocatedError,
)
from archspec.text.limits import Limits
from archspec.text.values import Value, read


def given_arguments(
    spec: Spec,
    params: AbstractMapping[str, Any],
    limits: Limits,
    diagnostics: list[Diagnostic],
) -> dict[str, Argument]:
    """Arguments for the root's parameters: those of the chain, then the caller's."""
    found: dict[str, Argument] = {}
    for each in chain(spec):
        for name, parameter in each.overrides.items():
            assert parameter.default is not None
            found[name] = parameter.default
    if any(d.severity == "error" for d in diagnostics) and root_of(spec).body is None:
        return found  # the base is not there: its parameters are not known
    for name, value in params.items():
        try:
            parameter = override(spec, name, _as_value(name, value, limits), _key_of(name, value))
        except LocatedError as error:
            diagnostics.extend(error.diagnostics)
            continue
        assert parameter.default is not None
        found[name] = parameter.default
    return found


def _as_value(name: str, given: Any, limits: Limits) -> Value:
    """A Python value (or the text after `=` of --set) as a value of the language."""
    if isinstance(given, _GivenText):
        return read(Source(f"--set {name}", str(given)), limits)
    return read(Source(f"params[{name!r}]", _as_json(name, given)), limits)


def _key_of(name: str, given: Any) -> Span:
    """The place of the name itself, for one that the spec does not know."""
    if isinstance(given, _GivenText):
        return Span(Source("--set", f"{name}={given}"), 1, 1, 1, len(name) + 1)
    return Span(Source("params", f"{name!r}: {given!r}"[:200]), 1, 1, 1, len(repr(name)) + 1)


class _GivenText(str):
    """The text of a `--set K=V`, to be read as YAML."""

    __slots__ = ()


def set_text(text: str) -> Any:
    """Marks the text after `=` of `--set K=V`: it is read as a value in a spec would be."""
    return _GivenText(text)


def _as_json(name: str, given: Any) -> str:
    import json

    try:
        return json.dumps(given, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        refusal = Refusal(
            f"the value given for {name!r} is not plain data",
            code=Code.PARAMETER,
            expected="numbers, text, truth values, lists and mappings of them",
            found=str(given) if isinstance(given, float) else type(given).__name__,
        )
        raise SpecError([Diagnostic.of(refusal, None)]) from None
