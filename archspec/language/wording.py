"""How mistakes in nodes are worded: what would help, and in which form it is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from archspec.errors import Code, Diagnostic, Edit, Span, mended
from archspec.ir.op import Op
from archspec.language.model import Block
from archspec.language.source import Items, Mapping, Scalar, Value, shorten


def dollar_mended(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """As `mended`, for the name of a layers parameter, which stands behind a `$`."""
    found["help"] = found["help"] or f"declare it: `params: {{{name}: layers}}`"
    found["edits"] = tuple(Edit(e.span, f"${e.replacement}") for e in found["edits"])
    return found


def op_mended(word: str, names: Iterable[str], span: Span) -> dict[str, Any]:
    """As `mended`, for a word that should name an op or a block."""
    found = mended(word, names, span)
    found["help"] = found["help"] or (
        "`archspec list --ops` names them all; define your own under `blocks:`"
    )
    return found


def list_help(what: str, value: Value) -> str | None:
    """How a list of nodes is written, for what stands in its place."""
    if isinstance(value, Mapping):
        return "begin each node with a dash"
    if isinstance(value, Scalar) and value.text.startswith("-"):
        return f"write a space after the dash: `- {value.text.split()[0][1:]}`"
    if isinstance(value, Scalar) and isinstance(value.value, str):
        return f"write `{what}: [{shorten(value.text)}]`"
    return None


_TOP_LEVEL = frozenset(
    [
        "archspec",
        "doc",
        "input",
        "inputs",
        "params",
        "blocks",
        "use",
        "extends",
        "patch",
        "outputs",
        "init",
        "train",
        "ignore",
    ]
)
"""Keys of a spec that are not also keys of a node."""


def top_level(key: str) -> dict[str, Any] | None:
    """As `mended`, for a key of the whole spec that stands in a node."""
    if key not in _TOP_LEVEL:
        return None
    return {"help": f"`{key}:` belongs at the top level of the file, beside `layers:`"}


def bare_help(value: Scalar) -> str | None:
    """What may be missing in a text that is no node."""
    words = value.text.split()
    if len(words) == 2 and value.span.end_line > value.span.line:
        return f"a dash is missing on the next line: `- {words[1]}`"
    return "write a space after the colon" if ":" in value.text else None


def with_article(type_: str) -> str:
    """A parameter's type in words."""
    return {"int": "a number", "float": "a number", "bool": "a truth value", "str": "text"}.get(
        type_, f"a {type_}"
    )


def by_name(target: type[Op] | Block, args: Value) -> str:
    """The arguments given by position, with the names that they have in this order."""
    names = list(target.params if isinstance(target, Block) else target.fields())
    name = target.name if isinstance(target, Block) else target.op_name
    values = (
        [item.text for item in args if isinstance(item, Scalar)]
        if (isinstance(args, Items))
        else [args.text]
        if isinstance(args, Scalar)
        else []
    )
    count = len(args) if isinstance(args, Items) else 1
    if not names or len(values) != count or count > len(names):
        return f"write `{name}: {{argument: value}}`"
    written = ", ".join(f"{key}: {value}" for key, value in zip(names, values, strict=False))
    return f"write `{name}: {{{written}}}`"


def call_form(target: type[Op] | Block) -> str:
    """How an op or block is written with its first arguments."""
    if isinstance(target, Block):
        return f"{target.name}: {{{', '.join(f'{name}: …' for name in list(target.params)[:4])}}}"
    return f"{target.op_name}: {{{', '.join(f'{n}: …' for n in list(target.fields())[:4])}}}"


def misplaced_key(name: str, key: str, span: Span) -> Diagnostic:
    """The diagnostic of a node key that stands among the arguments of an op."""
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"{name} has no argument {key!r}: it is a key of the node",
        span,
        help=f"move `{key}:` beside `{name}:`, at the same indentation",
    )
