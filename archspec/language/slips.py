"""Hints for the slips that YAML answers with a riddle, or not at all."""

from __future__ import annotations

import re

from archspec.errors import Source, Span

_KEYED = re.compile(r"^(\s*(?:-\s+)?[\w-]+):\s+(.*\S)\s*$")
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
            return f'quote it: "{rest[: index + 1]}"'
    return "quote the whole expression"


def scanner_help(source: Source, line: int, problem: str) -> str | None:
    """A concrete edit for the line where the scanner stopped, or for the line before it."""
    text = source.line(line)
    before = source.line(line - 1) if line > 1 else ""
    no_token = "cannot start any token" in problem
    if "\t" in text[: len(text) - len(text.lstrip())] or (no_token and "\t" in text):
        return "indent with spaces: YAML allows no tabs there"
    if re.match(r"^\s*-\s+[\w$]+\s*$", before) and re.match(r"^\s+[\w-]+:", text):
        return f"a colon is missing on line {line - 1}: `{before.strip()}:`"
    keyed = _KEYED.match(text)
    if keyed:
        key, value = keyed[1].strip(), keyed[2]
        if re.search(r":\s", value) and value[0] not in "\"'{[|>":
            return f"quote the text after the first colon: {key}: {_quoted(value)}"
        if value[0] in "[{" and not value.endswith(_PAIRS[value[0]]) and _closed(value):
            return f"quote the expression: {key}: {_quoted(value)}"
    inner = re.search(r"([\w.]+\[[^\]]*\][^,}\]]*)", text)
    if inner and "{" in text:
        return f"inside braces quote what has brackets: {_quoted(inner[1].strip())}"
    if no_token:
        return "quote a text that begins with this character"
    if "expected ',' or" in problem:
        return "a bracket or brace is not closed, or a comma is missing before this"
    return None


def _closed(value: str) -> bool:
    return all(value.count(a) == value.count(b) for a, b in _PAIRS.items())


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'
