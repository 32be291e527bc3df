"""`weights` and `parametrize`: an op with other tensors in the place of its own."""

from __future__ import annotations

from collections.abc import Callable

from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, Refusal, Span
from archspec.diagnostics.suggestions import did_you_mean
from archspec.document.forms.op import OpCall
from archspec.document.records import Arguments, Block, Branch, Node, Place, Reference
from archspec.document.weight_keys import not_on
from archspec.expand import edges
from archspec.expand.builder import Builder, Levels, Site
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import Refs
from archspec.expand.nested import At
from archspec.expressions.arguments import LocatedError
from archspec.expressions.evaluate import Env
from archspec.ir.given import check_weight, with_weights
from archspec.ir.graph import Step, Tie
from archspec.ir.op import Op, Weight
from archspec.ir.parametrized import Parametrization, Parametrized, parametrized


def weighted(x: Expansion, node: Node, site: Site, refs: Refs, levels: Levels) -> Step | None:
    """The step of such a node; None where what it reads failed.

    Raises `Refusal` and `LocatedError`.
    """
    at = At(x, site, refs, levels, node.span)
    return node.form.step(_OpAlone(at, node, lambda op: _weighted_op(x, op, node, at)))


class _OpAlone:
    """A `Place` for the one op of a node, which `make_step` makes a step of."""

    def __init__(self, at: Place, node: Node, make_step: Callable[[Op], Step | None]) -> None:
        self.at, self.node, self.make_step = at, node, make_step
        self.env, self.span = at.env, at.span

    def within(self, env: Env, span: Span | None = None) -> _OpAlone:
        return _OpAlone(self.at.within(env, span), self.node, self.make_step)

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
        raise self._no_op(block.name)

    def group(self, nodes: tuple[Node, ...]) -> Step | None:
        raise self._no_op("a group")

    def branches(self, paths: tuple[Branch, ...], merge: Node | None) -> Step | None:
        raise self._no_op("branches")

    def add(self, diagnostic: Diagnostic) -> None:
        self.at.add(diagnostic)

    def trail(self) -> tuple[Note, ...]:
        return self.at.trail()

    def _no_op(self, what: str) -> Refusal:
        return not_on("weights" if self.node.weights else "parametrize", what)


def _weighted_op(x: Expansion, op: Op, node: Node, at: At) -> Step | None:
    site, refs = at.site, at.refs
    plain = x.op_step(op, site.builder, refs, node.span, at.names)
    owned = {each.name: each for each in op.weights(*plain.input_shapes) if not each.buffer}
    if node.parametrize:
        op = _parametrized_op(x, op, node, at, owned)
        plain = x.op_step(op, site.builder, refs, node.span, at.names)
        if not node.weights:
            return plain
        owned = {name: weight for name, weight in owned.items() if name not in node.parametrize}
    values: dict[str, Refs] = {}
    ties: list[Tie] = []
    for name, (span, reference) in node.weights.items():
        if name in node.parametrize:
            raise LocatedError(_said_twice(name, span))
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
    if values and node.parametrize:
        raise _values_and_parametrize(next(iter(values)))
    made = _made(x, op, tuple(values), tuple([tie.name for tie in ties]))
    more = tuple([ref for found in values.values() for ref in found])
    step = x.op_step(made, site.builder, (*plain.inputs, *more), node.span)
    step.ties = tuple(ties)
    return step


def _parametrized_op(x: Expansion, op: Op, node: Node, at: At, owned: dict[str, Weight]) -> Op:
    """The op with some of its weights computed. Raises `LocatedError`."""
    found: list[tuple[str, Parametrization]] = []
    for name, (span, call) in node.parametrize.items():
        if name not in owned or not name:
            raise LocatedError(_unknown(op, name, owned, span))
        if op.own_weights:
            raise LocatedError(_own_alone(op, name, span))
        assert isinstance(call, OpCall)
        how = call.made(at)
        assert isinstance(how, Parametrization)
        try:
            how.check(name, owned[name].shape, type(op))
        except Refusal as refusal:
            located = refusal.but(f"{how.op_name}: {refusal.message}", help=refusal.help)
            raise LocatedError(Diagnostic.of(located, call.span)) from None
        found.append((name, how))
    key = op, tuple(found)
    if key not in x.weighted:
        x.weighted[key] = parametrized(op, tuple(found))
    return x.weighted[key]


def _own_alone(op: Op, name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.STRUCTURE,
        f"{op.op_name} reads its {name} in a way of its own, and cannot compute it of others",
        span,
        expected="`parametrize` on an op such as linear, a convolution or a norm",
    )


def _said_twice(name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.STRUCTURE,
        f"`weights` and `parametrize` both say what stands in the place of {name!r}",
        span,
        help="keep one of the two",
    )


def _values_and_parametrize(name: str) -> Refusal:
    return Refusal(
        f"the value for {name!r} is given to an op that computes another weight by itself",
        code=Code.STRUCTURE,
        expected="a parameter of another node beside `parametrize`: `weights: {bias: other.bias}`",
        help="leave out `parametrize`, or do not give it the value",
    )


def _made(x: Expansion, op: Op, given: tuple[str, ...], tied: tuple[str, ...]) -> Op:
    key = op, given, tied
    if key not in x.weighted:
        x.weighted[key] = with_weights(op, given, tied)
    return x.weighted[key]


def _unknown(op: Op, name: str, owned: dict[str, Weight], span: object) -> Diagnostic:
    named = [each for each in owned if each]  # a `parameter` is its own value, without a name
    return Diagnostic(
        Code.ARGUMENT,
        f"{op.op_name} has no parameter {name!r} here",
        span,  # type: ignore[arg-type]
        expected=f"one of {', '.join(named)}" if named else "an op with parameters",
        help=did_you_mean(name, named),
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
    computed = dict(step.op.computed) if isinstance(step.op, Parametrized) else {}
    if key in computed:
        raise Refusal(
            f"{node!r} computes its {key} by {computed[key].op_name}, and has no such parameter",
            code=Code.UNKNOWN_NODE,
            help=f"apply the whole module again: `share: {node}`",
        )
    owned = {each.name: each for each in step.op.weights(*step.input_shapes) if not each.buffer}
    if isinstance(step.op, Parametrized):
        plain = {each.name for each in step.op.plain.weights(*step.input_shapes)}
        owned = {name: weight for name, weight in owned.items() if name in plain}
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
