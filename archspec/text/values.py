"""Text to values that know their place: a strict reading of YAML 1.2.

Works from libyaml's events, because a ready-made loader loses places, keeps the last of two equal
keys, reads `no` as false and `010` as eight, and walks an alias bomb to its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Source, Span, SpecError
from archspec.text.limits import Limits
from archspec.text.refusals import from_yaml, past_limit, refused, refused_at
from archspec.text.slips import unbalanced

_INT = re.compile(r"[-+]?[0-9]+\Z")
_RADIX = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]*(?:[ \t]#[^\n]*)?(?:\s+|$))+")
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

Atom: TypeAlias = str | int | float | bool | None

Place: TypeAlias = tuple[Source, int, int, int, int]
"""What a `Span` holds, which is one itself."""


class Placed:
    """Stands at a place of a text. Its span is made when it is asked for: a large text has many."""

    __slots__ = ("column", "end_column", "end_line", "line", "source")

    def __init__(self, place: Place) -> None:
        self.source, self.line, self.column, self.end_line, self.end_column = place

    @property
    def span(self) -> Span:
        return Span(self.source, self.line, self.column, self.end_line, self.end_column)


class Scalar(Placed):
    """A single value: `value` as YAML 1.2 resolves it, `text` as written (quotes removed)."""

    __slots__ = ("plain", "text", "value")
    size = 1

    def __init__(self, value: Atom, text: str, plain: bool, place: Place) -> None:
        self.value, self.text, self.plain = value, text, plain
        self.source, self.line, self.column, self.end_line, self.end_column = place

    @property
    def is_absent(self) -> bool:
        """Nothing written where a value belongs (`stride:`), unlike an explicit `null`."""
        return self.plain and self.text == ""


class Items(Placed):
    """A list of values."""

    __slots__ = ("items", "size")

    def __init__(self, items: tuple[Value, ...], place: Place, size: int) -> None:
        super().__init__(place)
        self.items, self.size = items, size

    def __iter__(self) -> Iterator[Value]:
        return iter(self.items)


class Mapping(Placed):
    """A mapping; keys are scalars with places, unique by their text."""

    __slots__ = ("entries", "flow", "size")

    def __init__(
        self, entries: dict[str, tuple[Scalar, Value]], place: Place, size: int, flow: bool
    ) -> None:
        super().__init__(place)
        self.entries, self.size, self.flow = entries, size, flow

    def get(self, key: str) -> Value | None:
        entry = self.entries.get(key)
        return entry[1] if entry else None

    def key(self, key: str) -> Scalar:
        return self.entries[key][0]

    def items(self) -> Iterator[tuple[str, Scalar, Value]]:
        for text, (key, value) in self.entries.items():
            yield text, key, value


Value: TypeAlias = Scalar | Items | Mapping


def plain(value: Value) -> Any:
    """A value without places: numbers, texts, lists and dicts."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Items):
        return [plain(item) for item in value]
    return {key: plain(item) for key, _, item in value.items()}


def kind(value: Value) -> str:
    """What a value is, for messages."""
    if isinstance(value, Items):
        return "a list" if value.items else "an empty list"
    if isinstance(value, Mapping):
        return "a mapping" if value.entries else "an empty mapping"
    if value.is_absent:
        return "nothing"
    if value.value is None:
        return "null"
    if isinstance(value.value, bool):
        return f"the truth value {value.text}"
    if isinstance(value.value, str):
        return f"the text {shorten(value.text)!r}"
    return f"the number {shorten(value.text)}"


def shorten(text: str, width: int = 60) -> str:
    """The text, cut with an ellipsis where it is longer than `width`."""
    return text if len(text) <= width else text[: width - 1] + "…"


def read(source: Source, limits: Limits) -> Value:
    """The one document of a text. Raises `SpecError` for anything but one sound document."""
    try:
        size = len(source.text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise refused_at(
            source, Code.ENCODING, "the text is not valid Unicode", error.start
        ) from None
    if size > limits.text_bytes:
        try:
            limits.check("text_bytes", size, "the size of the text in bytes")
        except Refusal as refusal:
            raise SpecError([Diagnostic.of(refusal, Span(source, 1, 1, 1, 1))]) from None
    import yaml  # when the first text is read: it takes as long as all else that reads one

    try:
        return _Reader(source, limits).read()
    except yaml.YAMLError as error:
        raise SpecError([from_yaml(source, error, limits)]) from None


def resolve(text: str, span: Span) -> Atom:
    """A plain scalar's value by the YAML 1.2 core schema."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first in "0123456789.+-":
        if _INT.match(text) or _RADIX.match(text):
            if len(text) > 100:
                raise refused(span, Code.SCALAR, "a whole number of more than 100 digits")
            return int(text, 0) if _RADIX.match(text) else int(text)
        if _FLOAT.match(text):
            number = float(text)
            if number in (float("inf"), float("-inf")):
                raise refused(span, Code.SCALAR, f"{shorten(text)} is too large for a number")
            return number
        if _NOT_FINITE.match(text):
            raise refused(
                span,
                Code.SCALAR,
                f"{text} is not a size, rate or count",
                expected="a finite number",
            )
    return text


class _Reader:
    """Builds values from events with a stack of its own, so that no nesting can overflow."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.anchors: dict[str, Value | None] = {}
        # Plain texts that were resolved before: most stand in a spec many times.
        self.plain: dict[str, tuple[Atom, str]] = {}
        # The line of the last value, from 0 and from 1: the values of a line have one number.
        self.line, self.number = 0, 1

    def place(self, start: Any, end: Any) -> Place:
        """The place between two marks of libyaml, which counts from 0."""
        line, last = start.line, end.line
        if line != self.line:
            self.line, self.number = line, line + 1
        end_line = self.number if last == line else last + 1
        return self.source, self.number, start.column + 1, end_line, end.column + 1

    def span(self, event: Any) -> Span:
        return Span(*self.place(event.start_mark, event.end_mark))

    def read(self) -> Value:
        import yaml

        documents: list[Value] = []
        # Each open collection: its event, and the values collected so far (keys and values
        # alternate in a mapping).
        stack: list[tuple[Any, list[Value]]] = []
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        starts = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
        ends = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
        for event in yaml.parse(self.source.text, Loader=loader):
            kind_ = event.__class__
            if kind_ is yaml.ScalarEvent:
                value: Value = self.scalar(event, bool(stack) and stack[-1][0].flow_style is True)
            elif kind_ in starts:
                self.open(event, stack)
                continue
            elif kind_ in ends:
                start, values = stack.pop()
                value = self.close(start, event, values, kind_ is yaml.SequenceEndEvent)
            elif kind_ is yaml.AliasEvent:
                value = self.alias(event)
            else:
                if kind_ is yaml.DocumentStartEvent and documents:
                    raise refused(
                        self.span(event),
                        Code.YAML_FEATURE,
                        "a second document begins here",
                        expected="one document in a file",
                        help="put it into a file of its own",
                    )
                continue
            (stack[-1][1] if stack else documents).append(value)
        if not documents:
            raise refused(
                Span(self.source, 1, 1, 1, 1),
                Code.STRUCTURE,
                "the spec is empty",
                expected="a mapping with at least `input:` and `layers:`",
            )
        return documents[0]

    def open(self, event: Any, stack: list[tuple[Any, list[Value]]]) -> None:
        if event.tag is not None:
            self.refuse_tag(event, event.implicit)
        if len(stack) >= self.limits.nesting:
            raise past_limit(
                self.limits, "nesting", len(stack) + 1, "the nesting", self.span(event)
            )
        if event.anchor:
            self.anchors[event.anchor] = None
        stack.append((event, []))

    def close(self, start: Any, end: Any, values: list[Value], is_list: bool) -> Value:
        place = self.place(start.start_mark, end.end_mark)
        size = 1 + sum([value.size for value in values])
        self.count(size, place)
        result: Value
        if is_list:
            result = Items(tuple(values), place, size)
        else:
            result = Mapping(self.entries(values), place, size, bool(start.flow_style))
        if start.anchor:
            self.anchors[start.anchor] = result
        return result

    def entries(self, values: list[Value]) -> dict[str, tuple[Scalar, Value]]:
        entries: dict[str, tuple[Scalar, Value]] = {}
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise refused(
                    key.span,
                    Code.STRUCTURE,
                    f"{kind(key)} cannot be a key",
                    expected="a word before the colon",
                    help='quote text that begins with a bracket or brace: "[a, b]"',
                )
            if key.text == "<<" and key.plain:
                raise refused(
                    key.span,
                    Code.YAML_FEATURE,
                    "merge keys (`<<`) are not part of the language",
                    help="write the keys out, or make a block with parameters",
                )
            if key.text in entries:
                raise SpecError(
                    [
                        Diagnostic(
                            Code.DUPLICATE_KEY,
                            f"the key {shorten(key.text)!r} stands twice in one mapping",
                            key.span,
                            expected="each key once",
                            found=f"the first is at line {entries[key.text][0].span.line}",
                            help="remove one of the two",
                        )
                    ]
                )
            entries[key.text] = (key, value)
        return entries

    def scalar(self, event: Any, in_flow: bool) -> Scalar:
        text, place = event.value, self.place(event.start_mark, event.end_mark)
        if len(text) > self.limits.scalar_length:
            what = "the length of this text"
            raise past_limit(self.limits, "scalar_length", len(text), what, Span(*place))
        plain = not event.style
        if event.tag is not None:
            self.refuse_tag(event, event.implicit[0] or event.implicit[1])
        if plain and in_flow and "(" in text:
            self.refuse_cut(text, Span(*place))
        if event.anchor or event.tag:
            place = _behind_properties(Span(*place))
        meant: Atom = text
        if plain:
            known = self.plain.get(text)
            if known is None:
                known = self.plain[text] = resolve(text, Span(*place)), text
            meant, text = known
        value = Scalar(meant, text, plain, place)
        if event.anchor:
            self.anchors[event.anchor] = value
        return value

    def alias(self, event: Any) -> Value:
        value = self.anchors.get(event.anchor)
        if value is None:
            inside = event.anchor in self.anchors
            raise refused(
                self.span(event),
                Code.YAML_FEATURE,
                f"*{shorten(event.anchor)} "
                + ("stands inside the value it names" if inside else "names no anchor"),
            )
        self.count(value.size, self.place(event.start_mark, event.end_mark))
        return value

    def count(self, size: int, place: Place) -> None:
        if size > self.limits.values:
            what = "the number of values (aliases expanded)"
            raise past_limit(self.limits, "values", size, what, Span(*place))

    def refuse_cut(self, text: str, span: Span) -> None:
        """Refuses a plain text within braces that ends before its parenthesis is closed."""
        if help_ := unbalanced(text, self.source, span):
            raise refused(
                span,
                Code.YAML,
                f"{shorten(text)!r} is cut at a comma: inside braces a plain text ends there",
                help=help_,
            )

    def refuse_tag(self, event: Any, implicit: bool) -> None:
        if event.tag != "!" and not implicit:
            raise refused(
                self.span(event),
                Code.YAML_FEATURE,
                f"the tag {shorten(str(event.tag))} is not part of the language",
                help="remove it; write text in quotes",
            )


def _behind_properties(span: Span) -> Span:
    """The place of a scalar itself, where that of libyaml begins at its anchor or tag."""
    lines = [span.source.line(number) for number in range(span.line, span.end_line + 1)]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    found = _PROPERTIES.match("\n".join(lines))
    if found is None:
        return span
    before = found[0].split("\n")
    column = len(before[-1]) + (span.column if len(before) == 1 else 1)
    return span._replace(line=span.line + len(before) - 1, column=column)
