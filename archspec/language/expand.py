"""The checked document to a graph: repeats unrolled, conditions decided, blocks expanded.

Expansion and inference are one pass: each node's shape is known before the next node's
expressions are evaluated. A block that is called again with equal arguments and input shapes is
expanded once. A node that fails is reported, and whatever depends on it is silently left out.

Here are the nodes of one list, one after the other. `edges` finds what they read, `iterations`
what a repeat binds, `scopes` the lists within the list, `patching` what `extends` changes, and
`sharing` modules that are used again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from archspec.errors import Code, Diagnostic, Note, Refusal, Span
from archspec.infer import infer
from archspec.ir.graph import Graph, Ref, Step
from archspec.ir.op import Op
from archspec.ir.shape import Shape
from archspec.language import edges, patching, scopes, sharing
from archspec.language.arguments import Argument, LocatedError
from archspec.language.builder import Builder, Levels, Live, Recipe, Refs, Site, Stop
from archspec.language.iterations import bindings
from archspec.language.limits import Limits
from archspec.language.model import Block, Layers, Node, Reference
from archspec.language.names import check_node_name
from archspec.language.operations import Budget, Env, truth, type_name
from archspec.language.places import Call, located
from archspec.language.remedies import remedy
from archspec.language.validate import make_op


class Expander:
    """Expands one spec. `diagnostics` collects what is wrong and what is to be warned of."""

    def __init__(
        self, limits: Limits, diagnostics: list[Diagnostic], is_trial: bool = False
    ) -> None:
        self.limits, self.diagnostics = limits, diagnostics
        self.budget = Budget(limits)
        if is_trial:  # of many: what costs much is not tried again
            self.budget.steps = limits.evaluation_steps - limits.evaluation_steps // 20
        # The blocks and groups that are being expanded, the outermost first.
        self.calls: list[tuple[Span, Block | None]] = []
        # Where the calls of those blocks are written; None for a group.
        self.entered: list[Span | None] = []
        # Repeats and branches that they stand in, and whose nodes join the list around them.
        self.joined = 0
        self.nodes = 0
        self.failed = False
        # Patches whose path was met, and nodes of which it was said that nobody reads them.
        self.applied: set[int] = set()
        self.warned: set[Span] = set()
        # What was made before of equal arguments and input shapes.
        self.graphs: dict[Any, Graph] = {}
        self.retries = 0
        self._ops: dict[Any, Op] = {}
        self._inferred: dict[Any, tuple[Shape, ...]] = {}

    # --- reporting -------------------------------------------------------------------------------

    def report(self, refusal: Refusal, span: Span, trail: tuple[Note, ...] = ()) -> None:
        """A refusal becomes a diagnostic at the user's own line, inner places below it."""
        self.add(Diagnostic.of(refusal, span, trail=trail))

    def add(self, diagnostic: Diagnostic) -> None:
        """Moves a place inside a library block to the user's call, and notes the way there."""
        if diagnostic.severity == "error":
            self.failed = True
        calls = [Call(span, block.name if block else None) for span, block in self.calls]
        placed = located(diagnostic, calls)
        if placed not in self.diagnostics:
            self.diagnostics.append(placed)

    # --- lists and nodes -------------------------------------------------------------------------

    def run(self, nodes: tuple[Node, ...], site: Site) -> Refs | None:
        """The nodes of one list, in order; each reads the one before it, the first `site.start`."""
        current = site.start
        site.builder.lists.append(nodes)
        for node in nodes:
            current = self.node(node, site, current)
        site.builder.lists.pop()
        return current

    def node(self, node: Node, site: Site, current: Refs | None) -> Refs | None:
        """One node: its inputs, its condition, its iterations. None where it cannot be known."""
        try:
            self.budget.count(1)
        except Refusal as refusal:
            self.report(refusal, node.span)
            raise Stop from None
        refs = current
        if node.inputs is not None:
            refs = self.resolve(node.inputs, site, node.name.text if node.name else None)
        if refs is None:
            self.poison(node, site)
            return None
        env = site.over(refs)
        if node.when is not None:
            alive = self.condition(node, env)
            if alive is None:
                self.poison(node, site)
                return None
            if not alive:
                return self.pass_through(node, site, refs)
        if node.repeat is not None:
            return self._repeat(node, site, refs)
        return self.place(node, site, refs)

    def resolve(
        self, references: tuple[Reference, ...], site: Site, own: str | None
    ) -> Refs | None:
        """The values that `from`, a merge or `outputs` names; None where one is unknown.

        `own` is the name of the node that reads them, as written.
        """
        found: list[Ref] = []
        sound = True
        for reference in references:
            try:
                refs = edges.resolve(reference, site, own)
            except Refusal as refusal:
                if reference.output is not None or not reference.name.is_fixed:
                    refusal.replacement = None  # it stands for a part of the place only
                self.report(refusal, reference.span)
                sound = False
                continue
            if refs is None:
                sound = False
            else:
                found.extend(refs)
        return tuple(found) if sound else None

    def condition(self, node: Node, env: Env) -> bool | None:
        """Whether the node is there; None (and a diagnostic) where that cannot be told."""
        assert node.when is not None
        try:
            return truth(node.when.argument.value(env), "`when`")
        except Refusal as refusal:
            self.report(refusal, node.when.span)
            return None

    def poison(self, node: Node, site: Site) -> None:
        """A node whose input failed: it counts, and its readers stay silent too."""
        b = site.builder
        b.uncertain = min(b.uncertain, b.position, *b.counters)
        b.position += 1
        if node.name is not None and node.name.is_fixed:
            b.names.setdefault(node.name.text, None)
        elif node.name is not None:
            try:
                b.names.setdefault(node.name.render(site.env), None)
            except Refusal:
                return

    def pass_through(self, node: Node, site: Site, refs: Refs) -> Refs:
        """A node that is not there: its name stands for what it would have read."""
        passed = refs[:1]
        if self._gives_several(node, site, refs):
            self._refuse_when(node)
        try:
            name = None if node.repeat else self._name(node, site.env)
        except Refusal as refusal:
            self.report(refusal, node.name_span or node.span)
            return passed
        if name is None and node.repeat and node.name is not None and node.name.is_fixed:
            name = node.name.text
        if name is not None:
            site.builder.dead_names[name] = passed
        return passed

    def _name(self, node: Node, env: Env) -> str | None:
        """The node's name, rendered; None for a node without one. Raises `Refusal`."""
        if node.name is None:
            return None
        if node.name.is_fixed:
            return node.name.text
        name = node.name.render(env)
        check_node_name(name)
        return name

    def _gives_several(self, node: Node, site: Site, refs: Refs) -> bool:
        """Whether a node that is not there would have several outputs."""
        if isinstance(node.target, Block):
            return len(node.target.outputs or ()) > 1
        if node.form != "op":
            return False
        try:
            op = node.ready or self.make(node.target, node.args, site.env, node.span)
            return len(self._infer(op, site.builder.shapes(refs))) > 1
        except (Refusal, LocatedError):
            return False  # what is not there need not fit

    def _refuse_when(self, node: Node) -> None:
        assert node.when is not None
        self.report(
            Refusal(
                "`when` cannot stand on a node with several outputs",
                code=Code.STRUCTURE,
                help="put it on the nodes that read them",
            ),
            node.when.span,
        )

    # --- repeat ----------------------------------------------------------------------------------

    def _repeat(self, node: Node, site: Site, refs: Refs) -> Refs | None:
        """A loop: a scope where it has a fixed name, else in place."""
        assert node.repeat is not None
        try:
            bound = bindings(node.repeat, site.env, self.limits)
        except Refusal as refusal:
            self.report(refusal, node.repeat.span)
            self.poison(node, site)
            return None
        if not bound:
            return self.pass_through(node, site, refs)
        if node.name is not None and node.name.is_fixed:
            return self.place(node, site._replace(start=refs), refs, bound)
        with self._in_place(node, site) as sound:
            return self.iterate(node, site, refs, bound) if sound else None

    def iterate(
        self,
        node: Node,
        site: Site,
        refs: Refs | None,
        bound: list[dict[str, Any]],
        named: bool = False,
    ) -> Refs | None:
        """The iterations of a loop, each reading the one before it.

        Those of a `named` one have no names of their own in its scope.
        """
        joins = node.form == "group" and node.name is None and node.share is None
        for binding in bound:
            if refs is None:
                return None
            try:
                inner = site._replace(env=site.env.bind(binding), start=refs)
            except Refusal as refusal:
                self.report(refusal, node.span)
                raise Stop from None
            if joins:
                refs = self.run(node.body, inner)
            else:
                inner.over(refs)
                refs = self.place(node, inner, refs, anonymous=named)
        return refs

    @contextmanager
    def _in_place(self, node: Node, site: Site) -> Iterator[bool]:
        """Around nodes that join the list: they are training_only where the node around them is.

        Gives whether the nesting is within its limit; else that was reported.
        """
        b, before = site.builder, site.builder.training_only
        b.training_only = before or node.training_only
        self.joined += 1
        try:
            self.check_depth()
            sound = True
        except Refusal as refusal:
            self.report(refusal, node.span)
            self.poison(node, site)
            sound = False
        yield sound
        self.joined -= 1
        b.training_only = before

    def check_depth(self) -> None:
        """Raises `Refusal` where lists stand too deep within each other."""
        depth = len(self.calls) + self.joined
        self.limits.check("depth", depth, "the nesting of blocks and groups")

    # --- placing: numbers and names --------------------------------------------------------------

    def place(
        self,
        node: Node,
        site: Site,
        refs: Refs,
        bound: list[dict[str, Any]] | None = None,
        anonymous: bool = False,
    ) -> Refs | None:
        """A live node, at its position in its list; patches of the position come first."""
        in_place = node.form == "branches" and node.name is None and node.share is None
        if in_place and bound is None:
            with self._in_place(node, site) as sound:
                return scopes.branches(self, node, site, refs) if sound else None
        try:
            name = None if anonymous else self._name(node, site.env)
        except Refusal as refusal:
            self.report(refusal, node.name_span or node.span)
            return None
        live = Live(node, name, bound, site.level, [])
        if site.level < len(site.builder.levels):
            return patching.patched(self, live, site, refs, ())
        return self.put(live, site, refs, ())

    def put(self, live: Live, site: Site, refs: Refs, levels: Levels) -> Refs | None:
        """Make the step of a node. None where it fails (and has been reported)."""
        b, node = site.builder, live.node
        label = live.name if live.name is not None else str(b.position)
        b.position += 1
        self.nodes += 1
        step = self._made(live, site, refs, levels)
        if step is None:
            b.names.setdefault(label, None)
            return None
        step.name, step.named = label, live.name is not None
        step.training_only = b.training_only or (node.training_only and not b.loop)
        result = tuple([Ref(len(b.steps), i) for i in range(len(step.outputs))])
        try:
            _check_training(step, b)
            b.define(label, result)
        except Refusal as refusal:
            if refusal.code is Code.DUPLICATE_NAME:
                refusal.help = self._other_name(live, site, label)
            self.report(refusal, node.name_span or node.span)
            return None
        if node.when is not None and len(step.outputs) > 1:
            self._refuse_when(node)
        live.steps.append(len(b.steps))
        b.modules[-1][label] = len(b.steps)
        b.steps.append(step)
        b.recipes.append(Recipe(live, site.env, levels))
        return result

    def _other_name(self, live: Live, site: Site, label: str) -> str | None:
        """What helps a node whose name another one of its list bears already."""
        b = site.builder
        others = [
            recipe.live.node
            for recipe, step in zip(b.recipes, b.steps, strict=True)
            if step.name == label
        ]
        if live.node.when is not None and any(other.when is not None for other in others):
            return (
                "both conditions hold here: two nodes may bear one name where at most one of them "
                "is there, as with `when: a` and `when: not a`"
            )
        return (
            f"in a repeat give each its own: {label}{{index}}"
            if "index" in site.env.names
            else None
        )

    def _made(self, live: Live, site: Site, refs: Refs, levels: Levels) -> Step | None:
        """The step of a node; None (and diagnostics) where it fails."""
        node = live.node
        try:
            self.limits.check("nodes", self.nodes, "the number of nodes")
            if live.bindings is not None:
                return scopes.loop(self, live, site, refs, levels)
            if node.share is not None:
                return sharing.shared(self, live, site, refs)
            return self.step(node, site, refs, levels)
        except Refusal as refusal:
            self.report(refusal, node.span, site.builder.trail(refs) if _is_shape(refusal) else ())
            if refusal.code is Code.LIMIT and self.nodes > self.limits.nodes:
                raise Stop from None
        except LocatedError as error:
            for diagnostic in error.diagnostics:
                self.add(diagnostic)
        return None

    # --- the forms of a node ---------------------------------------------------------------------

    def step(self, node: Node, site: Site, refs: Refs, levels: Levels) -> Step | None:
        """The step of a node by its form. Raises `Refusal` and `LocatedError`."""
        if node.form == "op":
            op = node.ready or self.make(node.target, node.args, site.env, node.span)
            return self.op_step(op, site.builder, refs, node.span)
        if node.form == "block":
            assert isinstance(node.target, Block)
            return scopes.call(
                self, node.target, node.args, site, refs, node.span, levels, node.span
            )
        if node.form == "insert":
            return self._insert(node, site, refs, levels)
        if node.form == "group":
            return scopes.group(self, node.body, site, refs, node.span, levels)
        return scopes.named_branches(self, node, site, refs, levels)

    def make(
        self, target: Any, args: dict[str, Argument], env: Env, span: Span, *more: tuple[Any, Env]
    ) -> Op:
        """A validated op, made once for equal arguments. Raises `LocatedError`."""
        values: dict[str, Any] = {}
        spans: dict[str, Span] = {}
        wrong: list[Diagnostic] = []
        for source, scope in ((args, env), *more):
            for name, argument in source.items():
                if name in values:
                    raise LocatedError(
                        Diagnostic(
                            Code.ARGUMENT,
                            f"{target.op_name}: {name} is given twice, here and with the layers",
                            argument.span,
                            help="give it in one of the two places",
                        )
                    )
                try:
                    values[name] = (
                        argument.constant if argument.evaluate is None else argument.evaluate(scope)
                    )
                except Refusal as refusal:
                    wrong.append(Diagnostic.of(refusal, argument.span))
                spans[name] = argument.span
        if wrong:
            raise LocatedError(*wrong)
        key = (target, tuple([(name, scopes.key_of(v, self.budget)) for name, v in values.items()]))
        op = self._ops.get(key)
        if op is None:
            op = self._ops[key] = make_op(target, values, spans, span)
        return op

    def op_step(self, op: Op, b: Builder, refs: Refs, span: Span) -> Step:
        """The step of an op on these values. Raises `Refusal` where its shape rule does."""
        if op.num_inputs == 0 and not op.variadic:
            refs = ()
        shapes = b.shapes(refs)
        key = (id(op), shapes)
        outputs = self._inferred.get(key)
        if outputs is None:
            try:
                outputs = self._inferred[key] = self._infer(op, shapes)
            except Refusal as refusal:
                if refusal.help is None and _is_shape(refusal) and not span.source.library:
                    refusal.help = remedy(op, b, refs, refusal.code)
                if not refusal.message.startswith(op.op_name):
                    refusal.message = f"{op.op_name}: {refusal.message}"
                raise
        return Step("", op, None, refs, shapes, outputs, span)

    def _infer(self, op: Op, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """The shapes of its outputs; no code of a package runs that the caller did not allow."""
        if op.foreign is not None:
            self.limits.check_module(op.foreign)
        return infer(op, shapes)

    # --- layers that a parameter holds -----------------------------------------------------------

    def _insert(self, node: Node, site: Site, refs: Refs, levels: Levels) -> Step | None:
        """The layers that a parameter holds: one op or block in itself, a list as a group."""
        while True:
            layers = site.env.names.get(node.key)
            if not isinstance(layers, Layers):
                raise Refusal(
                    f"${node.key} must hold layers, and holds {type_name(layers)}",
                    code=Code.PARAMETER,
                )
            inner = site._replace(env=Env(layers.env.names, None, self.budget))
            inner.over(refs)
            alone = layers.nodes[0] if layers.is_one and _is_bare(layers.nodes[0]) else None
            if alone is None or alone.form != "insert" or node.compile_raw is not None:
                break
            node, site = alone, inner  # the parameter holds another one
        if alone is not None and alone.form in ("op", "block") and alone.target is not None:
            return self._insert_one(node, alone, site, inner, refs, levels)
        if node.compile_raw is not None:
            raise Refusal(
                f"arguments can be added to one op or block, and ${node.key} holds a list",
                code=Code.ARGUMENT,
            )
        return scopes.group(self, layers.nodes, inner, refs, node.span, levels)

    def _insert_one(
        self, node: Node, alone: Node, site: Site, inner: Site, refs: Refs, levels: Levels
    ) -> Step | None:
        """One op or block, with the arguments that the node adds; those are evaluated at `site`."""
        assert alone.target is not None
        added: dict[str, Argument] = {}
        if node.compile_raw is not None:
            added, errors = node.compile_raw(alone.target)
            for diagnostic in errors:
                self.add(diagnostic)
            if errors:
                return None
        if isinstance(alone.target, Block):
            args = dict(alone.args)
            for name, argument in added.items():
                if name in args:
                    raise Refusal(f"{name} is given twice: here and with the layers")
                args[name] = Argument(argument.span, argument.value(site.env))
            return scopes.call(self, alone.target, args, inner, refs, node.span, levels, alone.span)
        # What was written in another file is shown there, with the place that it stands for.
        elsewhere = not added and alone.span.source != node.span.source
        try:
            at = alone.span if elsewhere else node.span
            op = self.make(alone.target, alone.args, inner.env, at, (added, site.env))
            return self.op_step(op, site.builder, refs, node.span)
        except LocatedError as error:
            stands = Note(f"it stands for ${node.key}", node.span)
            notes = (stands,) if elsewhere else ()
            raise LocatedError(*(each.with_notes(*notes) for each in error.diagnostics)) from None
        except Refusal as refusal:
            if not elsewhere:
                raise
            given = Note(f"${node.key} is given here", alone.span)
            trail = site.builder.trail(refs) if _is_shape(refusal) else ()
            diagnostic = Diagnostic.of(refusal, node.span, trail=trail, notes=(given,))
            raise LocatedError(diagnostic) from None


def _check_training(step: Step, b: Builder) -> None:
    if step.training_only:
        return
    for ref in step.inputs:
        if ref.step >= 0 and b.steps[ref.step].training_only:
            name = b.steps[ref.step].name
            raise Refusal(
                f"it reads {name!r}, which is not there in eval()",
                code=Code.TRAINING_ONLY,
                help="say what it reads with `from:`, or mark it `training_only: true` too",
            )


def _is_bare(node: Node) -> bool:
    """A node with nothing beside its op: it can stand in the place of a layers parameter."""
    return (
        node.name is None
        and node.inputs is None
        and node.when is None
        and node.repeat is None
        and node.share is None
        and not node.training_only
    )


def _is_shape(refusal: Refusal) -> bool:
    return refusal.code[:3] == "AS4"
