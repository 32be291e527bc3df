"""Layers of a recipe: values of one origin with their places, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_origin

from archspec.diagnostics.diagnostic import (
    Code,
    Diagnostic,
    Edit,
    Help,
    Refusal,
    Source,
    Span,
    SpecError,
)
from archspec.diagnostics.suggestions import did_you_mean, suggestion
from archspec.expressions.arguments import YAML_11, describe, found_value, show_value
from archspec.expressions.evaluate import Table
from archspec.ir.fields import MISFIT, converter, leaves
from archspec.ir.op import MAX_FLOAT
from archspec.recipe.settings import Setting
from archspec.record import Record
from archspec.text import values as yaml
from archspec.text.files import read_text
from archspec.text.limits import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

Located: TypeAlias = dict[str, tuple[yaml.Scalar, yaml.Value]]
"""Values by name, each with its key: both know where they stand."""

MANY = 20
"""Names that are not listed in a message any more."""


class RecipeLayer(Record):
    """Values of one origin.

    `spans` has the place of each value by its path (`lr`, `normalize.mean`), and that of its key
    by `key:` and its path.
    """

    values: Mapping[str, Any]
    spans: Mapping[str, Span] = {}


def located_layer(entries: Located) -> RecipeLayer:
    """The layer of a mapping in a text, such as a spec's `train:`."""
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for name, (key, item) in entries.items():
        values[name] = yaml.plain(item)
        spans[name], spans[f"key:{name}"] = item.span, key.span
        if isinstance(item, yaml.Mapping):
            for inner, inner_key, each in item.items():
                path = f"{name}.{inner}"
                spans[path], spans[f"key:{path}"] = each.span, inner_key.span
    return RecipeLayer(values, spans)


def read_layer(source: Source) -> RecipeLayer:
    """The layer of a text that is a YAML mapping. Raises `SpecError`."""
    value = yaml.read(source, DEFAULT)
    if isinstance(value, yaml.Mapping):
        return located_layer(value.entries)
    message = f"a recipe is a mapping, not {yaml.kind(value)}"
    raise SpecError([Diagnostic(Code.STRUCTURE, message, value.span)])


def file_layer(path: Path) -> RecipeLayer:
    """The layer of a `--config` file. Raises `SpecError`."""
    try:
        return read_layer(read_text(path, DEFAULT))
    except Refusal as refusal:
        raise SpecError([Diagnostic.of(refusal, None)]) from None


def option_layer(options: Iterable[tuple[Setting, str]]) -> RecipeLayer:
    """The layer of options of the command line, each with the text that is given for it."""
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for setting, text in options:
        source, name = Source(setting.flag, text), setting.name
        if setting.annotation is str:
            values[name], spans[name] = text, Span(source, 1, 1, 1, len(text) + 1)
        else:
            value = yaml.read(source, DEFAULT)
            values[name], spans[name] = yaml.plain(value), value.span
    return RecipeLayer(values, spans)


def read_values(
    known: Mapping[str, Setting], layer: RecipeLayer, fallback: Span | None = None
) -> tuple[dict[str, Any], list[Diagnostic]]:
    """The values of a layer as a recipe holds them, and what is wrong with the others.

    A mistake that stands nowhere is reported at `fallback`.
    """
    reader = _ConfigReader(layer.spans, fallback)
    values: dict[str, Any] = {}
    for name, value in layer.values.items():
        if name in known:
            values[name] = reader.read(known[name], value)
        else:
            reader.refuse_key(name, "a recipe has no", known, layer.values)
    return values, reader.diagnostics


class _ConfigReader:
    """Reads values, and collects what is wrong with them."""

    def __init__(self, spans: Mapping[str, Span], fallback: Span | None) -> None:
        self.spans, self.fallback = spans, fallback
        self.diagnostics: list[Diagnostic] = []

    def read(self, setting: Setting, given: Any) -> Any:
        """The value of a field, or `MISFIT`."""
        name, annotation = setting.name, setting.annotation
        value = _with_tuples(given)
        if isinstance(value, str) and annotation == tuple[str, ...]:
            value = (value,)  # one text stands for a list of one
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            for part in (annotation, *get_args(annotation)):
                if get_origin(part) is Mapping:
                    return self._each(name, value, get_args(part)[1])
                if hasattr(part, "_fields"):
                    return self._record(name, value, part)
        found = _taken(annotation, value)
        if found is MISFIT or (isinstance(found, str) and found not in (setting.words or [found])):
            return self._refuse(name, value, setting.expected, setting.words, annotation)
        return found

    def _each(self, name: str, value: dict[str, Any], annotation: Any) -> Any:
        return {key: self._part(f"{name}.{key}", each, annotation) for key, each in value.items()}

    def _record(self, name: str, value: dict[str, Any], kind: Any) -> Any:
        parts = {}
        for key, each in value.items():
            if key in kind._fields:
                parts[key] = self._part(f"{name}.{key}", each, kind.__annotations__[key])
            else:
                self.refuse_key(f"{name}.{key}", f"`{name}` has no", kind._fields, value)
        if parts.keys() == value.keys() and len(parts) < len(kind._fields):
            return self._refuse(name, value, describe(kind))
        return MISFIT if len(parts) < len(kind._fields) else kind(**parts)

    def _part(self, path: str, value: Any, annotation: Any) -> Any:
        found = _taken(annotation, value)
        return self._refuse(path, value, describe(annotation)) if found is MISFIT else found

    def _refuse(
        self,
        path: str,
        value: Any,
        expected: str,
        words: Iterable[str] = (),
        annotation: Any = None,
    ) -> Any:
        span = self._place(path)
        self.diagnostics.append(
            Diagnostic.at(
                Code.ARGUMENT,
                f"`{path}` cannot be {show_value(value)}",
                span,
                expected=expected,
                found=found_value(value),
                help=_remedy(value, words, annotation, span),
            )
        )
        return MISFIT

    def refuse_key(
        self, path: str, what: str, known: Collection[str], given: Mapping[str, Any]
    ) -> None:
        word = path if path in given else path.partition(".")[2]
        span = self.spans.get(f"key:{path}") or self._place(path)
        listed = ", ".join(known) if len(known) < MANY else "the options of `archspec train --help`"
        near = _near(word, known, span, given).or_else(f"it has {listed}")
        message = f"{what} {yaml.shorten(word)!r}"
        self.diagnostics.append(Diagnostic.at(Code.UNKNOWN_KEY, message, span, help=near))

    def _place(self, path: str) -> Span | None:
        return self.spans.get(path) or self.spans.get(path.partition(".")[0], self.fallback)


def _taken(annotation: Any, value: Any) -> Any:
    """The value as the type has it, or `MISFIT`."""
    found = converter(annotation)(value)
    if found is MISFIT and value.__class__ is int and 2**53 < abs(value) < MAX_FLOAT:
        found = converter(annotation)(float(value))  # which is not exact
    return found


def _with_tuples(value: Any) -> Any:
    """Lists as tuples, and mappings as the language shows them."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, list | tuple):
        return tuple(map(_with_tuples, value))
    if isinstance(value, dict):
        return Table({key: _with_tuples(item) for key, item in value.items()})
    return value


def _remedy(value: Any, words: Iterable[str], annotation: Any, span: Span | None) -> Help | None:
    if not isinstance(value, str):
        return None
    if bool in leaves(annotation) and value.lower() in YAML_11:
        meant = YAML_11[value.lower()]
        return Help(f"write {meant}", (Edit(span, meant),) if span else ())
    return _near(value, words, span)


def _near(
    word: str, known: Iterable[str], span: Span | None, taken: Mapping[str, Any] = {}
) -> Help:
    return Help(did_you_mean(word, known)) if span is None else suggestion(word, known, span, taken)
