"""What helps where a node is written in a form of other libraries and formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.diagnostics.suggestions import certain_word
from archspec.text.values import Items, Mapping, Scalar, Value

IsTarget = Callable[[str], bool]
"""Whether a word names an op or a block."""

GROUPS = dict.fromkeys(
    ("sequential", "modulelist", "module_list", "group"),
    "a list of nodes as one node is `layers: […]`",
)
"""Words for a list of layers, and the help for each."""

TYPE_WORDS = ("type", "op", "layer", "module", "class", "kind", "class_name", "_target_")
"""Keys under which other formats name the op."""


def named_nodes(value: Value, is_target: IsTarget) -> str | None:
    """The help for nodes whose names were written as keys: `conv1: {conv2d: …}`."""
    if not isinstance(value, Mapping) or not value.entries:
        return None
    name, _, item = next(value.items())
    if is_target(name):
        return f"begin each node with a dash: `- {name}: …`"
    op = next(filter(is_target, _words(item)), None)
    return op and f"begin each node with a dash, its name is a key: `- {{name: {name}, {op}: …}}`"


def by_position(value: Items, names: set[str]) -> str | None:
    """The help for a node as a list of positions: `[-1, 1, Conv, [64, 3]]`."""
    from archspec.document.other_words import op_called  # for a mistake alone

    scalars = [item for item in value if isinstance(item, Scalar)]
    if not any(type(item.value) is int for item in scalars):
        return None
    words = [item.text for item in scalars if isinstance(item.value, str)]
    meant = [certain_word(word, names) or op_called(word) for word in words]
    word = next(filter(None, meant), "op")
    return f"write an op with its arguments by name: `{word}: {{argument: value}}`"


def op_as_value(entries: Sequence[tuple[Scalar, Value]], names: set[str]) -> str | None:
    """The help for `type: conv2d` with the arguments beside it."""
    (key, value), *rest = entries
    if not isinstance(value, Scalar) or key.text.lower() not in TYPE_WORDS:
        return None
    op = certain_word(value.text, names)
    given = ", ".join(f"{k.text}: {v.text}" for k, v in rest if isinstance(v, Scalar))
    return op and f"the op is the key: `{op}: {{{given}}}`"


def lone_keys(value: Mapping, following: Value | None, is_target: IsTarget) -> str | None:
    """The help for the keys of a node whose op was written as the node after it."""
    word = next(filter(is_target, _words(following)), None)
    if word is None:
        return None
    keys = [f"{key}: {item.text}" for key, _, item in value.items() if isinstance(item, Scalar)]
    rest = " " if isinstance(following, Scalar) else " …"
    written = ", ".join([*keys, f"{word}:{rest}"])
    several = ", or list what to repeat under `layers:`" if "repeat" in value.entries else ""
    return f"write the op in the same node: `- {{{written}}}`{several}"


def _words(node: Value | None) -> list[str]:
    """The words of a node, one of which may be its op."""
    if isinstance(node, Mapping):
        return list(node.entries)
    return [node.text] if isinstance(node, Scalar) else []
