"""Patches of `extends`: what stands before, after or in the place of a node of the base."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.records import Node
from archspec.expand.builder import Levels, Live, Site
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import Refs
from archspec.expand.names import PatchTree
from archspec.expressions.templates import Template


def patched(x: Expansion, live: Live, site: Site, refs: Refs, below: Levels) -> Refs | None:
    """Applies the patches of one level, then those of the next, and places the result.

    `below` are the patches that earlier levels have for the nodes inside this one.
    """
    b, level = site.builder, site.level
    if level == len(b.levels):
        return x.put(live, site, refs, below)
    label = live.name or str(b.counters[level])
    b.counters[level] += 1
    tree = b.levels[level]
    found = tree.at(label) if tree else None
    if found is None or not found.items:
        result = patched(x, live, site._replace(level=level + 1), refs, (*below, found))
    else:
        result = _changed(x, live, site, refs, below, found)
    b.labels[level].setdefault(label, result)
    if live.step is not None:
        b.modules[level].setdefault(label, live.step)
    return result


def _changed(
    x: Expansion, live: Live, site: Site, refs: Refs, below: Levels, found: PatchTree
) -> Refs | None:
    """A node and what the patches of its path put before it, after it or in its place."""
    b, name = site.builder, live.name
    inner = site._replace(level=site.level + 1)
    x.applied.update(map(id, found.items))
    changes = [item for item in found.items if item.action in ("replace", "remove")]
    for second in changes[1:]:
        x.report(
            Refusal(f"the node at {second.path!r} is replaced or removed twice", code=Code.PATCH),
            second.span,
        )
    # A node before a merge changes the first of its inputs, which is also the one that is
    # passed on without it, as by `when`.
    first = _inserted(x, found, "insert_before", inner, refs[:1])
    if first is None:
        x.poison(live.node, inner)
        return None
    reads = (*first, *refs[1:])
    current: Refs | None
    inner.over(reads)  # it reads what was put before it
    if not changes:
        current = patched(x, live, inner, reads, (*below, found))
    elif changes[0].action == "remove":
        current = first
        if name is not None:
            b.dead_names[name] = first
    else:
        made = len(b.steps)
        current = _replaced(x, changes[0].nodes, inner, reads, name)
        if len(changes[0].nodes) == 1 and len(b.steps) == made + 1:
            live.step = made  # `share` of this path means the node that stands there now
    result = _inserted(x, found, "insert_after", inner, current)
    if name in b.names and result != current:
        b.names[name] = result  # readers by name read the patched value
    return result


def _inserted(
    x: Expansion, tree: PatchTree, action: str, site: Site, current: Refs | None
) -> Refs | None:
    """The nodes that patches of one path insert, in written order."""
    for item in tree.items:
        for extra in item.nodes if item.action == action else ():
            current = x.node(extra, site, current)
    return current


def _replaced(
    x: Expansion, nodes: tuple[Node, ...], site: Site, current: Refs | None, name: str | None
) -> Refs | None:
    """New nodes in the place of one; where it is one node, it keeps the name."""
    b = site.builder
    for node in nodes:
        if name is not None and node.name is None and len(nodes) == 1:
            node.name = Template(name, (name,))
            node.hand_down()
        current = x.node(node, site, current)
    if name is not None and name not in b.names:
        b.dead_names[name] = current
    return current
