"""The checked document to a graph: repeats unrolled, conditions decided, blocks expanded.

Expansion and inference are one pass: each node's shape is known before the next node's
expressions are evaluated. A block that is called again with equal arguments and input shapes is
expanded once. A node that fails is reported, and whatever depends on it is silently left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from archspec.errors import Code, Diagnostic, Note, Refusal, Span
from archspec.infer import infer
from archspec.ir.graph import Graph, Ref, Step
from archspec.ir.op import Op
from archspec.ir.shape import Shape, show
from archspec.language import parameters
from archspec.language.arguments import (
    Argument,
    LocatedError,
    found_value,
    show_value,
)
from archspec.language.builder import Builder, Levels, PatchTree, Refs, parameter_count
from archspec.language.expressions import Template
from archspec.language.limits import Limits
from archspec.language.model import Block, Layers, Node, Output, Reference
from archspec.language.names import check_node_name
from archspec.language.operations import Budget, Env, Table, truth, type_name
from archspec.language.places import Call, located
from archspec.language.remedies import remedy
from archspec.language.validate import make_op

MERGE_WORDS = "give it a name and read it with `from:`"


def _key(value: Any) -> Any:
    """A hashable key that keeps 1, 1.0 and true apart."""
    kind = value.__class__
    if kind is tuple:
        return tuple([_key(item) for item in value])
    if kind is Table:
        return (kind, tuple([(name, _key(item)) for name, item in value.items()]))
    return (kind, value)


class Expander:
    """Expands one spec. `diagnostics` collects what is wrong and what is to be warned of."""

    def __init__(self, limits: Limits, diagnostics: list[Diagnostic]) -> None:
        self.limits, self.diagnostics = limits, diagnostics
        self.budget = Budget(limits)
        self.calls: list[tuple[Span, Block | None]] = []
        self.nodes = 0
        self.failed = False
        self.applied: set[int] = set()
        self._ops: dict[Any, Op] = {}
        self._inferred: dict[Any, tuple[Shape, ...]] = {}
        self._graphs: dict[Any, Graph] = {}
        self._warned: set[Span] = set()

    # --- reporting -------------------------------------------------------------------------------

    def report(
        self, refusal: Refusal, span: Span, trail: tuple[Note, ...] = (), **more: Any
    ) -> None:
        """A refusal becomes a diagnostic at the user's own line, inner places below it."""
        self.add(Diagnostic.of(refusal, span, trail=trail, **more))

    def add(self, diagnostic: Diagnostic) -> None:
        """Moves a place inside a library block to the user's call, and notes the way there."""
        if diagnostic.severity == "error":
            self.failed = True
        calls = [Call(span, block.name if block else None) for span, block in self.calls]
        placed = located(diagnostic, calls)
        if placed not in self.diagnostics:
            self.diagnostics.append(placed)

    # --- lists and nodes -------------------------------------------------------------------------

    def run(
        self, nodes: tuple[Node, ...], b: Builder, inputs: Refs | None, env: Env, level: int = 0
    ) -> Refs | None:
        """The nodes of one list, in order; each reads the one before it, the first `inputs`.

        `level` is the first level of patches that applies to them.
        """
        current = inputs
        b.lists.append(nodes)
        for node in nodes:
            current = self.node(node, b, current, inputs, env, level)
        b.lists.pop()
        return current

    def node(
        self, node: Node, b: Builder, current: Refs | None, start: Refs | None, env: Env, level: int
    ) -> Refs | None:
        """One node: its inputs, its condition, its iterations. None where it cannot be known."""
        refs = current
        if node.inputs is not None:
            refs = self.resolve(node.inputs, b, start, env, node, level)
        if refs is None:
            self._poison(node, b, env)
            return None
        env.shape = b.shape(refs[0]) if refs else None
        if node.when is not None:
            alive = self._condition(node, env)
            if alive is None:
                self._poison(node, b, env)
                return None
            if not alive:
                return self._pass_through(node, b, refs, env)
        if node.repeat is not None:
            return self.repeat(node, b, refs, env, level)
        return self.place(node, b, refs, start, env, level)

    def _condition(self, node: Node, env: Env) -> bool | None:
        assert node.when is not None
        try:
            return truth(node.when.argument.value(env), "`when`")
        except Refusal as refusal:
            self.report(refusal, node.when.span)
            return None

    def _name(self, node: Node, env: Env) -> str | None:
        """The node's name, rendered; None for a node without one. Raises `Refusal`."""
        if node.name is None:
            return None
        if node.name.is_fixed:
            return node.name.text
        name = node.name.render(env)
        check_node_name(name)
        return name

    def _poison(self, node: Node, b: Builder, env: Env) -> None:
        """A node whose input failed: it counts, and its readers stay silent too."""
        b.position += 1
        if node.name is not None and node.name.is_fixed:
            b.names.setdefault(node.name.text, None)
        elif node.name is not None:
            try:
                b.names.setdefault(node.name.render(env), None)
            except Refusal:
                return

    def _pass_through(self, node: Node, b: Builder, refs: Refs, env: Env) -> Refs:
        """A node that is not there: its name stands for what it would have read."""
        passed = refs[:1]
        if self._gives_several(node, b, refs, env):
            self._refuse_when(node)
        try:
            name = None if node.repeat else self._name(node, env)
        except Refusal as refusal:
            self.report(refusal, node.name_span or node.span)
            return passed
        if name is None and node.repeat and node.name is not None and node.name.is_fixed:
            name = node.name.text
        if name is not None:
            b.dead_names[name] = passed
        return passed

    def _gives_several(self, node: Node, b: Builder, refs: Refs, env: Env) -> bool:
        """Whether a node that is not there would have several outputs."""
        if isinstance(node.target, Block):
            return len(node.target.outputs or ()) > 1
        if node.form != "op":
            return False
        try:
            op = node.ready or self._op(node.target, node.args, env, node.span)
            return len(self._infer(op, b.shapes(refs))) > 1
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

    def resolve(
        self,
        references: tuple[Reference, ...],
        b: Builder,
        start: Refs | None,
        env: Env,
        node: Node,
        level: int,
    ) -> Refs | None:
        """The values that `from`, a merge or `outputs` names; None where one is unknown."""
        found: list[Ref] = []
        sound = True
        for reference in references:
            try:
                refs = self._reference(reference, b, start, env, node, level)
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

    def _reference(
        self,
        reference: Reference,
        b: Builder,
        start: Refs | None,
        env: Env,
        node: Node,
        level: int,
    ) -> Refs | None:
        name = reference.name.render(env)
        if name == "input" and "input" not in b.names:
            refs = start
        elif node.name is not None and node.name.text == name and name not in b.names:
            raise Refusal(
                f"{name!r} reads itself",
                code=Code.FORWARD_REFERENCE,
                help="without `from` a node reads the one before it",
            )
        else:
            refs = b.look_up(name, level)
        if refs is None or reference.output is None:
            return refs
        index = reference.output.evaluate(env)
        if index.__class__ is not int:
            raise Refusal(
                f"an output is counted with whole numbers, got {found_value(index)}",
                code=Code.OUTPUT_INDEX,
            )
        if not 0 <= index < len(refs):
            count = "1 output" if len(refs) == 1 else f"{len(refs)} outputs"
            raise Refusal(
                f"{name!r} has {count}, counted from 0",
                code=Code.OUTPUT_INDEX,
                expected=f"an index from 0 to {len(refs) - 1}"
                if len(refs) > 1
                else f"`{name}` alone",
                found=str(index),
            )
        return (refs[index],)

    # --- repeat ----------------------------------------------------------------------------------

    def repeat(self, node: Node, b: Builder, refs: Refs, env: Env, level: int) -> Refs | None:
        """A loop: a scope where it has a fixed name, else in place."""
        try:
            bindings = list(self._iterations(node, env))
        except Refusal as refusal:
            assert node.repeat is not None
            self.report(refusal, node.repeat.span)
            self._poison(node, b, env)
            return None
        if not bindings:
            return self._pass_through(node, b, refs, env)
        if node.name is not None and node.name.is_fixed:
            return self.place(node, b, refs, refs, env, level, bindings)
        with self._in_place(node, b):
            return self._iterate(node, b, refs, env, bindings, level)

    @contextmanager
    def _in_place(self, node: Node, b: Builder) -> Iterator[None]:
        """Nodes that join the list of `b` are training_only where the node they stand in is."""
        before = b.training_only
        b.training_only = before or node.training_only
        yield
        b.training_only = before

    def _iterate(
        self,
        node: Node,
        b: Builder,
        refs: Refs | None,
        env: Env,
        bindings: list[dict[str, Any]],
        level: int,
        named: bool = False,
    ) -> Refs | None:
        joins = node.form == "group" and node.name is None
        for binding in bindings:
            inner = env.bind(**binding)
            if refs is None:
                return None
            if joins:
                refs = self.run(node.body, b, refs, inner, level)
            else:
                inner.shape = b.shape(refs[0]) if refs else None
                refs = self.place(node, b, refs, refs, inner, level, anonymous=named)
        return refs

    def _iterations(self, node: Node, env: Env) -> Iterator[dict[str, Any]]:
        repeat = node.repeat
        assert repeat is not None
        if repeat.times is not None:
            times = repeat.times.value(env)
            self._check_times(times, repeat.times.evaluate is None)
            for index in range(times):
                yield {"index": index}
            return
        lists: dict[str, Any] = {}
        for name, argument in repeat.variables:
            value = argument.value(env)
            if value.__class__ is int:
                self._check_times(value, argument.evaluate is None)
                value = tuple(range(value))
            if not isinstance(value, tuple):
                raise Refusal(
                    f"{name!r} walks a list, got {found_value(value)}",
                    code=Code.REPEAT,
                    expected="a list, or a count",
                )
            lists[name] = value
        lengths = {name: len(value) for name, value in lists.items()}
        if len(set(lengths.values())) > 1:
            raise Refusal(
                "lists that are walked together have one length",
                code=Code.REPEAT,
                found=", ".join(f"{name} has {length}" for name, length in lengths.items()),
            )
        count = next(iter(lengths.values()))
        self.limits.check("repeat", count, "the number of iterations")
        for index in range(count):
            yield {"index": index, **{name: value[index] for name, value in lists.items()}}

    def _check_times(self, times: Any, literal: bool) -> None:
        if times.__class__ is not int:
            is_list = isinstance(times, tuple)
            raise Refusal(
                f"a repeat counts in whole numbers, got {found_value(times)}",
                code=Code.REPEAT,
                help="name its elements: `repeat: {item: …}`"
                if is_list
                else "divide with // to stay with whole numbers"
                if times.__class__ is float
                else None,
            )
        if times < 0 or (times == 0 and literal):
            raise Refusal(
                f"a repeat of {times}",
                code=Code.REPEAT,
                expected="at least 1 (an expression may give 0: then the node passes its input on)",
                help="leave a node out with `when: false`",
            )
        self.limits.check("repeat", times, "the number of iterations")

    # --- placing: numbers, names and patches -----------------------------------------------------

    def place(
        self,
        node: Node,
        b: Builder,
        refs: Refs,
        start: Refs | None,
        env: Env,
        level: int,
        bindings: list[dict[str, Any]] | None = None,
        anonymous: bool = False,
    ) -> Refs | None:
        """A live node, at its position in its list; patches of the position come first."""
        if node.form == "branches" and node.name is None and bindings is None:
            with self._in_place(node, b):
                return self.branches(node, b, refs, env, level)
        try:
            name = None if anonymous else self._name(node, env)
        except Refusal as refusal:
            self.report(refusal, node.name_span or node.span)
            return None
        if level < len(b.levels):
            return self._patched(node, b, refs, start, env, level, bindings, name, ())
        return self.put(node, b, refs, env, bindings, name, ())

    def _patched(
        self,
        node: Node,
        b: Builder,
        refs: Refs | None,
        start: Refs | None,
        env: Env,
        level: int,
        bindings: list[dict[str, Any]] | None,
        name: str | None,
        below: Levels,
    ) -> Refs | None:
        """Apply the patches of one level, then hand what comes of it to the next."""
        if refs is None:
            return None
        if level == len(b.levels):
            return self.put(node, b, refs, env, bindings, name, below)
        label = name or str(b.counters[level])
        b.counters[level] += 1
        tree = b.levels[level]
        found = tree.children.get(label) if tree else None
        if found is None or not found.items:
            result = self._patched(
                node, b, refs, start, env, level + 1, bindings, name, (*below, found)
            )
        else:
            result = self._changed(node, b, refs, start, env, level, bindings, name, below, found)
        b.labels[level].setdefault(label, result)
        return result

    def _changed(
        self,
        node: Node,
        b: Builder,
        refs: Refs,
        start: Refs | None,
        env: Env,
        level: int,
        bindings: list[dict[str, Any]] | None,
        name: str | None,
        below: Levels,
        found: PatchTree,
    ) -> Refs | None:
        """A node with what the patches of its path put before, after or in the place of it."""
        self.applied.update(map(id, found.items))
        changes = [item for item in found.items if item.action in ("replace", "remove")]
        for second in changes[1:]:
            self.report(
                Refusal(
                    f"the node at {second.path!r} is replaced or removed twice", code=Code.PATCH
                ),
                second.span,
            )
        # Of a merge's inputs the first is the one that a node before it changes, and that is
        # passed on without it, as by `when`.
        first = self._inserted(found, "insert_before", b, refs[:1], start, env, level)
        if first is None:
            self._poison(node, b, env)
            return None
        current: Refs | None = (*first, *refs[1:])
        if not changes:
            current = self._patched(
                node, b, current, start, env, level + 1, bindings, name, (*below, found)
            )
        elif changes[0].action == "remove":
            current = first
            if name is not None:
                b.dead_names[name] = first
        else:
            current = self._replace(changes[0].nodes, b, current, start, env, level + 1, name)
        result = self._inserted(found, "insert_after", b, current, start, env, level)
        if name in b.names and result != current:
            b.names[name] = result  # readers by name see the patched value too
        return result

    def _inserted(
        self,
        tree: PatchTree,
        action: str,
        b: Builder,
        current: Refs | None,
        start: Refs | None,
        env: Env,
        level: int,
    ) -> Refs | None:
        """The nodes that patches of one path insert, in written order."""
        for item in tree.items:
            for extra in item.nodes if item.action == action else ():
                current = self.node(extra, b, current, start, env, level + 1)
        return current

    def _replace(
        self,
        nodes: tuple[Node, ...],
        b: Builder,
        current: Refs | None,
        start: Refs | None,
        env: Env,
        level: int,
        name: str | None,
    ) -> Refs | None:
        """New nodes in the place of one; where it is one node, it keeps the name."""
        for node in nodes:
            if name is not None and node.name is None and len(nodes) == 1:
                node.name = Template(name, (name,))
            current = self.node(node, b, current, start, env, level)
        if name is not None and name not in b.names:
            b.dead_names[name] = current
        return current

    def put(
        self,
        node: Node,
        b: Builder,
        refs: Refs,
        env: Env,
        bindings: list[dict[str, Any]] | None,
        name: str | None,
        levels: Levels,
    ) -> Refs | None:
        """Make the step of a node. None where it fails (and has been reported)."""
        label = name if name is not None else str(b.position)
        b.position += 1
        self.nodes += 1
        step: Step | None = None
        try:
            self.limits.check("nodes", self.nodes, "the number of nodes")
            if bindings is not None:
                step = self._loop_scope(node, b, refs, env, bindings, levels)
            else:
                step = self._step(node, b, refs, env, levels)
        except Refusal as refusal:
            self.report(refusal, node.span, b.trail(refs) if _is_shape(refusal) else ())
            if refusal.code is Code.LIMIT and self.nodes > self.limits.nodes:
                raise Stop from None
        except LocatedError as error:
            for diagnostic in error.diagnostics:
                self.add(diagnostic)
        try:
            if step is None:
                b.names.setdefault(label, None)
                return None
            step.name, step.named = label, name is not None
            step.training_only = b.training_only or (node.training_only and not b.loop)
            self._check_training(step, b)
            result = tuple([Ref(len(b.steps), i) for i in range(len(step.outputs))])
            b.define(label, result)
        except Refusal as refusal:
            if refusal.code is Code.DUPLICATE_NAME and "index" in env.names:
                refusal.help = f"in a repeat give each its own: {label}{{index}}"
            self.report(refusal, node.name_span or node.span)
            return None
        if node.when is not None and len(step.outputs) > 1:
            self._refuse_when(node)
        b.steps.append(step)
        b.recipes.append((node, env, bindings))
        return result

    def _check_training(self, step: Step, b: Builder) -> None:
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

    # --- the forms of a node ---------------------------------------------------------------------

    def _step(self, node: Node, b: Builder, refs: Refs, env: Env, levels: Levels) -> Step | None:
        if node.share is not None:
            return self._share(node, b, refs, env)
        if node.form == "op":
            op = node.ready or self._op(node.target, node.args, env, node.span)
            return self._op_step(op, b, refs, node.span)
        if node.form == "block":
            assert isinstance(node.target, Block)
            graph = self.call(node.target, node.args, env, b, refs, node.span, levels)
            return self._graph_step(graph, b, refs, node.span)
        if node.form == "insert":
            return self._insert(node, b, refs, env, levels)
        if node.form == "group":
            graph = self._scope(node.body, b, refs, env, node.span, levels)
            return self._graph_step(graph, b, refs, node.span)
        graph = self._branch_scope(node, b, refs, env, levels)
        return self._graph_step(graph, b, refs, node.span)

    def _op(
        self, target: Any, args: dict[str, Argument], env: Env, span: Span, *more: tuple[Any, Env]
    ) -> Op:
        """A validated op, made once for equal arguments. Raises `LocatedError`."""
        values: dict[str, Any] = {}
        spans: dict[str, Span] = {}
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
                    raise LocatedError(Diagnostic.of(refusal, argument.span)) from None
                spans[name] = argument.span
        key = (target, tuple([(name, _key(value)) for name, value in values.items()]))
        op = self._ops.get(key)
        if op is None:
            op = self._ops[key] = make_op(target, values, spans, span)
        return op

    def _op_step(self, op: Op, b: Builder, refs: Refs, span: Span) -> Step:
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

    def _graph_step(self, graph: Graph | None, b: Builder, refs: Refs, span: Span) -> Step | None:
        if graph is None:
            return None
        return Step("", None, graph, refs, b.shapes(refs), graph.output_shapes, span)

    def _insert(self, node: Node, b: Builder, refs: Refs, env: Env, levels: Levels) -> Step | None:
        """The layers that a parameter holds: one op or block in itself, a list as a group."""
        layers = env.names.get(node.key)
        if not isinstance(layers, Layers):
            raise Refusal(
                f"${node.key} must hold layers, and holds {type_name(layers)}", code=Code.PARAMETER
            )
        inner = Env(layers.env.names, b.shape(refs[0]) if refs else None, self.budget)
        alone = layers.nodes[0] if layers.is_one else None
        if alone is not None and _is_bare(alone):
            if alone.form == "insert" and node.compile_raw is None:
                return self._insert(alone, b, refs, inner, levels)
            if alone.form in ("op", "block") and alone.target is not None:
                return self._insert_one(node, alone, b, refs, env, inner, levels)
        if node.compile_raw is not None:
            raise Refusal(
                f"arguments can be added to one op or block, and ${node.key} holds a list",
                code=Code.ARGUMENT,
            )
        graph = self._scope(layers.nodes, b, refs, inner, node.span, levels)
        return self._graph_step(graph, b, refs, node.span)

    def _insert_one(
        self, node: Node, alone: Node, b: Builder, refs: Refs, env: Env, inner: Env, levels: Levels
    ) -> Step | None:
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
                value = argument.value(env)
                args[name] = Argument(argument.span, value)
            graph = self.call(alone.target, args, inner, b, refs, node.span, levels)
            return self._graph_step(graph, b, refs, node.span)
        op = self._op(alone.target, alone.args, inner, node.span, (added, env))
        return self._op_step(op, b, refs, node.span)

    def _share(self, node: Node, b: Builder, refs: Refs, env: Env) -> Step | None:
        """The module of another node, applied here; its weights must fit this input too."""
        assert node.share is not None
        name = node.share.name.render(env)
        if b.names.get(name, ()) is None:
            return None
        owner = next((i for i, step in enumerate(b.steps) if step.name == name), None)
        if owner is None:
            b.look_up(name, len(b.levels))  # refuses a name that is unknown, or stands later
            raise Refusal(f"{name!r} has no module to share", code=Code.SHARE)
        shared = b.steps[owner].shares
        owner = owner if shared is None else shared
        original, scope, bindings = b.recipes[owner]
        scope = Env(scope.names, b.shape(refs[0]) if refs else None, self.budget)
        first = b.steps[owner]
        if node.form != "share" and (node.form, node.key) != (original.form, original.key):
            raise Refusal(f"{name!r} is a {first.kind}, not a {node.key}", code=Code.SHARE)
        if first.op is not None:
            step: Step | None = self._op_step(first.op, b, refs, node.span)
        elif bindings is not None:
            step = self._loop_scope(original, b, refs, scope, bindings, ())
        else:
            step = self._step(original, b, refs, scope, ())
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

    # --- scopes ----------------------------------------------------------------------------------

    def call(
        self,
        block: Block,
        args: dict[str, Argument],
        env: Env,
        b: Builder,
        refs: Refs,
        span: Span,
        levels: Levels,
    ) -> Graph | None:
        """A block's graph for these arguments and input shapes."""
        if len(refs) != len(block.inputs):
            raise Refusal(
                f"{block.name} takes {len(block.inputs)} input(s), got {len(refs)}",
                code=Code.ARITY,
                expected=f"inputs {', '.join(block.inputs)}",
                help=f"say `from: [{', '.join(block.inputs)}]`" if len(block.inputs) > 1 else None,
            )
        if any(called is block for _, called in self.calls):
            circle = " → ".join(c.name for _, c in self.calls if c)
            raise Refusal(
                f"the block {block.name!r} calls itself",
                code=Code.BLOCK_CYCLE,
                found=f"{circle} → {block.name}",
            )
        shapes = b.shapes(refs)
        inner = Env({}, shapes[0] if shapes else None, self.budget)
        errors: list[Diagnostic] = []
        if not parameters.evaluate_all(
            block.params, args, env, inner, block.name, span, errors.append
        ):
            for diagnostic in errors:
                self.add(diagnostic)
            return None
        patched = any(levels)
        key = (block, shapes, tuple([_key(value) for value in inner.names.values()]))
        graph = None if patched else self._graphs.get(key)
        if graph is None:
            builder = Builder(shapes, block.inputs, levels, (b, refs))
            graph = self._enter(block, block.body, builder, inner, span, block.outputs)
            if graph is not None and not patched:
                self._graphs[key] = graph
        return graph

    def _scope(
        self,
        nodes: tuple[Node, ...],
        b: Builder,
        refs: Refs,
        env: Env,
        span: Span,
        levels: Levels,
    ) -> Graph | None:
        """An inline group, in the environment where it is written."""
        if len(refs) != 1:
            raise Refusal(
                f"a group takes one input, got {len(refs)}",
                code=Code.ARITY,
                help="make it a block with `inputs: [a, b]`",
            )
        builder = Builder(b.shapes(refs), ("input",), levels, (b, refs))
        inner = Env(env.names, builder.inputs[0], self.budget)
        return self._enter(None, nodes, builder, inner, span, None)

    def _enter(
        self,
        block: Block | None,
        nodes: tuple[Node, ...],
        builder: Builder,
        env: Env,
        span: Span,
        outputs: tuple[Output, ...] | None,
    ) -> Graph | None:
        self.calls.append((span, block))
        try:
            self.limits.check("depth", len(self.calls), "the nesting of blocks and groups")
            last = self.run(nodes, builder, builder.start, env)
            return self.finish(builder, last, outputs, env, block)
        finally:
            self.calls.pop()

    def _loop_scope(
        self,
        node: Node,
        b: Builder,
        refs: Refs,
        env: Env,
        bindings: list[dict[str, Any]],
        levels: Levels,
    ) -> Step | None:
        """A named repeat: a scope whose children are its iterations, 0 to n - 1."""
        builder = Builder(b.shapes(refs), ("input",), levels, (b, refs))
        builder.loop = True
        self.calls.append((node.span, None))
        try:
            last = self._iterate(node, builder, builder.start, env, bindings, 0, named=True)
            graph = self.finish(builder, last, None, env, None)
        finally:
            self.calls.pop()
        return self._graph_step(graph, b, refs, node.span)

    def branches(self, node: Node, b: Builder, refs: Refs, env: Env, level: int = 0) -> Refs | None:
        """Parallel paths, in place: their nodes join the list, then the merge."""
        assert node.merge is not None
        results: list[Ref] = []
        sound = True
        for branch in node.branches:
            if branch.name is None or not branch.nodes:
                found: Refs | None = self.run(branch.nodes, b, refs, env, level)
                if branch.name is not None and found is not None:
                    b.dead_names[branch.name.render(env)] = found
            else:
                group = Node("group", "layers", branch.span, body=branch.nodes)
                group.name, group.name_span = branch.name, branch.span
                found = self.node(group, b, refs, refs, env, level)
            if found is None:
                sound = False
            elif len(found) != 1:
                sound = False
                refusal = Refusal(f"a branch with {len(found)} outputs", code=Code.ARITY)
                self.report(refusal, branch.span)
            else:
                results.extend(found)
        if not sound:
            b.position += 1
            return None
        merge, merged = node.merge, tuple(results)
        env.shape = b.shape(results[0]) if results else None
        if merge.when is not None:
            alive = self._condition(merge, env)
            if alive is None:
                self._poison(merge, b, env)
                return None
            if not alive:
                return self._pass_through(merge, b, merged, env)
        return self.place(merge, b, merged, refs, env, level)

    def _branch_scope(
        self, node: Node, b: Builder, refs: Refs, env: Env, levels: Levels
    ) -> Graph | None:
        builder = Builder(b.shapes(refs), ("input",), levels, (b, refs))
        inner = Env(env.names, builder.inputs[0], self.budget)
        self.calls.append((node.span, None))
        try:
            last = self.branches(node, builder, builder.start, inner)
            return self.finish(builder, last, None, inner, None)
        finally:
            self.calls.pop()

    # --- outputs ---------------------------------------------------------------------------------

    def finish(
        self,
        b: Builder,
        last: Refs | None,
        outputs: tuple[Output, ...] | None,
        env: Env,
        block: Block | None,
        root: bool = False,
        level: int = 0,
    ) -> Graph | None:
        """Close a list: what it returns, and a warning for each node that nobody reads.

        `level` is the first level of patches that applies to the one who wrote `outputs`.
        """
        names: tuple[str, ...] | None = None
        if outputs is not None:
            last, names = self._outputs(outputs, b, env, level)
            if not root:
                names = None
        if last is None:
            return None
        if not root and any(ref.step >= 0 and b.steps[ref.step].training_only for ref in last):
            self.report(
                Refusal(
                    "a block or group cannot return a training_only node",
                    code=Code.TRAINING_ONLY,
                    help="mark the block's call `training_only: true` instead",
                ),
                b.steps[last[-1].step].span,
            )
            return None
        graph, unread = b.finish(block.name if block else None, last, names)
        for step in unread:
            self._warn_unread(step)
        return graph

    def _outputs(
        self, outputs: tuple[Output, ...], b: Builder, env: Env, level: int
    ) -> tuple[Refs | None, tuple[str, ...] | None]:
        found: list[Ref] = []
        sound = True
        for output in outputs:
            holder = Node("outputs", "outputs", output.reference.span)
            refs = self.resolve((output.reference,), b, b.start, env, holder, level)
            if refs is None:
                sound = False
            elif len(refs) != 1:
                sound = False
                name = output.reference.name.text
                self.report(
                    Refusal(
                        f"{name!r} has {len(refs)} outputs", code=Code.OUTPUTS, help=f"{name}[0]"
                    ),
                    output.reference.span,
                )
            else:
                found.extend(refs)
        names = tuple(output.name for output in outputs if output.name is not None)
        return (tuple(found) if sound else None), (names or None)

    def _warn_unread(self, step: Step) -> None:
        if step.span in self._warned:
            return
        self._warned.add(step.span)
        count = parameter_count(step)
        cost = f"its {count:,} parameters are" if count else "it is"
        self.add(
            Diagnostic(
                Code.UNREAD_NODE,
                f"nobody reads {step.name!r} ({step.kind}): {cost} left out of the module",
                step.span,
                severity="warning",
                help="read it with `from:` or a merge, or remove it",
            )
        )


class Stop(Exception):
    """The expansion is too large to go on."""


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


def _owned(step: Step) -> Any:
    """What a step owns, and the rank that chose its class: equal for steps that can share."""
    if step.op is not None:
        ranks = tuple(len(shape) for shape in step.input_shapes)
        return (step.op, ranks, step.op.weights(*step.input_shapes))
    assert step.body is not None
    return tuple((inner.name, _owned(inner)) for inner in step.body.steps)


__all__ = ["Expander", "PatchTree", "Stop", "show_value"]
