"""`patch:`: changes to the nodes of the spec that a spec extends."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Help
from archspec.diagnostics.suggestions import suggestion
from archspec.document.blocks import File
from archspec.document.keys.key import FileKey
from archspec.document.nodes import NodeParser
from archspec.document.records import PatchItem
from archspec.document.schema_words import Schema, listed, ref
from archspec.text.values import Items, Mapping, Value, kind

PATCH_ACTIONS = ("replace", "insert_before", "insert_after", "remove")


class Patch(FileKey):
    """`patch: [{remove: fc}]`."""

    name = "patch"
    doc = "Changes to the nodes of the spec that this one extends."
    is_resolved = True

    def schema(self) -> Schema:
        return listed(ref("patch"))


def read_patch(
    file: File, value: Value | None, has_base: bool
) -> tuple[tuple[PatchItem, ...], set[str]]:
    """The changes in written order, and the names that their nodes read.

    Mistakes are reported.
    """
    if value is None:
        return (), set()
    if not has_base:
        file.report(Code.PATCH, "`patch` changes a base, and this spec extends none", value.span)
        return (), set()
    if not isinstance(value, Items):
        file.report(
            Code.STRUCTURE,
            f"`patch` must be a list, not {kind(value)}",
            value.span,
            expected=f"a list of {', '.join(PATCH_ACTIONS)}",
        )
        return (), set()
    parser = file.parser(None)
    items = tuple(found for item in value if (found := _patch_item(file, parser, item)))
    return items, parser.reads


def _patch_item(file: File, parser: NodeParser, value: Value) -> PatchItem | None:
    actions = (
        [key for key in value.entries if key in PATCH_ACTIONS] if isinstance(value, Mapping) else []
    )
    if not isinstance(value, Mapping) or len(actions) != 1:
        file.report(
            Code.PATCH,
            "a patch is a mapping with one of " + ", ".join(PATCH_ACTIONS),
            value.span,
            expected="{replace: PATH, with: NODE}, {remove: PATH}, …",
            help=_meant(value) if isinstance(value, Mapping) and not actions else None,
        )
        return None
    action = actions[0]
    file.check_keys(value, (action, "with"), "a patch")
    at = value.get(action)
    assert at is not None
    path = file.text(at, action)
    nodes = value.get("with")
    if (nodes is None) != (action == "remove"):
        needs = "takes no `with`" if action == "remove" else "needs `with: NODE`"
        file.report(Code.PATCH, f"`{action}` {needs}", value.key(action).span)
        return None
    parsed = parser.node_or_list(nodes, "with") if nodes is not None else ()
    return PatchItem(action, path, at.span, parsed)


_OTHER_WORDS = {
    "append": "insert_after",
    "add": "insert_after",
    "insert": "insert_after",
    "prepend": "insert_before",
    "delete": "remove",
    "drop": "remove",
    "change": "replace",
    "set": "replace",
}


def _meant(item: Mapping) -> Help | None:
    """The help for a patch whose action is written in other words."""
    for word, key, _ in item.items():
        if word == "with":
            continue
        near = suggestion(word, PATCH_ACTIONS, key.span)
        other = _OTHER_WORDS.get(word.lower())
        return near if near.text or other is None else Help(f"write `{other}:`")
    return None
