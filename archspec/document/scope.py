"""One lexical scope while a document is parsed: what may be named, and where mistakes go.

Every mistake is reported to a list of diagnostics and parsing goes on, so that one pass finds all
that are independent; a graph is expanded only from a document without any.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager, suppress

from archspec.diagnostics.diagnostic import Code, Diagnostic, Edit, Help, Refusal, Span
from archspec.diagnostics.suggestions import certain_word
from archspec.document.records import Block, Form, Node, Parameter, Reference
from archspec.document.reporting import Reporter
from archspec.document.validate import Ops
from archspec.expressions.arguments import Argument, LocatedError, Reading, compile_value
from archspec.expressions.evaluate import EDGES, NUMBERS_BY_NAME
from archspec.expressions.functions import MAGIC
from archspec.expressions.names import check_node_name
from archspec.expressions.parse import parse, unknown_name
from archspec.expressions.templates import Template, inserted, template
from archspec.ir.op import Op
from archspec.text.limits import Limits
from archspec.text.values import Items, Mapping, Scalar, Value, kind, shorten

_REFERENCE = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<index>[^\[\]]*)\])?\Z")

FindBlock = Callable[[str], Block | None]


class Scope(Reporter, ABC):
    """What one list of nodes may name: a spec's own, or a block's.

    `params` are the parameters in scope (None: unknown until the nodes are placed, as in a
    patch); `find` looks a block up from this file; `reads` collects the names that are used.
    """

    def __init__(
        self,
        diagnostics: list[Diagnostic],
        limits: Limits,
        params: dict[str, Parameter] | None,
        find: FindBlock,
        known_blocks: Callable[[], Iterable[str]],
        reads: set[str],
        ops: Ops,
    ) -> None:
        self.diagnostics, self.limits, self.params = diagnostics, limits, params
        self.find, self.known_blocks, self.reads = find, known_blocks, reads
        self.ops = ops
        self.loops: list[str] = []
        self.depth = 0
        self.partial = False
        # Whether the keys that are read belong to a loop as a whole, and see none of its variables.
        self.whole_loop = False
        # The next node of the list: an op may have slipped into it.
        self.following: Value | None = None
        self.broken: Container[str] = ()
        self.lost = False
        # The input of a block that takes any number of values, which expressions count.
        self.rest: str | None = None
        # Parameters of the file around a block, which the block does not see.
        self.hidden: Container[str] = ()
        # The block or spec whose body it is, as it is written.
        self.around: Value | None = None
        # Keys of the whole file, to recognise one that stands in a node by mistake.
        self.file_keys: Container[str] = ()

    # --- nodes within nodes ----------------------------------------------------------------------

    @abstractmethod
    def nodes(self, value: Value, what: str = "layers") -> tuple[Node, ...]:
        """A list of nodes."""

    @abstractmethod
    def node(self, value: Value) -> Node | None:
        """One node; None (and a diagnostic) where it has no sound form."""

    @abstractmethod
    def node_or_list(self, value: Value, what: str) -> tuple[Node, ...]:
        """A list of nodes, or one node alone."""

    @abstractmethod
    def op_call(self, op: type[Op], span: Span, value: Value | None) -> Form:
        """An op, or what has arguments as an op has, with those that are written for it."""

    @abstractmethod
    def read_keys(self, node: Node, value: Mapping, *, in_loop: bool) -> None:
        """Reads the keys beside a form: those of each iteration, or those of the whole loop."""

    @abstractmethod
    def layers_argument(self, value: Value) -> Argument:
        """A value for a layers parameter: nodes, or `$name` of another such parameter."""

    @abstractmethod
    def is_target(self, word: str) -> bool:
        """Whether a word begins a node: an op, a block, a layers parameter, or a form's word."""

    @contextmanager
    def nested(self, span: Span) -> Iterator[None]:
        """One group deeper. Raises `LocatedError` where that is too deep."""
        try:
            self.limits.check("depth", self.depth + 1, "the nesting of groups")
        except Refusal as refusal:
            raise LocatedError(Diagnostic.of(refusal, span)) from None
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    # --- reporting -------------------------------------------------------------------------------

    def use_names(self, names: Iterable[str], span: Span, literals: Iterable[str] = ()) -> None:
        """Note the names an expression reads; report those that are not in scope.

        `literals` are the words that might stand in the place of the expression.
        """
        for name in names:
            self.reads.add(name)
            if (
                self.params is None
                or name in MAGIC
                or name == EDGES
                or name == self.rest
                or name.startswith("len(")
                or name in NUMBERS_BY_NAME
                or name in self.loops
                or name in self.params
            ):
                continue
            if name == "index":
                self.report(
                    Code.UNKNOWN_NAME,
                    "`index` is known inside a repeat only",
                    span,
                    help="it stands for the whole loop: put it on a node inside, under `layers:`"
                    if self.whole_loop
                    else "put `repeat:` on this node or around it",
                )
                continue
            if name in self.hidden:
                refusal = hidden_name(name)
                self.diagnostics.append(Diagnostic.of(refusal, span))
                continue
            refusal = unknown_name(name, [*self.params, *self.loops], sorted(literals))
            known = [*literals, *self.params, *self.loops, *MAGIC]
            edits = renamed(span, name, certain_word(name, known))
            if attribute := self._attribute(span, name):
                refusal = refusal.but(help=f"write `{attribute}`: parameters stand alone")
            self.diagnostics.append(Diagnostic.of(refusal, span, edits=edits))

    def _attribute(self, span: Span, name: str) -> str | None:
        """The parameter `width` in the text `params.width` at a place."""
        found = re.search(
            rf"\b{re.escape(name)}\.(\w+)", span.source.line(span.line)[span.column - 1 :]
        )
        return found[1] if found and found[1] in (self.params or ()) else None

    def note_reads(self, value: Value) -> None:
        """Notes the names that a value may read, before its expressions are known as such."""
        if isinstance(value, Scalar):
            if isinstance(value.value, str):
                with suppress(Refusal):
                    text = inserted(value.value) or value.value
                    self.reads.update(parse(text, self.limits).names)
        elif isinstance(value, Items):
            for item in value:
                self.note_reads(item)
        else:
            for _, _, item in value.items():
                self.note_reads(item)

    def is_name(self, value: Value) -> bool:
        """Whether a value is a name in scope, or may turn out to be one."""
        return isinstance(value, Scalar) and (
            self.params is None or value.text in self.params or value.text in self.loops
        )

    def argument(self, value: Value, kind_: Reading) -> Argument:
        """Compile a value and check its names. Raises `LocatedError` for an unsound expression."""
        compiled = compile_value(value, kind_, self.limits)
        if compiled.names:
            self.use_names(sorted(compiled.names), compiled.span, kind_.literals)
        return compiled

    def name(self, text: str, span: Span) -> Template | None:
        """A node's name, checked where it is fixed."""
        with self.reporting(span):
            parsed = template(text, self.limits)
            if parsed.is_fixed:
                check_node_name(text)
            self._template_names(parsed, span)
            return parsed
        return None

    def _template_names(self, parsed: Template, span: Span) -> None:
        for part in parsed.parts:
            if not isinstance(part, str):
                self.use_names(sorted(part.names), span)

    def references(self, value: Value, what: str) -> tuple[Reference, ...]:
        """The nodes named by `from`, a merge or `outputs`."""
        items = value.items if isinstance(value, Items) else (value,)
        found = []
        for item in items:
            if not isinstance(item, Scalar) or item.value is None or isinstance(item.value, bool):
                self.report(
                    Code.STRUCTURE,
                    f"`{what}` names nodes, and {kind(item)} is not a name",
                    item.span,
                    expected="a name, or a list of names",
                )
                continue
            reference = self.reference(item.text, item.span)
            if reference:
                found.append(reference)
        return tuple(found)

    def reference(self, text: str, span: Span) -> Reference | None:
        """One edge as written: a name, or one output of it."""
        match = _REFERENCE.match(text)
        if not match or "," in match["name"]:
            self.report(
                Code.STRUCTURE,
                f"{shorten(text)!r} names no node",
                span,
                expected="a name, name[i] for one of several outputs, or a list of them",
                help=_as_list(text, span) if "," in text else None,
            )
            return None
        with self.reporting(span):
            name = template(match["name"].strip(), self.limits)
            self._template_names(name, span)
            index = None
            if match["index"] is not None:
                index = parse(match["index"], self.limits)
                self.use_names(sorted(index.names), span)
            return Reference(name, index, span)
        return None


def _as_list(text: str, span: Span) -> Help:
    """The help for a list of names that was written as one text."""
    names = [name.strip() for name in text.strip("[]() ").split(",")]
    written = f"[{', '.join(names)}]"
    certain = all(map(str.isidentifier, names)) and span.line == span.end_line
    return Help(
        f"write a list, without quotes: {written}", (Edit(span, written),) if certain else ()
    )


def hidden_name(name: str) -> Refusal:
    """The refusal of a parameter of the file in one of its blocks."""
    return Refusal(
        f"the name {name!r} is a parameter of the file, which a block does not see",
        code=Code.UNKNOWN_NAME,
        expected="a parameter of the block, or a size of its input",
        help=f"declare {name!r} under the block's own `params:`, and give it where the block is "
        f"called: `{{{name}: {name}}}`",
    )


def renamed(span: Span, old: str, new: str | None) -> tuple[Edit, ...]:
    """The edit that replaces a name wherever it stands in a text of one line."""
    if new is None or span.line != span.end_line:
        return ()
    text = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    changed = re.sub(rf"(?<![\w.']){re.escape(old)}(?![\w'])", new, text)
    return (Edit(span, changed),) if changed != text else ()


def missing_argument(of: str, parameter: Parameter, at: Span) -> Diagnostic:
    """The diagnostic of a required parameter that nobody gave."""
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"{of} needs the argument {parameter.name!r}",
        at,
        expected=f"{parameter.name}: {parameter.type}",
        help=f"add it: `{of}: {{{parameter.name}: …}}`",
    )
