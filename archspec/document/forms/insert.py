"""`$name` as a node: the layers that a parameter holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archspec.diagnostics.diagnostic import Code, Diagnostic, Help, Note, Refusal, Span
from archspec.diagnostics.suggestions import certain_word, suggestion
from archspec.document import wording
from archspec.document.forms.block import BlockCall
from archspec.document.forms.call import Call
from archspec.document.forms.op import OpCall
from archspec.document.records import Arguments, Form, Inputs, Layers, Parameter, Place
from archspec.document.scope import Scope, hidden_name
from archspec.expressions.arguments import Argument, LocatedError
from archspec.expressions.evaluate import Env, type_name
from archspec.ir.graph import Step
from archspec.ir.op import REGISTRY
from archspec.text.values import Scalar, Value


class Added:
    """Arguments beside `$name`. They are read when the op or block is known."""

    __slots__ = ("loops", "scope", "value")

    def __init__(self, scope: Scope, value: Value) -> None:
        self.scope, self.value, self.loops = scope, value, list(scope.loops)

    def read_for(self, call: Call) -> tuple[Arguments, list[Diagnostic]]:
        """The arguments for what `call` calls, and what is wrong with them."""
        with self._as_written() as diagnostics:
            return call.read_arguments(self.scope, self.value, edges=False), diagnostics

    @contextmanager
    def _as_written(self) -> Iterator[list[Diagnostic]]:
        """The scope as it was where they stand, with its own list of diagnostics."""
        scope, diagnostics = self.scope, list[Diagnostic]()
        saved = scope.loops, scope.diagnostics
        scope.loops, scope.diagnostics = self.loops, diagnostics
        yield diagnostics
        scope.loops, scope.diagnostics = saved


class Insert(Form):
    """Stands for what the layers parameter `word` holds: one op or block, or a list as a group."""

    __slots__ = ("added",)

    def __init__(self, parameter: str, span: Span) -> None:
        super().__init__(parameter, span)
        self.added: Added | None = None

    @classmethod
    def read(cls, scope: Scope, name: str, span: Span, value: Value | None) -> Insert | None:
        """The form for the parameter `name`; None (and a diagnostic) where it holds no layers."""
        if scope.params is not None and not _holds_layers(scope, name, span):
            return None
        scope.reads.add(name)
        form = cls(name, span)
        if value is not None and not (isinstance(value, Scalar) and value.value is None):
            form.added = Added(scope, value)
            scope.note_reads(value)
        return form

    def input_names(self, env: Env) -> Inputs | None:
        held = self._held(env)
        return held[0].input_names(held[1]) if held else None

    def output_names(self, env: Env) -> tuple[str | None, ...]:
        held = self._held(env)
        return held[0].output_names(held[1]) if held else ()

    def _held(self, env: Env) -> tuple[Form, Env] | None:
        """The form of the one node that is held, and what it sees."""
        layers = env.names.get(self.word)
        if not isinstance(layers, Layers) or not layers.is_one or not layers.nodes[0].is_bare:
            return None
        return layers.nodes[0].form, layers.env

    def step(self, place: Place) -> Step | None:
        form = self
        while True:
            layers = place.env.names.get(form.word)
            if not isinstance(layers, Layers):
                raise Refusal(
                    f"${form.word} must hold layers, and holds {type_name(layers)}",
                    code=Code.PARAMETER,
                )
            inner = place.within(layers.env)
            alone = layers.nodes[0] if layers.is_one and layers.nodes[0].is_bare else None
            if alone is None or not isinstance(alone.form, Insert) or form.added is not None:
                break
            form, place = alone.form, place.within(layers.env, alone.span)  # it holds another one
        if alone is not None and isinstance(alone.form, Call):
            return form._one(alone.form, place, inner)
        if form.added is not None:
            raise Refusal(
                f"arguments can be added to one op or block, and ${form.word} holds a list",
                code=Code.ARGUMENT,
            )
        return inner.group(layers.nodes)

    def _one(self, held: Call, place: Place, inner: Place) -> Step | None:
        """The op or block that is held, with the arguments added here, evaluated at `place`."""
        added: Arguments = {}
        if self.added is not None:
            added, errors = self.added.read_for(held)
            for diagnostic in errors:
                place.add(diagnostic)
            if errors:
                return None
        if isinstance(held, BlockCall):
            args = dict(held.args)
            for name, argument in added.items():
                if name in args:
                    raise Refusal(f"{name} is given twice: here and with the layers")
                args[name] = Argument(argument.span, argument.value(place.env))
            return inner.call(held.block, args, held.span)
        assert isinstance(held, OpCall)
        return self._op(held, place.env, inner, added)

    def _op(self, held: OpCall, here: Env, inner: Place, added: Arguments) -> Step | None:
        # What stands in another file is shown there, with a note on where it is used.
        elsewhere = not added and held.span.source != inner.span.source
        try:
            at = held.span if elsewhere else inner.span
            return inner.op(inner.make(held.op, held.args, at, added, here))
        except LocatedError as error:
            stands = Note(f"it stands for ${self.word}", inner.span)
            notes = (stands,) if elsewhere else ()
            raise LocatedError(*(each.with_notes(*notes) for each in error.diagnostics)) from None
        except Refusal as refusal:
            if not elsewhere:
                raise
            given = Note(f"${self.word} is given here", held.span)
            trail = inner.trail() if refusal.code.is_shape else ()
            diagnostic = Diagnostic.of(refusal, inner.span, trail=trail, notes=(given,))
            raise LocatedError(diagnostic) from None


def _holds_layers(scope: Scope, name: str, span: Span) -> bool:
    """Whether the name is that of a layers parameter in scope. Anything else is reported."""
    assert scope.params is not None
    declared = scope.params.get(name)
    if declared is None and name in scope.hidden:
        scope.diagnostics.append(Diagnostic.of(hidden_name(name), span))
    elif declared is None:
        layered = [p.name for p in scope.params.values() if p.type == "layers"]
        scope.report(
            Code.UNKNOWN_NAME,
            f"no parameter {name!r} is in scope",
            span,
            expected=f"one of {', '.join(f'${each}' for each in layered)}"
            if layered
            else "a parameter that holds layers",
            help=wording.unknown_layers(name, _near(name, layered, span)),
        )
    elif declared.type != "layers":
        scope.report(
            Code.PARAMETER,
            f"the parameter {name!r} holds {wording.with_article(declared.type)}, "
            "and a node needs layers",
            span,
            help=_op_default(scope, declared)
            or f"declare it as `{name}: layers`, or with an op as its default",
        )
    else:
        return True
    return False


def _near(name: str, layered: list[str], span: Span) -> Help:
    near = suggestion(name, layered, span)
    swapped = [each for each in layered if sorted(each) == sorted(name)]
    return near.or_else(f"did you mean {swapped[0]!r}?") if swapped else near


def _op_default(scope: Scope, declared: Parameter) -> str | None:
    """Help for a default that is a misspelt op, and so a text."""
    if declared.type != "str" or not isinstance(declared.value, Scalar):
        return None
    near = certain_word(declared.value.text, {*REGISTRY, *scope.known_blocks()})
    return near and f"did you mean the op? `{declared.name}: {near}`"
