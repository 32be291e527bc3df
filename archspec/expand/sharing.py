"""`share: other_node`: the module of another node of the list, applied again."""

from __future__ import annotations

from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.expand import nested as scopes
from archspec.expand.builder import Builder, Live, Site
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import Refs
from archspec.expressions.evaluate import Env
from archspec.ir.graph import Graph, Step
from archspec.ir.types import typed


def shared(x: Expansion, live: Live, site: Site, refs: Refs) -> Step | None:
    """The step that applies the module again; its weights must fit this input too."""
    node = live.node
    assert node.share is not None
    b, name = site.builder, node.share.name.render(site.env)
    if b.names.get(name, ()) is None:
        return None
    owner = _owner(b, name, live.level)
    made = b.recipes[owner]
    original, first = made.node, b.steps[owner]
    if first.op is not None and len(first.op.own_inputs(first.input_shapes)) < len(
        first.input_shapes
    ):
        raise Refusal(
            f"{name!r} is given weights that are values, and has no module of its own for them",
            code=Code.SHARE,
            help="write its op and its `weights` here again",
        )
    again = site._replace(env=Env(made.env.names, None, x.budget))
    again.over(refs)
    if first.op is not None:
        step: Step | None = x.op_step(first.op, b, refs, node.span, node.names)
    elif original.shares_one:
        step = x.step(original, again, refs, made.levels)
    elif made.bindings is not None:
        step = scopes.loop(x, made, again, refs, made.levels, live)
    elif made.elements is not None:
        from archspec.expand.parallel import scope  # for few nodes

        step = scope(x, made, again, refs, made.levels, live)
    else:
        step = x.step(original, again, refs, made.levels)
    if step is None:
        raise Refusal(f"{name!r} cannot be applied to this input", code=Code.SHARE)
    check_fits(first, step, name)
    step.shares, step.frozen, step.both_keys = owner, first.frozen, node.both_keys
    return step


def check_fits(first: Step, step: Step, name: str, iteration: int | None = None) -> None:
    """Raises `Refusal` where the module made for `first` is not the one that `step` needs."""
    if _reads_alike(first, step) and _serves(first, step, {}):
        return
    if iteration is not None and _read(first) == _read(step):
        raise Refusal(
            f"iteration {iteration} needs another module than the first, and `share: true` has one",
            code=Code.SHARE,
            help="use no loop variable in it, or leave out `share: true`",
        )
    if len(_read(first)) != len(_read(step)):
        raise Refusal(
            f"the module of {name!r} is made for {_inputs(first)}, and here it has {_inputs(step)}",
            code=Code.SHARE,
            expected=f"{_inputs(first)}: {', '.join(_read(first))}",
            found=", ".join(_read(step)),
        )
    pairs = list(zip(_read(first), _read(step), strict=True))
    wanted, given = next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
    raise Refusal(
        f"the module of {name!r} does not fit an input of {given}",
        code=Code.SHARE,
        expected=f"an input like {wanted}",
        found=given,
    )


def _reads_alike(first: Step, step: Step) -> bool:
    """Whether the types agree; an op may read more inputs here, or fewer, by the same module."""
    ours, theirs = ([kind.name for kind in each.input_types] for each in (first, step))
    if first.op is not None:
        ours, theirs = ours[: len(theirs)], theirs[: len(ours)]
    return ours == theirs


def _read(step: Step) -> list[str]:
    """What a step reads, for people."""
    return list(map(typed, step.input_shapes, step.input_types))


def _inputs(step: Step) -> str:
    count = len(step.inputs)
    return f"{count} inputs" if count > 1 else "one input"


def _owner(b: Builder, name: str, level: int) -> int:
    """The step whose module the node called `name` uses. Raises `Refusal` where it has none."""
    found = b.modules[level].get(name)
    if found is None:
        b.look_up(name, level)  # refuses an unknown or later name
        raise Refusal(f"{name!r} has no module to share", code=Code.SHARE)
    shares = b.steps[found].shares
    return found if shares is None else shares


def _serves(first: Step, again: Step, known: dict[tuple[Graph, Graph], bool]) -> bool:
    """Whether the module made for `first` is the one that `again` would have made.

    `known` holds the graphs that were compared before, since blocks may call blocks many times.
    """
    if first.op is not None:
        return again.op == first.op and _module(again) == _module(first)
    ours, theirs = first.body, again.body
    if ours is None or theirs is None or ours is theirs:
        return ours is theirs
    if (ours, theirs) not in known:
        known[ours, theirs] = (
            ours.outputs == theirs.outputs
            and len(ours.steps) == len(theirs.steps)
            and all(_place(a) == _place(b) for a, b in zip(ours.steps, theirs.steps, strict=True))
            # Arguments before code: comparing texts would not record what it asks of sizes.
            and all(_serves(a, b, known) for a, b in zip(ours.steps, theirs.steps, strict=True))
            and all(_code(a) == _code(b) for a, b in zip(ours.steps, theirs.steps, strict=True))
        )
    return known[ours, theirs]


def _module(step: Step) -> Any:
    """What decides the module of an op, beside its arguments."""
    assert step.op is not None
    return step.op.weights(*step.input_shapes), step.op.module_key(*step.input_shapes)


def _place(step: Step) -> Any:
    """What decides the place of a step in its module, and when it runs."""
    marks = step.training_only, step.idle, step.frozen, step.ties, step.both_keys
    return step.name, step.inputs, step.shares, marks, len(step.outputs)


def _code(step: Step) -> str | None:
    """The line of the generated `forward` around it, which may hold sizes of its inputs."""
    if step.op is None or step.idle:
        return None
    values = [f"x{number}" for number in range(len(step.inputs))]
    return step.op.source("own", values, step.input_shapes)
