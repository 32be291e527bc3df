"""Patterns to the parts of templates: every column gets its term."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.folding.columns import Column, Unalike
from archspec.folding.conditions import condition
from archspec.folding.loop_scope import LoopScope
from archspec.folding.patterns import (
    CallPattern,
    GroupPattern,
    LeafPattern,
    Pattern,
    RunPattern,
    Slot,
)
from archspec.folding.scopes import Scope
from archspec.folding.template import Call, Entry, Group, Loop, Op, Part
from archspec.folding.terms import Constant, Term


class Builder:
    """Builds the parts of one class. Arguments come first: conditions are over what they name."""

    def __init__(self) -> None:
        self.arguments: dict[int, dict[str, Term]] = {}
        self.loops: list[tuple[Slot, LoopScope]] = []
        self.names: dict[int, Term] = {}
        self.when: dict[int, Term] = {}
        self.count = 0

    def parts(self, pattern: Pattern, scope: Scope) -> tuple[Part, ...]:
        """The parts of a pattern. Raises `Unalike` where something cannot be said."""
        self._say(pattern, scope, "")
        self._decide(pattern, scope)
        return self._made(pattern)

    def walked(self) -> set[str]:
        """The names of all that loops walk."""
        return {name for _, loop in self.loops for name in loop.lists}

    # arguments

    def _say(self, pattern: Pattern, scope: Scope, around: str) -> None:
        for slot in pattern.slots:
            called = _called(slot) or around
            if slot.name is not None:
                self.names[id(slot)] = self._name(slot.name, scope)
            match slot.content:
                case LeafPattern(_, arguments):
                    self.arguments[id(slot)] = {
                        name: scope.said(column, name, slot.given)
                        for name, column in arguments.items()
                    }
                case CallPattern(_, arguments, defaults):
                    self.arguments[id(slot)] = {
                        name: scope.said(column, name, slot.given)
                        for name, column in arguments.items()
                        if not column.within(defaults[name])
                    }
                case GroupPattern(inner):
                    self._say(inner, scope, called)
                case RunPattern(times, rows, inner):
                    self.count += 1
                    loop = LoopScope(scope, rows, times, f"#{self.count}")
                    self.loops.append((slot, loop))
                    self._say(inner, loop, called)

    def _name(self, column: Column, scope: Scope) -> Term:
        if column.is_constant:
            return Constant(column.first)
        if isinstance(scope, LoopScope):
            return scope.name(column)
        raise Unalike

    # conditions

    def _decide(self, pattern: Pattern, scope: Scope) -> None:
        for slot in pattern.slots:
            if slot.present is not None:
                wanted = _condition_name(slot)
                self.when[id(slot)] = condition(scope, slot.present, slot.given, wanted)
            if isinstance(slot.content, GroupPattern):
                self._decide(slot.content.inner, scope)
            elif isinstance(slot.content, RunPattern):
                self._decide(slot.content.inner, self._scope(slot))

    def _scope(self, slot: Slot) -> LoopScope:
        return next(scope for each, scope in self.loops if each is slot)

    # parts

    def _made(self, pattern: Pattern) -> tuple[Part, ...]:
        return tuple(map(self._part, pattern.slots))

    def _part(self, slot: Slot) -> Part:
        when = self.when.get(id(slot))
        arguments = self.arguments.get(id(slot), {})
        content: Op | Call | Group
        match slot.content:
            case RunPattern(times, _, inner):
                return self._loop(slot, times, inner, when)
            case LeafPattern(kind, _):
                content = Op(kind, arguments)
            case CallPattern(ready, _, _):
                content = Call(ready.template, arguments)
            case GroupPattern(inner):
                content = Group(self._made(inner), inner.outputs)
        return Entry(
            self.names.get(id(slot)),
            content,
            slot.reads,
            slot.outputs,
            when,
            slot.links,
            slot.marks,
            min(slot.passes, max(0, len(slot.reads) - 1)),
        )

    def _loop(self, slot: Slot, times: Column, inner: Pattern, when: Term | None) -> Loop:
        scope = self._scope(slot)
        count = None if scope.lists else scope.parent.said(times, "depth")
        return Loop(
            None,
            count,
            scope.lists,
            scope.counter,
            self._made(inner),
            inner.outputs,
            slot.reads,
            when,
        )


def _called(slot: Slot) -> str:
    name = slot.name
    return str(name.first) if name is not None and name.is_constant else ""


def _condition_name(slot: Slot) -> str:
    """What a parameter is called that says whether a node is there."""
    if len(slot.reads) > 1:
        return "residual"
    name = _called(slot)
    if not name.isidentifier():
        match slot.content:
            case LeafPattern(kind, _):
                name = kind
            case CallPattern(ready, _, _):
                name = ready.template.name
            case _:
                name = "layers"
    return f"has_{name}"


def given_of(rows: list[Mapping[str, object]]) -> dict[str, Column]:
    """The names that all rows know, with their values."""
    names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
    return {name: Column([row[name] for row in rows]) for name in names}
