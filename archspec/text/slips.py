"""Hints for the slips that YAML answers with a riddle, or not at all."""

from __future__ import annotations

import re

from archspec.diagnostics.diagnostic import Source, Span
from archspec.record import Record

_KEYED = r"^(\s*(?:-\s+)?[\w-]+):\s+(.*\S)\s*$"
_UNSPACED = r"^(\s*(?:-\s+)?)([\w$]+):([\[{\"'\w$].*?)\s*$"
"""A key whose colon has no space behind it, so that YAML takes all of it for one text."""
_LONGEST = 500
"""Characters of a line that is searched for slips: no person wrote a longer one by hand."""

_PAIRS = {"(": ")", "[": "]", "{": "}"}


def unbalanced(text: str, source: Source, span: Span) -> str | None:
    """For a text with an open parenthesis, cut at a comma: the help with the quoted whole."""
    if text.count("(") <= text.count(")"):
        return None
    rest = source.line(span.line)[span.column - 1 :]
    depth = 0
    for index, char in enumerate(rest):
        depth += (char == "(") - (char == ")")
        if char == ")" and depth == 0:
            whole = rest[: index + 1]
            if re.fullmatch(r"\([\s\w.,+-]*\)", whole):
                return f"write a list: [{whole[1:-1].strip().rstrip(',')}]"
            return f'quote it: "{whole}"'
    return "quote the whole expression"


def scanner_help(source: Source, line: int, problem: str) -> str | None:
    """A concrete edit for the line where the scanner stopped, or for the line before it."""
    text = source.line(line)
    before = source.line(line - 1) if line > 1 else ""
    if max(len(text), len(before)) > _LONGEST:
        return None
    no_token = "cannot start any token" in problem
    if "\t" in text[: len(text) - len(text.lstrip())] or (no_token and "\t" in text):
        return "indent with spaces: YAML allows no tabs there"
    if re.match(r"^\s*-\s+[\w$]+\s*$", before) and re.match(r"^\s+[\w-]+:", text):
        return f"a colon is missing on line {line - 1}: `{before.strip()}:`"
    keyed = re.match(_KEYED, text)
    if keyed:
        key, value = keyed[1].strip(), keyed[2]
        if re.search(r":\s", value) and value[0] not in "\"'{[|>":
            return f"quote the text after the first colon: {key}: {_quoted(value)}"
        if value[0] in "[{" and _closed(value) and _ends_early(value):
            return f"quote the expression: {key}: {_quoted(value)}"
    inner = re.search(r"([\w.]+\[[^\]]*\][^,}\]]*)", text)
    if inner and "{" in text:
        return f"inside braces quote what has brackets: {_quoted(inner[1].strip())}"
    if inner and re.search(r"\[\s*$|,\s*$", text[: inner.start()]):
        return f"inside brackets quote what has brackets: {_quoted(inner[1].strip())}"
    if no_token:
        return "quote a text that begins with this character"
    return None


class Unspaced(Record):
    """A key without a space behind its colon, and where it stands."""

    key: str
    value: str
    line: int
    column: int


def unspaced(source: Source, line: int) -> Unspaced | None:
    """The slip in the line where the scanner stopped, or in the line before it."""
    for number in (line - 1, line):
        text = source.line(number) if number > 0 else ""
        if len(text) <= _LONGEST and (slip := re.match(_UNSPACED, text)):
            return Unspaced(slip[2], slip[3], number, slip.start(2) + 1)
    return None


class Unfinished(Record):
    """A bracket, quote or key that the text does not finish."""

    message: str
    help: str


def unfinished(source: Source, problem: str, line: int, stopped: int) -> Unfinished | None:
    """What was opened in `line` and not finished, where the scanner stopped in a later line."""
    if line == stopped:
        return None
    if "expected ',' or" in problem:
        closing = problem[-2]
        what = "bracket" if closing == "]" else "brace"
        return Unfinished(
            f"this {what} is not closed, or a comma is missing after it",
            f"write the `{closing}`, or the comma that is missing before line {stopped}",
        )
    if "unexpected end of stream" in problem:
        return Unfinished("this quote is not closed", "write the same quote at the end of the text")
    if problem == "could not find expected ':'":
        word = source.line(line).strip()[:60]
        return Unfinished("a colon is missing after this key", f"write `{word}:`")
    return None


def structure_help(source: Source, line: int, column: int, problem: str) -> str | None:
    """Help where the scanner has stopped at `column` of the line that is wrong itself."""
    text = source.line(line)
    if shell := re.search(r"\$\{\s*(\w{1,60})\s*\}", text[:_LONGEST]):
        return f"write `{shell[1]}`, or `${shell[1]}` where text is expected, without braces"
    here = text[column - 1 : column]
    if "expected ',' or" in problem:
        if here == "{" and (name := _with_braces(text, column)):
            return f'inside braces and brackets quote a name that has braces: "{name}"'
        if here in "]}" and here and here != problem[-2]:
            return f"`{here}` does not close what is open here: write `{problem[-2]}`"
        before = text[max(column - 1 - _LONGEST, 0) : column - 1]
        inside = re.search(r"([^\s,{\[]{1,60})\s{1,9}([\w-]{1,60})$", before)
        if here == ":" and inside:
            return f"a comma is missing: {inside[1]}, {inside[2]}: …"
        return "a bracket or brace is not closed, or a comma is missing before this"
    if here in "]}" and here:
        return f"remove the `{here}`: nothing is open that it could close"
    if text[: column - 1].strip() == "" and "expected" in problem:
        return _indentation(source, line)
    return None


def _with_braces(text: str, column: int) -> str | None:
    """The name around a brace, such as `convs.{index}`, at which a plain text ends."""
    for found in re.finditer(
        r"[\w.-]{1,200}(?:\{[^{}]{0,200}\}[\w.-]{0,200}){1,20}", text[:_LONGEST]
    ):
        if found.start() < column - 1 < found.end():
            return found[0]
    return None


def _indentation(source: Source, line: int) -> str | None:
    """The column of the nearest line above that this one seems to belong with."""
    if below := _list_without_a_key(source, line):
        return below
    dash = source.line(line).lstrip().startswith("-")
    for number in range(line - 1, 0, -1):
        above = source.line(number)
        stripped = above.lstrip()
        if stripped and not stripped.startswith("#") and stripped.startswith("-") == dash:
            return f"begin it at column {len(above) - len(stripped) + 1}, like line {number}"
    return None


_COUNTED = re.compile(r"^\s*-\s+(repeat:\s*\S.*)$")


def _list_without_a_key(source: Source, line: int) -> str | None:
    """For a list indented below `- repeat: 3`, as if it were what that repeats: the missing key."""
    text, above = source.line(line), source.line(line - 1) if line > 1 else ""
    if not text.lstrip().startswith("- ") or not _COUNTED.match(above):
        return None
    if len(text) - len(text.lstrip()) <= len(above) - len(above.lstrip()):
        return None
    return "write `layers:` on a line between, in the column of `repeat`: it holds these nodes"


def _ends_early(value: str) -> bool:
    """Whether the bracket that begins a value is closed before its end."""
    depth = 0
    for index, char in enumerate(value):
        depth += (char in "[{") - (char in "]}")
        if depth == 0:
            return index < len(value) - 1
    return False


def _closed(value: str) -> bool:
    return all(value.count(a) == value.count(b) for a, b in _PAIRS.items())


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'
