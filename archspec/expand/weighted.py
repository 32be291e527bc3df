"""`weights: {weight: EDGE}`: an op with other tensors in the place of its own."""

from __future__ import annotations

from collections.abc import Callable

from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, Refusal, Span
from archspec.diagnostics.suggestions import did_you_mean
from archspec.document.node_keys import not_on
from archspec.document.records import Arguments, Block, Branch, Node, Place, Reference
from archspec.expand import edges
from archspec.expand.builder import Builder, Levels, Refs, Site
from archspec.expand.expansion import Expansion
from archspec.expand.nested import At
from archspec.expressions.arguments import LocatedError
from archspec.expressions.evaluate import Env
from archspec.ir.given import check_weight, with_weights
from archspec.ir.graph import Step, Tie
from archspec.ir.op import Op, Weight


def weighted(x: Expansion, node: Node, site: Site, refs: Refs, levels: Levels) -> Step | None:
    """The step of such a node; None where what it reads failed.

    Raises `Refusal` and `LocatedError`.
    """
    at = At(x, site, refs, levels, node.span)
    return node.form.step(_OpAlone(at, lambda op: _weighted_op(x, op, node, site, refs)))


class _OpAlone:
    """A `Place` for one op, which `make_step` makes a step of."""

    def __init__(self, at: Place, make_step: Callable[[Op], Step | None]) -> None:
        self.at, self.make_step = at, make_step
        self.env, self.span = at.env, at.span

    def within(self, env: Env, span: Span | None = None) -> _OpAlone:
        return _OpAlone(self.at.within(env, span), self.make_step)

    def make(
        self,
        op: type[Op],
        args: Arguments,
        at: Span,
        added: Arguments | None = None,
        there: Env | None = None,
    ) -> Op:
        return self.at.make(op, args, at, added, there)

    def op(self, op: Op) -> Step | None:
        return self.make_step(op)

    def call(self, block: Block, args: Arguments, written: Span) -> Step | None:
        raise not_on(block.name)

    def group(self, nodes: tuple[Node, ...]) -> Step | None:
        raise not_on("a group")

    def branches(self, paths: tuple[Branch, ...], merge: Node | None) -> Step | None:
        raise not_on("branches")

    def add(self, diagnostic: Diagnostic) -> None:
        self.at.add(diagnostic)

    def trail(self) -> tuple[Note, ...]:
        return self.at.trail()


def _weighted_op(x: Expansion, op: Op, node: Node, site: Site, refs: Refs) -> Step | None:
    plain = x.op_step(op, site.builder, refs, node.span)
    owned = {each.name: each for each in op.weights(*plain.input_shapes) if not each.buffer}
    values: dict[str, Refs] = {}
    ties: list[Tie] = []
    for name, (span, reference) in node.weights.items():
        if name not in owned or not name:
            raise LocatedError(_unknown(op, name, owned, span))
        try:
            found = _found(name, owned[name], reference, site)
        except Refusal as refusal:
            raise LocatedError(Diagnostic.of(refusal, reference.span)) from None
        if found is None:
            return None
        if isinstance(found, Tie):
            ties.append(found)
        else:
            values[name] = found
    made = _made(x, op, tuple(values), tuple([tie.name for tie in ties]))
    more = tuple([ref for found in values.values() for ref in found])
    step = x.op_step(made, site.builder, (*plain.inputs, *more), node.span)
    step.ties = tuple(ties)
    return step


def _made(x: Expansion, op: Op, given: tuple[str, ...], tied: tuple[str, ...]) -> Op:
    key = op, given, tied
    if key not in x.weighted:
        x.weighted[key] = with_weights(op, given, tied)
    return x.weighted[key]


def _unknown(op: Op, name: str, owned: dict[str, Weight], span: object) -> Diagnostic:
    return Diagnostic(
        Code.ARGUMENT,
        f"{op.op_name} has no parameter {name!r} here",
        span,  # type: ignore[arg-type]
        expected=f"one of {', '.join(owned)}" if owned else "an op with parameters",
        help=did_you_mean(name, owned),
    )


def _found(name: str, weight: Weight, reference: Reference, site: Site) -> Refs | Tie | None:
    """The value that an edge names, or the parameter of another node; None where that failed."""
    b, text = site.builder, reference.name.render(site.env)
    names = text.split(".")
    for count in range(len(names) - 1, 0, -1):
        node, rest = ".".join(names[:count]), ".".join(names[count:])
        if _is_known(b, text, site.level):
            break
        if _is_known(b, node, site.level):
            if _is_op(b, node, site.level):
                return _tie(name, weight, node, rest, site)
            break
    try:
        refs = edges.resolve(reference, site, None)
    except Refusal as refusal:
        if refusal.help is None and refusal.code is Code.UNKNOWN_NODE and len(names) > 1:
            refusal = refusal.but(
                help="it names a value of this list, or a parameter of an op of this list; what is "
                "inside a group or block is given to it as an input"
            )
        raise refusal from None
    if refs is not None and len(refs) != 1:
        raise Refusal(
            f"{text!r} has {len(refs)} outputs", code=Code.OUTPUTS, help=f"name one: {text}[0]"
        )
    return refs


def _is_known(b: Builder, name: str, level: int) -> bool:
    names = b.labels[level] if level < len(b.labels) else b.names
    return name in names or name in b.dead_names or name in b.input_names


def _is_op(b: Builder, node: str, level: int) -> bool:
    """Whether it is an op, or failed; what is inside other nodes is no parameter to be named."""
    owner = b.modules[level].get(node)
    return b.names.get(node, ()) is None or (owner is not None and b.steps[owner].op is not None)


def _tie(name: str, weight: Weight, node: str, key: str, site: Site) -> Tie | None:
    b = site.builder
    if b.names.get(node, ()) is None:
        return None
    owner = b.modules[site.level].get(node)
    step = None if owner is None else b.steps[owner]
    if step is not None and step.shares is not None:
        owner = step.shares
        step = b.steps[owner]
    assert owner is not None and step is not None and step.op is not None
    owned = {each.name: each for each in step.op.weights(*step.input_shapes) if not each.buffer}
    if key not in owned:
        raise Refusal(
            f"{node!r} ({step.kind}) owns no parameter {key!r}",
            code=Code.UNKNOWN_NODE,
            expected=f"one of {', '.join(f'{node}.{each}' for each in owned)}"
            if owned
            else "a node that owns parameters",
            help=did_you_mean(key, owned),
        )
    check_weight(name, weight.shape, owned[key].shape)
    return Tie(name, owner, key)
