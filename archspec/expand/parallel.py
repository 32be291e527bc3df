"""`parallel: 3`: a node once for each element of a loop, side by side.

Each element reads the node's input, or what its own `from` names, and none reads another. With a
fixed name they are the children of a scope; else they join the list, and a `merge` after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.forms.alone import FromAlone
from archspec.document.records import Node
from archspec.expand import nested as scopes
from archspec.expand.builder import Builder, Element, Levels, Live, Site
from archspec.expand.choosing import checked, choose, settled, unclear
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import HandedOn, Refs
from archspec.expand.loops import bindings
from archspec.ir.graph import INPUT, Ref, Step


def side_by_side(x: Expansion, node: Node, site: Site, current: Refs | None) -> Refs | None:
    """What the elements give, in order, or what joins them; None (and diagnostics) on failure."""
    if isinstance(current, HandedOn) and node.inputs is None:
        x.report(unclear(current, site.builder), node.span)
        current = None
    elements = None if current is None else _elements(x, node, site, current)
    if elements is None or current is None:
        x.poison(node, site)
        return None
    site.over(current)
    if not elements:
        return _passed(x, node, site, current[:1])
    if node.shares_one:
        first = next((each for each in elements if each.node), None)
        if first is not None:
            return x.place(node, site, first.reads, elements)
    elif node.name is not None and node.name.is_fixed:
        read = tuple(dict.fromkeys([ref for element in elements for ref in element.reads]))
        if not read:
            x.report(Refusal("none of its elements reads a value", code=Code.ARITY), node.span)
            x.poison(node, site)
            return None
        numbers = {ref: Ref(INPUT, number) for number, ref in enumerate(read)}
        inside = [
            element._replace(reads=tuple([numbers[ref] for ref in element.reads]))
            for element in elements
        ]
        return x.place(node, site, read, inside)
    return x.in_place(node, site, lambda: _merged(x, node, site, _placed(x, node, site, elements)))


def scope(
    x: Expansion, live: Live, site: Site, refs: Refs, levels: Levels, again: Live | None = None
) -> Step | None:
    """The step of elements with a fixed name: a scope whose children have their numbers.

    `again` is the node that shares it, if it is not for `live` itself.
    """
    node, elements = live.node, live.elements
    assert elements is not None
    count = 1 + max(ref.output for element in elements for ref in element.reads)
    if len(refs) != count:
        raise Refusal(
            f"the elements of {live.name!r} read {count} value(s), got {len(refs)}", code=Code.ARITY
        )
    inner = scopes.inside(x, site, refs, levels)._replace(env=site.env)
    inner.builder.loop = True
    (again or live).scope = inner.builder
    with scopes.Entered(x, node.span, None):
        found = _placed(x, node, inner, elements, anonymous=True)
        last = _merged(x, node, inner, found)
        inner.builder.own = last or ()
        graph = scopes.finish(x, inner, last)
    return scopes.graph_step(graph, site.builder, refs, node.span)


def _elements(x: Expansion, node: Node, site: Site, current: Refs) -> list[Element] | None:
    """What each element binds and reads, and whether it is there."""
    assert node.parallel is not None
    try:
        bound = bindings(node.parallel, site.over(current), x.limits)
    except Refusal as refusal:
        x.report(refusal, node.parallel.span)
        return None
    found: list[Element] = []
    for binding in bound:
        site.builder.before = current
        element = _element(x, node, site._replace(env=site.env.bind(binding)), current, binding)
        if element is None:
            return None
        found.append(element)
    return found


def _element(
    x: Expansion, node: Node, site: Site, current: Refs, binding: dict[str, Any]
) -> Element | None:
    """One element, by its own `when` and `else`."""
    choice = None
    if node.when is not None:
        choice = choose(x, node, site, current)
        if choice is None:
            return None
        node = choice.node
    refs: Refs | None = current
    if node.inputs is not None:
        refs = x.read_by(node, node.inputs, site)
    if refs is None:
        return None
    if choice is None or choice.is_there:
        return Element(binding, refs, node, choice)
    return Element(binding, refs, None, choice)


def _placed(
    x: Expansion, node: Node, site: Site, elements: Sequence[Element], anonymous: bool = False
) -> Refs | None:
    """What each gives; one that is not there hands on its input and keeps its number."""
    b, found, sound = site.builder, list[Ref](), True
    is_one = not _joins(node) and not (node.form.joins_list and node.name is None)
    for element in elements:
        inner = site._replace(env=site.env.bind(element.binding))
        inner.over(element.reads)
        made = element.node
        given: Refs | None
        if made is None or isinstance(made.form, FromAlone):
            given = element.reads if made else element.reads[:1]
            if not anonymous:
                x.stand_for(node, inner, given)
            if is_one:
                _skip(b, site.level)
        elif _joins(made):
            given = settled(x, x.run(made.form.members, inner._replace(start=element.reads)), b)
        else:
            given = x.place(made, inner, element.reads, anonymous=anonymous)
        if element.choice is not None:
            checked(x, element.choice, given)
        sound &= given is not None
        if anonymous:
            b.iterations.append(given or ())
        found.extend(given or ())
    return tuple(found) if sound else None


def _joins(node: Node) -> bool:
    """Whether the nodes of a group join the list, as in a `repeat`."""
    return node.form.joins_in_repeat and node.name is None and node.share is None


def _skip(b: Builder, level: int) -> None:
    """Leaves out a number of the list, in the patches of each level too."""
    b.position += 1
    for each in range(level, len(b.counters)):
        b.counters[each] += 1


def _merged(x: Expansion, node: Node, site: Site, found: Refs | None) -> Refs | None:
    if node.merge is None or found is None:
        return found
    return x.node(node.merge, site._replace(start=found), found)


def _passed(x: Expansion, node: Node, site: Site, passed: Refs) -> Refs:
    """An empty list lets the input pass, under the name of the whole."""
    if node.name is not None and (node.name.is_fixed or node.shares_one):
        x.stand_for(node, site, passed)
    return passed
