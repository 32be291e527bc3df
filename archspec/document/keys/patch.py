"""`patch:`: changes to the nodes of the spec that a spec extends."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code
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
    """The changes in the order in which they are written, and the names that their nodes read.

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
