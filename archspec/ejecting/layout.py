"""Lays out statements as ruff formats them, so that the file needs no formatter.

A statement that is too long is broken at the first bracket that does not fit: what stands in it
goes on a line of its own, or each item on one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from textwrap import wrap

from archspec.record import Record

WIDTH = 100
_OPENING, _CLOSING = "([{", ")]}"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_METHOD = re.compile(r"(?<=[)\]])\.[a-z_]+\(")


class _Bracket(Record):
    """The last bracket of a line: where it opens, and where it closes."""

    start: int
    end: int


def statement(text: str, indent: int) -> list[str]:
    """The lines of one statement, the first of which may open a block.

    A chain of methods that is too long is written as several assignments.
    """
    if indent + len(text) <= WIDTH:
        return [" " * indent + text]
    if chain := _split_chain(text):
        return [line for each in chain for line in statement(each, indent)]
    if found := _parenthesised(text, indent) or _returned(text, indent):
        return found
    return list(_broken(text, indent))


def docstring(text: str, indent: int) -> list[str]:
    """The lines of a docstring: its first sentence, and the others below."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace('"""', "'''")
    plain += " " if plain.endswith('"') else ""
    margin = " " * indent
    if indent + len(plain) + 6 <= WIDTH:
        return [f'{margin}"""{plain}"""']
    first, rest = _first_sentence(plain)
    if rest and indent + 3 + len(first) <= WIDTH:
        below = wrap(rest, WIDTH, initial_indent=margin, subsequent_indent=margin)
        return [f'{margin}"""{first}', "", *below, f'{margin}"""']
    lines = wrap(f'"""{plain}', WIDTH, initial_indent=margin, subsequent_indent=margin)
    if len(lines) == 1:  # it would be one line, were it not for the quotation marks
        lines = wrap(lines[0].strip(), WIDTH - 6, initial_indent=margin, subsequent_indent=margin)
    return [*lines, f'{margin}"""']


def _first_sentence(text: str) -> tuple[str, str]:
    found = re.search(r"(?<!al)[.:] (?=[A-Z`])", text)
    return (text[: found.start() + 1], text[found.end() :]) if found else (text, "")


def _split_chain(text: str) -> list[str]:
    """`x = a.f().g()` as `x = a.f()` and `x = x.g()`."""
    target, equals, value = text.partition(" = ")
    returns = text.startswith("return ")
    if returns:
        target, equals, value = "x", " = ", text.removeprefix("return ")
    if not equals or not target.isidentifier() or "if " in value:
        return []
    depths = list(_depths(value))
    cuts = [found.start() for found in _METHOD.finditer(value) if depths[found.start()] == 0]
    if not cuts or any(value[i] in "+-*/ " for i, depth in enumerate(depths) if depth == 0):
        return []
    head, tail = value[: cuts[-1]], value[cuts[-1] :]
    if target in re.findall(r"\w+", tail):
        return []
    last = f"return {target}{tail}" if returns else f"{target} = {target}{tail}"
    return [f"{target} = {head}", last]


def _parenthesised(text: str, indent: int) -> list[str]:
    """A sum that is too long, within brackets of its own."""
    head, value = _head(text)
    depths = list(_depths(value))
    if not any(depth == 0 and value[i : i + 3] in (" + ", " * ") for i, depth in enumerate(depths)):
        return []
    margin = " " * indent
    if indent + 4 + len(value) <= WIDTH:
        return [f"{margin}{head}(", f"{margin}    {value}", f"{margin})"]
    cuts = [i for i, depth in enumerate(depths) if depth == 0 and value[i : i + 3] == " + "]
    terms = [value[i:j].strip() for i, j in pairwise([0, *cuts, len(value)])]
    return [f"{margin}{head}(", *[f"{margin}    {term}" for term in terms], f"{margin})"]


def _returned(text: str, indent: int) -> list[str]:
    """Several values that are returned, each on a line of its own."""
    items = list(_items(text.removeprefix("return ")))
    if not text.startswith("return ") or len(items) == 1:
        return []
    margin = " " * indent
    return [f"{margin}return (", *[f"{margin}    {item}," for item in items], f"{margin})"]


def _head(text: str) -> tuple[str, str]:
    if text.startswith("return "):
        return "return ", text.removeprefix("return ")
    target, equals, value = text.partition(" = ")
    return (f"{target} = ", value) if equals and "(" not in target else ("", text)


def _broken(text: str, indent: int) -> Iterator[str]:
    margin = " " * indent
    bracket = _long_bracket(text, indent)
    if indent + len(text) <= WIDTH or bracket is None or bracket.end - bracket.start == 1:
        yield margin + text
        return
    head, inside = text[: bracket.start + 1], text[bracket.start + 1 : bracket.end]
    yield margin + head
    clauses = _clauses(inside)
    items = [inside] if clauses else list(_items(inside))
    is_call = head[-1] == "(" and (head[-2:-1].isalnum() or head[-2:-1] in "_)]")
    if (is_call or clauses) and indent + 4 + len(inside) <= WIDTH:
        yield f"{margin}    {inside}"
    elif clauses:
        for clause in clauses:
            yield from _broken(clause, indent + 4)
    else:
        for item in items:
            yield from _broken(f"{item},", indent + 4)
    yield from _broken(text[bracket.end :], indent)


def _depths(text: str) -> Iterator[int]:
    """How many brackets are open at each character; those within texts do not count."""
    depth = int(text[:1] in (")", "]", "}"))  # the end of what is broken already
    strings = {i for found in _STRING.finditer(text) for i in range(found.start(), found.end())}
    for position, letter in enumerate(text):
        if position in strings:
            yield depth + 1
            continue
        if letter in _CLOSING:
            depth -= 1
        yield depth
        if letter in _OPENING:
            depth += 1


def _long_bracket(text: str, indent: int) -> _Bracket | None:
    """The first bracket that cannot stay on its line with what opens the next one, or the last."""
    depths = list(_depths(text))
    ends = [i for i, depth in enumerate(depths) if i and depth == 0 and text[i] in _CLOSING]
    starts = [i for i, depth in enumerate(depths) if depth == 0 and text[i] in _OPENING]
    if not ends:
        return None
    for start, end, after in zip(starts, ends, [*starts[1:], len(text)], strict=False):
        is_long = indent + after + 1 > WIDTH or text.startswith("def ")
        if is_long and end - start > 1:
            return _Bracket(start, end)
    return _Bracket(starts[-1], ends[-1])


def _items(inside: str) -> Iterator[str]:
    start = 0
    for position, depth in enumerate(_depths(inside)):
        if depth == 0 and inside[position] == ",":
            yield inside[start:position].strip()
            start = position + 1
    if last := inside[start:].strip():
        yield last


def _clauses(inside: str) -> list[str]:
    """The lines of a comprehension: its element, and each `for`."""
    depths = list(_depths(inside))
    cuts = [found.start() for found in re.finditer(r" (?:for|if) ", inside)]
    first = next(
        (cut for cut in cuts if depths[cut] == 0 and inside[cut:].startswith(" for ")), None
    )
    return [] if first is None else [inside[:first], inside[first + 1 :]]
