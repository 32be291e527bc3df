"""`share: true` on a loop: one module, which every iteration applies.

The first iteration owns the module, under the name of the whole. Those behind it are nodes that
share it; they take no number, and are called `name-1`, `name-2`, …
"""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Refusal
from archspec.expand.builder import Element, Live, Site
from archspec.expand.carrying import next_reads
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import Refs
from archspec.expand.sharing import check_fits
from archspec.ir.graph import INPUT, Ref, Step


def first(x: Expansion, live: Live, site: Site, refs: Refs) -> Step | None:
    """The step that owns the module."""
    if live.bindings is not None:
        binding = live.bindings[0]
    else:
        binding = next(each for each in live.elements or () if each.node).binding
    return _made(x, live, site, refs, binding)


def others(x: Expansion, live: Live, site: Site, refs: Refs, given: Refs) -> Refs | None:
    """What the whole gives, where the first iteration read `refs` and gave `given`.

    None (and a diagnostic) where one fails.
    """
    b, found = site.builder, _all_applied(x, live, site, refs, given)
    assert live.step is not None
    if found is not None:
        steps = dict.fromkeys([ref.step for ref in found if ref.step != INPUT])
        b.steps[live.step].means = tuple([b.steps[step].name for step in steps])
    return found


def _all_applied(x: Expansion, live: Live, site: Site, refs: Refs, given: Refs) -> Refs | None:
    try:
        if live.bindings is not None:
            return _chained(x, live, site, refs, given)
        found = _side_by_side(x, live, site, refs, given)
    except Refusal as refusal:
        x.report(refusal, live.node.span)
        return None
    if found is None or live.node.merge is None:
        return found
    return x.node(live.node.merge, site._replace(level=live.level), found)


def _chained(x: Expansion, live: Live, site: Site, refs: Refs, given: Refs) -> Refs | None:
    applied = _all_of(live, site, given)
    last: Refs | None = given
    for number, binding in enumerate((live.bindings or [])[1:], start=1):
        assert last is not None
        reads = next_reads(live.node, site.env, refs, last)
        last = _applied(x, live, site, reads, binding, number)
        if last is None:
            return None
        applied.append(last)
    return last


def _all_of(live: Live, site: Site, *given: Refs) -> list[Refs]:
    """The list in which edges like `loop.1` find what each iteration gives."""
    assert live.step is not None
    return site.builder.applied.setdefault(live.step, [*given])


def _side_by_side(x: Expansion, live: Live, site: Site, refs: Refs, given: Refs) -> Refs | None:
    elements = live.elements or []
    own = next(number for number, each in enumerate(elements) if each.node)
    # A patch may have put a node before the whole: every element that read the same reads it.
    instead = dict(zip(elements[own].reads, refs, strict=True))
    found = _all_of(live, site)
    for number, element in enumerate(elements):
        reads = tuple([instead.get(ref, ref) for ref in element.reads])
        if number == own:
            found.append(given)
            continue
        result = _given(x, live, site, element, reads, number)
        if result is None:
            return None
        found.append(result)
    return tuple([ref for refs in found for ref in refs])


def _given(
    x: Expansion, live: Live, site: Site, element: Element, reads: Refs, number: int
) -> Refs | None:
    if element.node is None:
        return reads[:1]
    return _applied(x, live, site, reads, element.binding, number)


def _applied(
    x: Expansion, live: Live, site: Site, refs: Refs, binding: dict[str, object], number: int
) -> Refs | None:
    """What the module gives in one more iteration. Raises `Refusal` where it does not fit."""
    b = site.builder
    assert live.step is not None
    owner = b.steps[live.step]
    x.nodes += 1
    x.limits.check("nodes", x.nodes, "the number of nodes")
    step = _made(x, live, site, refs, binding)
    if step is None:
        return None
    check_fits(owner, step, owner.name, iteration=number)
    step.name, step.named = f"{owner.name}-{number}", True
    step.shares, step.training_only, step.frozen = live.step, owner.training_only, owner.frozen
    index = len(b.steps)
    result = tuple([Ref(index, output) for output in range(len(step.outputs))])
    try:
        b.define(step.name, result)
    except Refusal as refusal:
        help_ = f"iteration {number} of {owner.name!r} is called so"
        raise refusal.but(help=help_) from None
    b.steps.append(step)
    b.recipes.append(live)
    return result


def _made(
    x: Expansion, live: Live, site: Site, refs: Refs, binding: dict[str, object]
) -> Step | None:
    inner = site._replace(env=site.env.bind(binding))
    inner.over(refs)
    if live.node.parametrize:
        from archspec.expand.weighted import weighted  # for few nodes

        return weighted(x, live.node, inner, refs, live.levels)
    return x.step(live.node, inner, refs, live.levels)
