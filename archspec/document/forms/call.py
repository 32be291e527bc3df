"""Ops and blocks as they are called: a word, and arguments by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable

from archspec.diagnostics.diagnostic import Code, Diagnostic, Span
from archspec.document import wording
from archspec.document.node_keys import NODE_KEYS
from archspec.document.records import Arguments, Form
from archspec.document.scope import Scope
from archspec.text.values import Mapping, Scalar, Value, kind

NO_ARGUMENTS: Arguments = {}
"""What all calls without arguments hold: a long network has very many."""


class Call(Form):
    """An op or block with the arguments that are written for it."""

    __slots__ = ("args",)

    def __init__(self, word: str, span: Span) -> None:
        super().__init__(word, span)
        self.args = NO_ARGUMENTS

    @property
    def primary(self) -> str | None:
        """The argument that may be given alone."""
        return None

    @property
    @abstractmethod
    def known(self) -> Collection[str]:
        """The arguments that it takes."""

    @property
    @abstractmethod
    def required(self) -> Iterable[str]:
        """Those that must be given."""

    @abstractmethod
    def read_one(self, scope: Scope, name: str, value: Value) -> Arguments:
        """One argument, compiled; none (and a diagnostic) where it is not sound."""

    def unknown(self, name: str, key: Scalar, given: Mapping) -> Diagnostic:
        """The diagnostic of an argument that it does not take."""
        if name == "inputs":
            return wording.misplaced_inputs(self.word, key.span)
        return wording.unknown_argument(self.word, name, self.known, key.span, given.entries)

    def instead(self, scope: Scope, name: str, value: Value, given: Mapping | None) -> str | None:
        """What to write for a word of other libraries, where an argument is given one.

        `given` are all arguments, where they are given by name.
        """
        return None

    def read_edges(self, scope: Scope, value: Value) -> Value | None:
        """Takes the edges out of the value, and returns the rest."""
        return value

    def read_arguments(self, scope: Scope, value: Value | None, *, edges: bool = True) -> Arguments:
        """The arguments of a value; mistakes are reported. With `edges`, a merge's are taken."""
        if value is None or (isinstance(value, Scalar) and value.plain and value.value is None):
            return {}
        if edges:
            rest = self.read_edges(scope, value)
            if rest is None:
                return {}
            value = rest
        if isinstance(value, Mapping):
            return self._by_name(scope, value)
        if self.primary is not None:
            return self._read_one(scope, self.primary, value, None)
        scope.report(
            Code.ARGUMENT,
            f"{self.word} takes its arguments by name, not {kind(value)}",
            value.span,
            expected=wording.call_form(self.word, self.known),
            help=self.alone(value)
            or wording.by_name(self.word, list(self.known), list(self.required), value),
        )
        return {}

    def alone(self, value: Value) -> str | None:
        """The help for a size of the input, where no argument can be meant."""
        return None

    def _by_name(self, scope: Scope, given: Mapping) -> Arguments:
        found: Arguments = {}
        known = self.known
        for name, key, value in given.items():
            if name not in known:
                scope.diagnostics.append(self.unknown(name, key, given))
            elif isinstance(value, Scalar) and value.is_absent:
                scope.report(
                    Code.ARGUMENT,
                    f"{self.word}: {name} has no value",
                    key.span,
                    expected="a value after the colon",
                    help="write `null` where null is meant",
                )
            else:
                found.update(self._read_one(scope, name, value, given))
        return found

    def _read_one(self, scope: Scope, name: str, value: Value, given: Mapping | None) -> Arguments:
        help_ = self.instead(scope, name, value, given)
        if help_ is None:
            return self.read_one(scope, name, value)
        message = f"{self.word}: {name} cannot be {kind(value)}"
        scope.report(Code.ARGUMENT, message, value.span, help=help_)
        return {}


def misplaced(name: str, word: str, span: Span) -> Diagnostic | None:
    """The diagnostic of a node key among an op's arguments."""
    return wording.misplaced_key(word, name, span) if name in NODE_KEYS else None
