"""The checked document to a graph: repeats unrolled, conditions decided, blocks expanded.

Expansion and inference are one pass: each node's shape is known before the next node's
expressions are evaluated. A block that is called again with equal arguments and input shapes is
expanded once. A node that fails is reported; what depends on it is left out without a word.

This module places the nodes of one list, one after the other. `edges` finds what they read, `loops`
what a repeat binds, `nested` makes the lists within the list, `patching` applies what `extends`
changes, and `sharing` uses modules again.
"""

from __future__ import annotations

from collections.abc import Callable

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.forms.alone import FromAlone
from archspec.document.forms.branches import Branches
from archspec.document.records import Form, Node, Reference
from archspec.expand import choosing, edges, patching, sharing
from archspec.expand import nested as scopes
from archspec.expand.builder import BEFORE, Bindings, Builder, Element, Levels, Live, Site, Stop
from archspec.expand.edge_help import from_the_batch, second_input, several_in_a_repeat, unjoined
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import HandedOn, Refs
from archspec.expand.loops import bindings
from archspec.expand.nested import At
from archspec.expressions.arguments import LocatedError
from archspec.expressions.evaluate import Env, truth
from archspec.expressions.names import check_node_name
from archspec.ir.graph import Ref, Step


class Expander(Expansion):
    """Expands one spec."""

    def trial(self) -> Expander:
        return Expander(self.limits, [], is_trial=True)

    # --- lists and nodes -------------------------------------------------------------------------

    def run(self, nodes: tuple[Node, ...], site: Site) -> Refs | None:
        current = site.start
        site.builder.lists.append(nodes)
        for node in nodes:
            current = self.node(node, site, current)
        site.builder.lists.pop()
        return current

    def node(self, node: Node, site: Site, current: Refs | None) -> Refs | None:
        self.meet(node)
        site.builder.before = current
        if not node.plain and node.when is not None and node.parallel is None:
            return choosing.chosen(self, node, site, current)
        return self.present(node, site, current)

    def meet(self, node: Node) -> None:
        try:
            self.budget.count(1)
        except Refusal as refusal:
            self.report(refusal, node.span)
            raise Stop from None
        self.at, self.label = node.span, None

    def present(self, node: Node, site: Site, current: Refs | None) -> Refs | None:
        if node.parallel is not None:
            from archspec.expand.parallel import side_by_side  # for few nodes

            return side_by_side(self, node, site, current)
        refs = self._reads(node, site, current)
        if refs is None:
            self.poison(node, site)
            return None
        site.over(refs)
        if node.plain:
            return self.place(node, site, refs)
        if node.repeat is not None:
            return self._repeat(node, site, refs)
        if isinstance(node.form, FromAlone):
            return self._called(node, site, refs)
        return self.place(node, site, refs)

    def _reads(self, node: Node, site: Site, current: Refs | None) -> Refs | None:
        if node.inputs is not None:
            return self.read_by(node, node.inputs, site)
        if isinstance(current, HandedOn) and choosing.reads(node):
            self.report(choosing.unclear(current, site.builder), node.span)
            return None
        return current

    def read_by(self, node: Node, references: tuple[Reference, ...], site: Site) -> Refs | None:
        """The values that a node's own edges name; None (and diagnostics) where one is unknown."""
        if node.named is not None:
            from archspec.expand.named_inputs import in_order  # for few nodes

            return in_order(self, node, site)
        names_values = isinstance(node.form, FromAlone)
        own = node.name.text if node.name else None
        return self.resolve(references, site, own, may_be_none=names_values)

    def _called(self, node: Node, site: Site, refs: Refs) -> Refs | None:
        """Gives values a name, which no other node may bear."""
        try:
            name = self._name(node, site.env)
            if name is not None:
                site.builder.define(name, refs)
                site.builder.dead_names[name] = refs
        except Refusal as refusal:
            self.report(refusal, node.name_span or node.span)
            return None
        return refs

    def resolve(
        self,
        references: tuple[Reference, ...],
        site: Site,
        own: str | None,
        may_be_none: bool = False,
    ) -> Refs | None:
        found: list[Ref] = []
        sound = True
        for reference in references:
            before = site.builder.before
            if reference.name.text == BEFORE and isinstance(before, HandedOn):
                self.report(choosing.unclear(before, site.builder), reference.span)
                sound = False
                continue
            try:
                refs = edges.resolve(reference, site, own)
            except Refusal as refusal:
                whole = reference.output is None and reference.name.is_fixed
                self.report(refusal.but(help=refusal.help, whole=whole), reference.span)
                sound = False
                continue
            if refs is None:
                sound = False
            else:
                found.extend(refs)
        if sound and references and not found and not may_be_none:
            nothing = f"{references[0].name.text!r} stands for no value here"
            help_ = "no such node is there: put `when:` on the node that reads them"
            self.report(Refusal(nothing, code=Code.ARITY, help=help_), references[0].span)
            sound = False
        return tuple(found) if sound else None

    def condition(self, node: Node, env: Env) -> bool | None:
        if node.when is None:
            return True
        try:
            return truth(node.when.argument.value(env), "`when`")
        except Refusal as refusal:
            self.report(refusal, node.when.span)
            return None

    def poison(self, node: Node, site: Site) -> None:
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

    def stand_for(self, node: Node, site: Site, refs: Refs | None) -> None:
        each = node.repeat is not None and not node.shares_one
        if node.name is None or (each and not node.name.is_fixed):
            return  # the name of each iteration
        try:
            name = self._name(node, site.env)
        except Refusal as refusal:
            self.report(refusal, node.name_span or node.span)
            return
        if name is not None:
            site.builder.dead_names[name] = refs

    def _name(self, node: Node, env: Env) -> str | None:
        """The node's name, rendered; None for a node without one. Raises `Refusal`."""
        if node.name is None:
            return None
        if node.name.is_fixed:
            return node.name.text
        name = node.name.render(env)
        check_node_name(name)
        return name

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
            self.stand_for(node, site, refs[:1])
            return refs[:1]
        if node.shares_one or (node.name is not None and node.name.is_fixed):
            return self.place(node, site._replace(start=refs), refs, bound)
        return self.in_place(node, site, lambda: self.iterate(node, site, refs, bound))

    def iterate(
        self,
        node: Node,
        site: Site,
        refs: Refs | None,
        bound: Bindings,
        named: bool = False,
    ) -> Refs | None:
        joins = node.form.joins_in_repeat and node.name is None and node.share is None
        first, given = refs, refs
        for number, binding in enumerate(bound):
            if given is None or refs is None or first is None:
                return None
            if number:
                refs = given if joins else self._carried(node, site, first, given)
                if refs is None:
                    return None
            try:
                inner = Site(site.builder, site.env.bind(binding), refs, site.level)
            except Refusal as refusal:
                self.report(refusal, node.span)
                raise Stop from None
            if joins:
                given = self.run(node.form.members, inner)
            else:
                inner.over(refs)
                given = self.place(node, inner, refs, anonymous=named)
            if named and given is not None:
                site.builder.iterations.append(given)
        return given

    def _carried(self, node: Node, site: Site, first: Refs, given: Refs) -> Refs | None:
        """What the next iteration reads: what the one before gave, where that is one value."""
        if len(first) == len(given) == 1:
            return given
        from archspec.expand.carrying import next_reads  # for few nodes

        try:
            return next_reads(node, site.env, first, given)
        except Refusal as refusal:
            self.report(refusal, node.span)
            return None

    def in_place(self, node: Node, site: Site, join: Callable[[], Refs | None]) -> Refs | None:
        """Lets nodes join the list, training_only where the node around them is."""
        b, before = site.builder, (site.builder.training_only, site.builder.frozen)
        b.training_only = b.training_only or node.training_only
        b.frozen = b.frozen or not self._trains(node, site.env)
        self.joined += 1
        refs = None
        try:
            self.check_depth()
        except Refusal as refusal:
            self.report(refusal, node.span)
            self.poison(node, site)
        else:
            refs = join()
        self.joined -= 1
        b.training_only, b.frozen = before
        return refs

    def _trains(self, node: Node, env: Env) -> bool:
        """Whether the parameters of the node are trained; a mistake is reported."""
        if node.trainable is None:
            return True
        try:
            return truth(node.trainable.argument.value(env), "`trainable`")
        except Refusal as refusal:
            self.report(refusal, node.trainable.span)
            return True

    # --- placing: numbers and names --------------------------------------------------------------

    def place(
        self,
        node: Node,
        site: Site,
        refs: Refs,
        bound: Bindings | list[Element] | None = None,
        anonymous: bool = False,
    ) -> Refs | None:
        if not node.plain and bound is None:
            in_place = node.form.joins_list and node.name is None and node.share is None
            if in_place and not node.shares_one:
                return self.in_place(node, site, lambda: self._joined(node.form, site, refs))
        try:
            name = None if anonymous else self._name(node, site.env)
        except Refusal as refusal:
            self.report(refusal, node.name_span or node.span)
            return None
        live = Live(node, name, bound, site.env, site.level)
        if site.level < len(site.builder.levels):
            return patching.patched(self, live, site, refs, ())
        return self.put(live, site, refs, ())

    def _joined(self, form: Form, site: Site, refs: Refs) -> Refs | None:
        assert isinstance(form, Branches)
        return scopes.branches(self, form.paths, form.merge, site, refs)

    def put(self, live: Live, site: Site, refs: Refs, levels: Levels) -> Refs | None:
        b, node = site.builder, live.node
        label = live.name if live.name is not None else str(b.position)
        self.at, self.label = node.span, label
        b.position += 1
        self.nodes += 1
        step = self._made(live, site, refs, levels)
        if step is None:
            b.names.setdefault(label, None)
            return None
        step.name, step.named = label, live.name is not None
        step.training_only = b.training_only or (node.training_only and not b.loop)
        if step.shares is None:
            step.frozen = b.frozen or not (node.plain or b.loop or self._trains(node, site.env))
        index = len(b.steps)
        count = len(step.outputs)
        result = (Ref(index),) if count == 1 else tuple([Ref(index, i) for i in range(count)])
        try:
            if step.training_only:
                b.has_trained = True
            elif b.has_trained:
                _check_training(step, b)
            b.define(label, result)
        except Refusal as refusal:
            if refusal.code is Code.DUPLICATE_NAME and refusal.help is None:
                refusal = refusal.but(help=self._other_name(live, site, label))
            self.report(refusal, node.name_span or node.span)
            return None
        live.step, live.levels = index, levels
        b.modules[-1][label] = index
        b.steps.append(step)
        b.recipes.append(live)
        if node.plain:
            return result
        if live.scope is not None:
            b.loops[index] = live.scope
        if node.shares_one:
            from archspec.expand.one_module import others  # for few nodes

            b.names[label] = others(self, live, site, refs, result)
            return b.names[label]
        return result

    def _other_name(self, live: Live, site: Site, label: str) -> str | None:
        """The help for a node whose name another node of its list bears."""
        b = site.builder
        others = [
            recipe.node
            for recipe, step in zip(b.recipes, b.steps, strict=True)
            if step.name == label
        ]
        if live.node.when is not None and any(other.when is not None for other in others):
            return (
                "both conditions hold here: two nodes may bear one name where at most one of them "
                "is there, as with `when: a` and `when: not a`"
            )
        if "index" not in site.env.names:
            return None
        word = live.node.form.word if label.isdecimal() else label
        return f'in a repeat give each a name of its own: `name: "{word}{{index}}"`'

    def _made(self, live: Live, site: Site, refs: Refs, levels: Levels) -> Step | None:
        """The step of a node; None (and diagnostics) where it fails."""
        node = live.node
        try:
            self.limits.check("nodes", self.nodes, "the number of nodes")
            if node.plain:
                return self.step(node, site, refs, levels)
            if node.shares_one:
                from archspec.expand import one_module  # for few nodes

                live.levels = levels
                return one_module.first(self, live, site, refs)
            if live.bindings is not None:
                return scopes.loop(self, live, site, refs, levels)
            if live.elements is not None:
                from archspec.expand.parallel import scope  # for few nodes

                return scope(self, live, site, refs, levels)
            if node.share is not None:
                return sharing.shared(self, live, site, refs)
            if node.weights or node.parametrize:
                from archspec.expand.weighted import weighted

                return weighted(self, node, site, refs, levels)
            return self.step(node, site, refs, levels)
        except Refusal as refusal:
            trail = site.builder.trail(refs) if refusal.code.is_shape else ()
            if refusal.code is Code.UNBATCHED:
                help_ = from_the_batch(site.builder, refs, node.inputs is None)
                refusal = refusal.but(help=help_ or refusal.help)
            if refusal.code is Code.ARITY:
                help_ = several_in_a_repeat(node) or second_input(site.builder, node, refs)
                help_ = help_ or unjoined(site.builder, node, refs)
                refusal = refusal.but(help=help_ or refusal.help)
            self.report(refusal, node.span, trail)
            if refusal.code is Code.LIMIT and self.nodes > self.limits.nodes:
                raise Stop from None
        except LocatedError as error:
            for diagnostic in error.diagnostics:
                self.add(diagnostic)
        return None

    def step(self, node: Node, site: Site, refs: Refs, levels: Levels) -> Step | None:
        return node.form.step(At(self, site, refs, levels, node.span, node.names))


def _check_training(step: Step, b: Builder) -> None:
    for ref in step.inputs:
        if ref.step >= 0 and b.steps[ref.step].training_only:
            name = b.steps[ref.step].name
            raise Refusal(
                f"it reads {name!r}, which is not there in eval()",
                code=Code.TRAINING_ONLY,
                help="say what it reads with `from:`, or mark it `training_only: true` too",
            )
