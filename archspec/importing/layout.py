"""Plain data to YAML as the bundled specs are laid out: one node a line where it fits."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.expand.write import scalar

WIDTH = 100


class Plain(str):
    """An expression or an edge: no quotes around it but those that YAML asks for."""

    __slots__ = ()


class Nodes(list[Any]):
    """A list that is laid out with one entry a line where it is long."""


class NodeData(dict[Any, Any]):
    """A node. Where it takes several lines, its name comes first, then what it is.

    The `form`, the key that says what it is, comes last in nodes with a name, and with lists below.
    """

    form: Any = None

    @property
    def in_lines(self) -> dict[Any, Any]:
        """The same in the order of lines."""
        if self.form is None or not ("name" in self or isinstance(self[self.form], Nodes)):
            return dict(self)
        rest = {key: value for key, value in self.items() if key != self.form}
        return {**rest, self.form: self[self.form]}


_FLOW = re.compile(r"[,\[\]{}]")
_START = re.compile(r"[-?:](\s|$)|[\[\]{},#&*!|>'\"%@`]|\s")
_READ_ANEW = re.compile(r"(true|false|null|~|[-+]?\.?[0-9][0-9a-fA-FxXo_.eE+-]*)\Z", re.IGNORECASE)


def plain(text: str, *, flow: bool) -> str:
    """A text without quotes where YAML reads it as it is, else in quotes."""
    needs = (
        not text
        or _START.match(text)
        or (flow and _FLOW.search(text))
        or ": " in text
        or " #" in text
        or text[-1] in ": "
        or _READ_ANEW.match(text)
        or not text.isprintable()
    )
    if not needs:
        return text
    if '"' in text and "'" not in text:
        return f"'{text}'"
    return scalar(text) if scalar(text).startswith('"') else f'"{text}"'


def number(value: float) -> str:
    """A float as one writes it: `1e-6`, not `1e-06`."""
    return re.sub(r"e([-+]?)0+(\d)", r"e\1\2", repr(value)).replace("e+", "e")


def flow(value: Any) -> str:
    """Data on one line, inside of brackets."""
    if isinstance(value, Plain):
        return str(value) if re.fullmatch(r"-?\d+", value) else plain(value, flow=True)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        pairs = [
            flow(k) if v is None and isinstance(k, Plain) else f"{flow(k)}: {flow(v)}"
            for k, v in value.items()
        ]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def beside(value: Any) -> str:
    """Data on one line, behind a key that begins a line."""
    if isinstance(value, Plain) and not re.fullmatch(r"-?\d+", value):
        return plain(value, flow=False)
    return flow(value)


def mapping(value: Mapping[Any, Any], indent: str, lead: str | None = None) -> Iterator[str]:
    """A mapping with a line for each key. `lead` stands before the first one."""
    for key, each in value.items():
        start = (indent if lead is None else lead) + flow(key) + ":"
        lead = None
        if each is None:
            yield start if isinstance(key, Plain) else f"{start} null"
            continue
        line = f"{start} {beside(each)}"
        if len(line) > WIDTH and _is_row(each):
            yield from _wrapped(f"{start} ", each, indent)
        elif (len(line) <= WIDTH and not _tall(each)) or not _divisible(each):
            yield line
        elif isinstance(each, Mapping):
            yield start
            yield from mapping(each, indent + "  ")
        else:
            yield start
            yield from entries(each, indent + "  ")


def _is_row(value: Any) -> bool:
    """Whether data is a list that can go on in the next line."""
    return isinstance(value, list | tuple) and not isinstance(value, Nodes) and len(value) > 1


def _wrapped(start: str, items: Sequence[Any], indent: str) -> Iterator[str]:
    """A list in brackets over several lines."""
    line = f"{start}["
    for number, item in enumerate(items):
        text = flow(item) + ("]" if number == len(items) - 1 else ",")
        if len(line) + len(text) + 1 > WIDTH and not line.isspace():
            yield line.rstrip()
            line = indent + "    "
        line += text if line.endswith("[") or line.isspace() else f" {text}"
    yield line


def _divisible(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, Nodes) and bool(value)


def _tall(value: Any) -> bool:
    """Whether data reads better over several lines though it would fit on one."""
    if isinstance(value, Nodes):
        return len(value) > 2 or any(isinstance(each, Mapping) and _nests(each) for each in value)
    if isinstance(value, Mapping):
        return any(_tall(each) for each in value.values())
    return False


def _nests(node: Mapping[Any, Any]) -> bool:
    return len(node) > 1 or any(isinstance(each, Nodes) for each in node.values())


def entries(nodes: Sequence[Any], indent: str) -> Iterator[str]:
    """The entries of a list, each with its dash."""
    for node in nodes:
        lead = f"{indent}- "
        if isinstance(node, Nodes):
            lines = list(entries(node, indent + "  "))
            yield lead + lines[0].lstrip() if lines else f"{lead}[]"
            yield from lines[1:]
        elif not isinstance(node, Mapping):
            yield lead + beside(node)
        elif len(node) == 1:
            ((key, value),) = node.items()
            if value is None:
                yield lead + flow(key)
            else:
                yield from mapping(node, f"{indent}  ", lead)
        elif len(line := lead + flow(node)) <= WIDTH and not _tall(node):
            yield line
        else:
            said = node.in_lines if isinstance(node, NodeData) else node
            yield from mapping(said, f"{indent}  ", lead)


def prose(key: str, text: str, indent: str = "") -> Iterator[str]:
    """A `doc:` on one line, or folded over several."""
    said = " ".join(text.split())
    line = f"{indent}{key}: {beside(Plain(said))}"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"{indent}{key}: >-"
    lines = textwrap.wrap(said, WIDTH - len(indent) - 2, break_on_hyphens=False)
    yield from (f"{indent}  {line}" for line in lines)
