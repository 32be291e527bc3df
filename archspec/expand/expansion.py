"""One expansion of a spec: the state that all of its lists share.

`expander` places nodes; `nested`, `sharing` and `patching` see only the `Expansion`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from archspec.diagnostics.call_sites import CallSite, located
from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, Refusal, Span
from archspec.document.records import Arguments, Block, Node, Reference
from archspec.document.validate import Ops
from archspec.expand.builder import Bindings, Builder, Element, Levels, Live, Site, Stop
from archspec.expand.lookup import Refs
from archspec.expand.remedies import remedy
from archspec.expressions.arguments import LocatedError
from archspec.expressions.evaluate import Budget, Env
from archspec.ir.graph import Graph, Step
from archspec.ir.infer import check_types, infer, output_types
from archspec.ir.op import Op
from archspec.ir.shape import Shape
from archspec.ir.types import ValueType
from archspec.sizes.size import Path, depends, everywhere, plain
from archspec.text.limits import Limits

Types: TypeAlias = tuple[ValueType, ...]


class Expansion(ABC):
    """The state of one expansion. `diagnostics` collects what is wrong and what to warn of."""

    def __init__(
        self, limits: Limits, diagnostics: list[Diagnostic], is_trial: bool = False
    ) -> None:
        self.limits, self.diagnostics = limits, diagnostics
        self.budget = Budget(limits)
        # Ops that are given weights, each made once.
        self.weighted: dict[Any, Op] = {}
        if is_trial:  # one of many trials: each may do a part of the work
            self.budget.steps = limits.evaluation_steps - limits.evaluation_steps // 20
        # The blocks and groups that are being expanded, the outermost first.
        self.calls: list[tuple[Span, Block | None]] = []
        # Where the calls of those blocks are written; None for a group.
        self.entered: list[Span | None] = []
        # How many repeats and branches, whose nodes join the list, are around the current node.
        self.joined = 0
        self.nodes = 0
        self.failed = False
        # Patches whose path was found, and nodes that were reported as unread.
        self.applied: set[int] = set()
        self.warned: set[Span] = set()
        # Graphs by block, arguments and input shapes, to expand each only once.
        self.graphs: dict[Any, Graph] = {}
        self.is_trial, self.retries = is_trial, 0
        # Whether an expression gives an argument that generated code can compute.
        self.computes = False
        self.ops = Ops(self.budget)
        # What was asked of sizes that depend on symbols; the node that asks, and the calls to it.
        self.path: Path | None = None
        # With symbols, which mistakes end it: all, unless sizes are sought that avoid some.
        self.ends: Callable[[Diagnostic], bool] | None = None
        self.axes: Mapping[str, Sequence[str | None]] = {}
        # Sizes of symbols that the spec declares, where they are not those that it states.
        self.sizes: Mapping[str, Any] = {}
        self.at: Span | None = None
        self.label: str | None = None
        self._inferred: dict[Any, tuple[Op, tuple[Shape, ...], Types]] = {}
        self._checked: set[Shape] = set()

    # --- nodes -----------------------------------------------------------------------------------

    @abstractmethod
    def run(self, nodes: tuple[Node, ...], site: Site) -> Refs | None:
        """The nodes of one list, in order; each reads the one before it, the first `site.start`."""

    @abstractmethod
    def node(self, node: Node, site: Site, current: Refs | None) -> Refs | None:
        """One node: its inputs, its condition, its iterations. None where it cannot be known."""

    @abstractmethod
    def iterate(
        self, node: Node, site: Site, refs: Refs | None, bound: Bindings, named: bool = False
    ) -> Refs | None:
        """The iterations of a loop, each reading the one before it.

        Those of a `named` one have no names of their own in its scope.
        """

    @abstractmethod
    def place(
        self,
        node: Node,
        site: Site,
        refs: Refs,
        bound: Bindings | list[Element] | None = None,
        anonymous: bool = False,
    ) -> Refs | None:
        """A live node, at its position in its list; patches of the position come first."""

    @abstractmethod
    def in_place(self, node: Node, site: Site, join: Callable[[], Refs | None]) -> Refs | None:
        """Lets nodes join the list, training_only where the node around them is."""

    @abstractmethod
    def read_by(self, node: Node, references: tuple[Reference, ...], site: Site) -> Refs | None:
        """The values that a node's own edges name; None (and diagnostics) where one is unknown."""

    @abstractmethod
    def put(self, live: Live, site: Site, refs: Refs, levels: Levels) -> Refs | None:
        """Makes the step of a node. None where it fails (and has been reported)."""

    @abstractmethod
    def step(self, node: Node, site: Site, refs: Refs, levels: Levels) -> Step | None:
        """The step of a node by its form. Raises `Refusal` and `LocatedError`."""

    @abstractmethod
    def resolve(
        self,
        references: tuple[Reference, ...],
        site: Site,
        own: str | None,
        may_be_none: bool = False,
    ) -> Refs | None:
        """The values that `from`, a merge or `outputs` names; None where one is unknown.

        `own` is the name of the node that reads them, as written. A reader needs a value at least,
        unless it `may_be_none`.
        """

    @abstractmethod
    def condition(self, node: Node, env: Env) -> bool | None:
        """Whether its `when`, if any, is true; None (and a diagnostic) where that is not known."""

    @abstractmethod
    def poison(self, node: Node, site: Site) -> None:
        """Counts a node whose input failed. Its readers are not reported either."""

    @abstractmethod
    def meet(self, node: Node) -> None:
        """Counts a node as work, and notes it as the one that asks of sizes."""

    @abstractmethod
    def present(self, node: Node, site: Site, current: Refs | None) -> Refs | None:
        """A node that is there, whatever its `when` says: its inputs, its iterations."""

    @abstractmethod
    def stand_for(self, node: Node, site: Site, refs: Refs | None) -> None:
        """Lets the name of a node that is not there, if it has one, stand for values."""

    @abstractmethod
    def trial(self) -> Expansion:
        """Another expansion, whose diagnostics are dropped, to try a change."""

    # --- reporting -------------------------------------------------------------------------------

    def report(self, refusal: Refusal, span: Span, trail: tuple[Note, ...] = ()) -> None:
        """A refusal becomes a diagnostic at the user's own line, inner places below it."""
        self.add(Diagnostic.of(refusal, span, trail=trail))
        if refusal.code is Code.BLOCK_CYCLE:
            raise Stop  # a block that calls itself twice would come here very many times

    def add(self, diagnostic: Diagnostic) -> None:
        """Moves a place inside a library block to the user's call, and notes the way there."""
        if diagnostic.severity == "error":
            self.failed = True
        calls = [CallSite(span, block.name if block else None) for span, block in self.calls]
        placed = located(diagnostic, calls)
        if placed not in self.diagnostics:
            self.diagnostics.append(placed)
        if self.path is None or diagnostic.severity != "error":
            return
        if self.ends is None or self.ends(placed):
            # With symbols the first such mistake alone decides which sizes meet it.
            self.path.close()
            raise Stop

    def asker(self) -> tuple[Span | None, tuple[CallSite, ...], str | None]:
        """Where the node stands that is being placed, the calls that lead to it, and its name."""
        calls = [CallSite(span, block.name if block else None) for span, block in self.calls]
        return self.at, tuple(calls), self.label

    def check_depth(self) -> None:
        """Raises `Refusal` where lists stand too deep within each other."""
        depth = len(self.calls) + self.joined
        if depth > self.limits.depth:
            self._check_recursion()
        self.limits.check("depth", depth, "the nesting of blocks and groups")

    def _check_recursion(self) -> None:
        """Raises `Refusal` where the innermost call that was entered before stands in itself."""
        calls = [(place, block) for (_, block), place in zip(self.calls, self.entered, strict=True)]
        for index in range(len(calls) - 1, -1, -1):
            place, block = calls[index]
            earlier = [i for i in range(index) if block and calls[i][0] == place]
            if block is None or not earlier:
                continue
            circle = [each.name for _, each in calls[earlier[-1] : index + 1] if each]
            raise Refusal(
                f"the block {block.name!r} calls itself, and {len(earlier) + 1} such calls within "
                "each other do not end it",
                code=Code.BLOCK_CYCLE,
                expected="a `when` on the call that becomes false: blocks and groups may stand "
                f"{self.limits.depth} deep",
                found=" → ".join(circle),
                help="count a parameter down, as in `{tree: {levels: levels - 1}, when: levels > "
                "1}`; to stack a block, write `repeat: N` beside its call",
            )

    # --- ops -------------------------------------------------------------------------------------

    def make(
        self, target: type[Op], args: Arguments, env: Env, span: Span, *more: tuple[Arguments, Env]
    ) -> Op:
        """A validated op, made once for equal arguments. Raises `LocatedError`."""
        values: dict[str, Any] = {}
        written: Arguments = {}
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
                    if argument.evaluate is None:
                        values[name] = argument.constant
                    else:
                        values[name] = argument.evaluate(scope)
                        self.computes |= target.follows
                except Refusal as refusal:
                    wrong.append(Diagnostic.of(refusal, argument.span))
                written[name] = argument
        if wrong:
            raise LocatedError(*wrong)
        return self.ops.make(target, values, written, span)

    def op_step(
        self, op: Op, b: Builder, refs: Refs, span: Span, names: tuple[str, ...] = ()
    ) -> Step:
        """The step of an op on these values. Raises `Refusal` where its shape rule does.

        `names` are those by which `from` gives the values.
        """
        if op.num_inputs == 0 and not op.variadic:
            refs = (b.batch(op.op_name),) if op.arity else ()
        shapes, given = b.read(refs)
        key = (id(op), shapes, given, names)
        made = self._inferred.get(key)
        if made is None:
            try:
                made = self._inferred[key] = self._infer(op, shapes, given, names)
            except Refusal as refusal:
                help_, message = refusal.help, refusal.message
                may_ask = self.path is None  # a help would ask more of symbols than the mistake
                if may_ask and help_ is None and refusal.code.is_shape and not span.source.library:
                    help_ = remedy(op, b, refs, refusal.code)
                if not message.startswith(op.op_name):
                    message = f"{op.op_name}: {message}"
                raise refusal.but(message, help=help_) from None
        op, outputs, types = made
        return Step("", op, None, refs, shapes, given, outputs, types, span)

    def _infer(
        self, op: Op, shapes: tuple[Shape, ...], types: Types, names: tuple[str, ...]
    ) -> tuple[Op, tuple[Shape, ...], Types]:
        """The op that reads such values, and its outputs.

        Code of a package runs only where the caller allows it.
        """
        if op.foreign is not None:
            self.limits.check_module(op.foreign)
            if self.ends is not None:
                shapes = everywhere(plain, shapes)
            elif any(depends(dim) for shape in shapes for dim in shape):
                raise Refusal(
                    f"{op.foreign} is code of another package, which runs at known sizes alone",
                    code=Code.MODULE,
                )
            op = op.reading(types, names if op.names_its_inputs else ())
        check_types(op, types)
        outputs = infer(op, shapes, self._checked)
        return op, outputs, output_types(op, shapes, types, len(outputs))
