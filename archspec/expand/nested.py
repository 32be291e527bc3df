"""Lists within a list: calls of blocks, groups, named repeats and branches; what a list returns."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, Refusal, Span
from archspec.document import parameters
from archspec.document.forms.call import Call
from archspec.document.forms.insert import Insert
from archspec.document.records import Arguments, Block, Branch, Inputs, Node, Output
from archspec.expand.builder import BEFORE, Builder, Levels, Live, Site, Stop, parameter_count
from archspec.expand.choosing import settled
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import Refs, place
from archspec.expand.other_arguments import with_other_arguments
from archspec.expressions.arguments import LocatedError
from archspec.expressions.evaluate import LENGTH, Env, key_of
from archspec.expressions.templates import Template
from archspec.ir.graph import INPUT, Graph, Ref, Step
from archspec.ir.op import Op
from archspec.record import Record
from archspec.sizes.size import known


class At(Record):
    """A `Place`: where a node stands, for its form, and the names by which it reads, if any."""

    expansion: Expansion
    site: Site
    refs: Refs
    levels: Levels
    span: Span
    names: tuple[str, ...] = ()

    @property
    def env(self) -> Env:
        return self.site.env

    def within(self, env: Env, span: Span | None = None) -> At:
        inner = self.site._replace(env=Env(env.names, None, self.expansion.budget))
        inner.over(self.refs)
        inner.env.edge = (
            None  # the names of its list are not those of the place where it is written
        )
        return self._replace(site=inner, span=span or self.span)

    def make(
        self,
        op: type[Op],
        args: Arguments,
        at: Span,
        added: Arguments | None = None,
        there: Env | None = None,
    ) -> Op:
        more = [(added, there)] if added and there else []
        return self.expansion.make(op, args, self.env, at, *more)

    def op(self, op: Op) -> Step:
        return self.expansion.op_step(op, self.site.builder, self.refs, self.span, self.names)

    def call(self, block: Block, args: Arguments, written: Span) -> Step | None:
        x, site, levels = self.expansion, self.site, self.levels
        return call(x, block, args, site, self.refs, self.span, levels, written)

    def group(self, nodes: tuple[Node, ...]) -> Step | None:
        return group(self.expansion, nodes, self.site, self.refs, self.span, self.levels)

    def branches(self, paths: tuple[Branch, ...], merge: Node | None) -> Step | None:
        return named_branches(self, paths, merge)

    def add(self, diagnostic: Diagnostic) -> None:
        self.expansion.add(diagnostic)

    def trail(self) -> tuple[Note, ...]:
        return self.site.builder.trail(self.refs)


# --- blocks --------------------------------------------------------------------------------------


def call(
    x: Expansion,
    block: Block,
    args: Arguments,
    site: Site,
    refs: Refs,
    span: Span,
    levels: Levels,
    written: Span,
) -> Step | None:
    """The step of a block. Equal arguments and input shapes are expanded only once.

    `written` is the place of the call itself, where it stands for a layers parameter at `span`.
    """
    _check_call(block, refs)
    b, reported = site.builder, len(x.diagnostics)
    shapes, types = b.read(refs)
    inner = Env(_counted(block, refs), shapes[0] if shapes else None, x.budget)

    def add_inside(diagnostic: Diagnostic) -> None:
        with Entered(x, span, block, written):
            x.add(diagnostic)

    if not parameters.evaluate_all(
        block.params, args, site.env, inner, block.name, span, x.add, add_inside
    ):
        return None
    patched = any(levels)
    key = (block, shapes, types, tuple([key_of(value, x.budget) for value in inner.names.values()]))
    graph = None if patched else x.graphs.get(key)
    if graph is None:
        builder = Builder(shapes, types, block.inputs, levels, (b, refs))
        with Entered(x, span, block, written):
            last = x.run(block.body, Site(builder, inner, builder.start))
            graph = finish(x, Site(builder, inner, builder.start), last, block.outputs, block.name)
        if graph is not None:
            graph.params, graph.doc = inner.names, block.doc
        if graph is not None and not patched:
            x.graphs[key] = graph
        elif graph is None and not patched:

            def fits(other: Arguments) -> bool:
                with suppress(Refusal, LocatedError, Stop):
                    trial = x.trial()
                    return call(trial, block, other, site, refs, span, (), written) is not None
                return False

            # A trial tries nothing in its turn: two variants would lead to each other for ever.
            if x.path is None and not (x.is_trial or span.source.library):
                with_other_arguments(x, reported, block, args, site.env, fits)
    return graph_step(graph, b, refs, span)


def _check_call(block: Block, refs: Refs) -> None:
    names, rest = block.inputs.names, block.inputs.rest
    least = max(len(names), 1) if rest else len(names)
    if len(refs) < least or (len(refs) > least and not rest):
        raise Refusal(
            f"{block.name} takes {least} input(s){' or more' if rest else ''}, got {len(refs)}",
            code=Code.ARITY,
            expected=f"inputs {block.inputs}",
            help=f"say `from: [{', '.join(names)}]`" if len(names) > 1 else None,
        )


def _counted(block: Block, refs: Refs) -> dict[str, Any]:
    """What expressions know of the values of an input that takes the rest."""
    names, rest = block.inputs.names, block.inputs.rest
    return {LENGTH.format(rest): len(refs) - len(names)} if rest else {}


class Entered:
    """A context whose diagnostics note the call. Raises `Refusal` where it is too deep.

    After it the node that makes the call asks again, and no longer one inside.
    """

    __slots__ = ("before", "call", "expansion", "written")

    def __init__(
        self, x: Expansion, span: Span, block: Block | None, written: Span | None = None
    ) -> None:
        self.expansion, self.call, self.written = x, (span, block), written

    def __enter__(self) -> None:
        x = self.expansion
        self.before = x.at, x.label
        x.calls.append(self.call)
        x.entered.append(self.written)
        try:
            x.check_depth()
        except Refusal:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        x = self.expansion
        x.at, x.label = self.before
        x.calls.pop()
        x.entered.pop()


def graph_step(graph: Graph | None, b: Builder, refs: Refs, span: Span) -> Step | None:
    """The step of a nested graph; None where the graph could not be made."""
    if graph is None:
        return None
    return Step("", None, graph, refs, *b.read(refs), graph.output_shapes, graph.output_types, span)


# --- groups, named repeats and branches ----------------------------------------------------------


def group(
    x: Expansion, nodes: tuple[Node, ...], site: Site, refs: Refs, span: Span, levels: Levels
) -> Step | None:
    """An inline group, in the environment where it is written."""
    _check_one(refs, "a group")
    inner = inside(x, site, refs, levels)
    with Entered(x, span, None):
        graph = finish(x, inner, x.run(nodes, inner))
    return graph_step(graph, site.builder, refs, span)


def loop(
    x: Expansion, live: Live, site: Site, refs: Refs, levels: Levels, again: Live | None = None
) -> Step | None:
    """A named repeat: a scope whose children are its iterations, 0 to n - 1.

    `again` is the node that shares it, if it is not for `live` itself.
    """
    node, bindings = live.node, live.bindings
    if not isinstance(node.form, Call | Insert) or node.form.inputs is not None:
        _check_one(refs, "a named repeat")
    assert bindings is not None
    inner = inside(x, site, refs, levels)._replace(env=site.env)
    inner.builder.loop = True
    (again or live).scope = inner.builder
    with Entered(x, node.span, None):
        reads = tuple([Ref(INPUT, number) for number in range(len(refs))])
        last = x.iterate(node, inner, reads, bindings, named=True)
        inner.builder.own = last or ()
        graph = finish(x, inner, last)
    return graph_step(graph, site.builder, refs, node.span)


def named_branches(at: At, paths: tuple[Branch, ...], join: Node | None) -> Step | None:
    """Branches with a name: a scope of their own, in which their nodes are placed."""
    x, site, refs = at.expansion, at.site, at.refs
    _check_one(refs, "a node of named branches")
    inner = inside(x, site, refs, at.levels)
    with Entered(x, at.span, None):
        last = branches(x, paths, join, inner, inner.builder.start)
        graph = finish(x, inner, last)
    return graph_step(graph, site.builder, refs, at.span)


def _check_one(refs: Refs, what: str) -> None:
    if len(refs) != 1:
        raise Refusal(
            f"{what} takes one input, got {len(refs)}",
            code=Code.ARITY,
            help="make it a block with `inputs: [a, b]`",
        )


def inside(x: Expansion, site: Site, refs: Refs, levels: Levels) -> Site:
    """The list within a node: `input` stands for all that the node reads."""
    outer = site.builder
    named = Inputs(("input",)) if len(refs) == 1 else Inputs((), "input")
    builder = Builder(*outer.read(refs), named, levels, (outer, refs))
    shape = builder.inputs[0] if builder.inputs else None
    return Site(builder, Env(site.env.names, shape, x.budget), builder.start)


def branches(
    x: Expansion, paths: tuple[Branch, ...], join: Node | None, site: Site, refs: Refs
) -> Refs | None:
    """Parallel paths, in place: their nodes join the list, then the merge."""
    site = Site(site.builder, site.env, refs, site.level)
    found = [_branch(x, branch, site) for branch in paths]
    results = tuple([ref for given in found for ref in given or ()])
    if None in found:
        site.builder.position += join is not None
        return None
    return results if join is None else x.node(join, site, results)


def _branch(x: Expansion, branch: Branch, site: Site) -> Refs | None:
    """What one path gives; None (and a diagnostic) where that is not known."""
    found = settled(x, x.run(branch.nodes, site), site.builder)
    if branch.name is not None and not branch.nodes:
        try:
            site.builder.dead_names[branch.name.render(site.env)] = found
        except Refusal as refusal:
            x.report(refusal, branch.span)
            return None
    return found


# --- what a list returns -------------------------------------------------------------------------


def finish(
    x: Expansion,
    site: Site,
    last: Refs | None,
    outputs: tuple[Output, ...] | None = None,
    block: str | None = None,
) -> Graph | None:
    """The graph of a nested list. Warns of each node that nobody reads."""
    b = site.builder
    last = settled(x, last, b) if outputs is None else _outputs(x, outputs, site, last)
    if last is None or not _gives_some(x, last):
        return None
    if any(ref.step >= 0 and b.steps[ref.step].training_only for ref in last):
        x.report(
            Refusal(
                "a block or group cannot return a training_only node",
                code=Code.TRAINING_ONLY,
                help="mark the block's call `training_only: true` instead",
            ),
            b.steps[last[-1].step].span,
        )
        return None
    return _closed(x, b, block, last, None)


def finish_root(
    x: Expansion, site: Site, last: Refs | None, outputs: tuple[Output, ...] | None
) -> Graph | None:
    """As `finish`, for the spec's own list, whose outputs may have names."""
    names: tuple[str, ...] = ()
    if outputs is None:
        last = settled(x, last, site.builder)
    else:
        last = _outputs(x, outputs, site, last)
        names = tuple(output.name for output in outputs if output.name is not None)
        if not names and len(outputs) == 1 and last is not None and len(last) > 1:
            names = _numbered(outputs[0].reference.name.text, len(last))
    if last is None or not _gives_some(x, last):
        return None
    return _closed(x, site.builder, None, last, names or None)


def _gives_some(x: Expansion, last: Refs) -> bool:
    """Whether a list gives a value; none is reported, at the node that was placed last."""
    if not last and x.at is not None:
        message = "this list gives no value: its last node names none"
        x.report(Refusal(message, code=Code.ARITY, help="say what it gives: `outputs:`"), x.at)
    return bool(last)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    """Names for all the values that one node gives: `levels_0`, `levels_1`, …"""
    stem = re.sub(r"\W", "_", name, flags=re.ASCII)
    stem = stem if stem.isidentifier() and name != BEFORE else "output"
    return tuple(f"{stem}_{number}" for number in range(count))


def _closed(
    x: Expansion, b: Builder, block: str | None, last: Refs, names: tuple[str, ...] | None
) -> Graph:
    if b.taken:
        from archspec.expand import iterations  # only where one is read

        last = iterations.settled(b, last)
    graph, b.unread = b.finish(block, last, names)
    if not b.loop:  # of a loop more may be read than what it gives
        _warn_of_unread(x, b)
    return graph


def _warn_of_unread(x: Expansion, b: Builder) -> None:
    for index, scope in b.loops.items():
        with Entered(x, b.steps[index].span, None):
            _warn_of_unread(x, scope)
    for step in b.unread:
        _warn_unread(x, step)


def _outputs(
    x: Expansion, outputs: tuple[Output, ...], site: Site, last: Refs | None
) -> Refs | None:
    site.builder.before = last
    found: list[Ref] = []
    sound = True
    for output in outputs:
        reported = len(x.diagnostics)
        refs = x.resolve((output.reference,), site, None)
        if refs is None:
            sound = False
            _name_the_last(x, reported, output.reference.name, site.builder)
        elif len(refs) != 1 and output.name is not None:
            sound = False
            name = output.reference.name.text
            one = f"{name[:-1]}0" if name.endswith(".*") else f"{name}[0]"
            several = Refusal(f"{name!r} has {len(refs)} outputs", code=Code.OUTPUTS, help=one)
            x.report(several, output.reference.span)
        else:
            found.extend(refs)
    return tuple(found) if sound else None


def _name_the_last(x: Expansion, since: int, name: Template, b: Builder) -> None:
    """Adds a help to the report of an output that no node is called by."""
    if not b.steps or not name.is_fixed:
        return
    last = b.steps[-1]
    what = f"to return the {last.kind} at {place(last.span)}, write"
    words = f"{what} `{last.name}`" if last.named else f"{what} `name: {name.text}` beside it"
    x.diagnostics[since:] = [
        each._replace(help=words) if each.code is Code.UNKNOWN_NODE and not each.help else each
        for each in x.diagnostics[since:]
    ]


def _warn_unread(x: Expansion, step: Step) -> None:
    if step.span in x.warned:
        return
    x.warned.add(step.span)
    count = known(parameter_count(step))  # a warning asks nothing of the sizes
    cost = f"its {count:,} parameters are" if count else "it is"
    what, help_ = f"{cost} left out of the module", "read it with `from:` or a merge, or remove it"
    if step.idle:
        what = "it does not run, and only keeps the module that others share"
        help_ = "read it with `from:` or a merge, or put its layer where it is shared first"
    x.add(
        Diagnostic(
            Code.UNREAD_NODE,
            f"nobody reads {step.name!r} ({step.kind}): {what}",
            step.span,
            severity="warning",
            help=help_,
        )
    )
