"""`share: other_node`: the module of another node of the list, applied again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archspec.errors import Code, Refusal
from archspec.ir.graph import Step
from archspec.ir.shape import show
from archspec.language import scopes
from archspec.language.builder import Builder, Refs, Site
from archspec.language.model import Node
from archspec.language.operations import Env

if TYPE_CHECKING:
    from archspec.language.expand import Expander


def shared(x: Expander, node: Node, site: Site, refs: Refs) -> Step | None:
    """The step that applies the module again; its weights must fit this input too."""
    assert node.share is not None
    b, name = site.builder, node.share.name.render(site.env)
    if b.names.get(name, ()) is None:
        return None
    owner = _owner(b, name)
    live, scope = b.recipes[owner]
    original, first = live.node, b.steps[owner]
    if node.form != "share" and (node.form, node.key) != (original.form, original.key):
        raise Refusal(f"{name!r} is a {first.kind}, not a {node.key}", code=Code.SHARE)
    again = site._replace(env=Env(scope.names, None, x.budget))
    again.over(refs)
    if first.op is not None:
        step: Step | None = x.op_step(first.op, b, refs, node.span)
    elif live.bindings is not None:
        step = scopes.loop(x, live, again, refs, ())
    else:
        step = x.step(original, again, refs, ())
    if step is None:
        raise Refusal(f"{name!r} cannot be applied to this input", code=Code.SHARE)
    if _owned(step) != _owned(first):
        raise Refusal(
            f"the weights of {name!r} do not fit an input of {show(step.input_shapes[0])}",
            code=Code.SHARE,
            expected=f"an input like {show(first.input_shapes[0])}",
            found=show(step.input_shapes[0]),
        )
    step.shares = owner
    return step


def _owner(b: Builder, name: str) -> int:
    """The step whose module the node called `name` uses. Raises `Refusal` where it has none."""
    found = next((i for i, step in enumerate(b.steps) if step.name == name), None)
    if found is None:
        b.look_up(name, len(b.levels))  # refuses a name that is unknown, or stands later
        raise Refusal(f"{name!r} has no module to share", code=Code.SHARE)
    shares = b.steps[found].shares
    return found if shares is None else shares


def _owned(step: Step) -> Any:
    """What a step owns, and the rank that chose its class: equal for steps that can share."""
    if step.op is not None:
        ranks = tuple(len(shape) for shape in step.input_shapes)
        return (step.op, ranks, step.op.weights(*step.input_shapes))
    assert step.body is not None
    return tuple((inner.name, _owned(inner)) for inner in step.body.steps)
