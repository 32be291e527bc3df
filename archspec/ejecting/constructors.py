"""Calls of torch's classes, of those that archspec brings, and of those of other packages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from archspec.ejecting.phrases import Phrase
from archspec.ejecting.terms import Spell, literal, source
from archspec.ejecting.view import imported
from archspec.folding.template import Op
from archspec.folding.terms import Constant, Term
from archspec.folding.tree import Value

OWN = "archspec."
_PLACE = re.compile(r"(\{\{|\}\})|\{(\w+)\}")
RESERVED = ("Tensor", "OrderedDict", "Sequence", "F", "Any", "Callable", "Main")


class Constructors:
    """Writes constructor calls, and remembers what the file must import or bring for them.

    `own` are paths of archspec's own code that the file brings. `computes_last` is true where
    weights are computed of others only when all have their first values.
    """

    def __init__(self, computes_last: bool) -> None:
        self.computes_last = computes_last
        self.own: dict[str, None] = {}
        self.others: dict[str, None] = {}
        self.reserved: Sequence[str] = RESERVED
        self.needs_ordered = self.needs_sequence = False
        self.module = nn.Module()

    def is_class(self, path: str) -> bool:
        """Whether a path is that of a class of modules."""
        return inspect.isclass(imported(path))

    def named(self, path: str) -> str:
        """How the file names what stands at a path."""
        package, _, name = path.rpartition(".")
        if package == "torch.nn":
            return f"nn.{name}"
        if path.startswith(OWN):
            self.own[path] = None
            return name
        self.others[path] = None
        return name

    def call(self, op: Op, spell: Spell) -> str:
        """Source of a new child."""
        phrase = Phrase.of(op.kind)
        if phrase.tensor:
            return self._tensor(phrase.tensor, op.arguments, spell)
        defaults, by_name = _defaults(phrase.path)
        given = {name: op.arguments[name] for name in op.arguments if name in defaults}
        if not defaults:  # the class takes any arguments
            defaults, given = dict.fromkeys(op.arguments, _REQUIRED), dict(op.arguments)
        said = []
        positional = True
        for name, default in defaults.items():
            positional &= name not in by_name
            if name not in given:
                positional = False
                continue
            text = source(given[name], spell)
            if default is _REQUIRED and positional:
                said.append(text)
            elif default is _REQUIRED or not _is(given[name], default):
                said.append(f"{name}={text}")
        return f"{self.named(phrase.path)}({', '.join(said)})"

    def _tensor(self, tensor: str, arguments: Mapping[str, Term], spell: Spell) -> str:
        def placed(found: re.Match[str]) -> str:
            return found[1][0] if found[1] else source(arguments[found[2]], spell)

        text = _PLACE.sub(placed, tensor)
        return re.sub(r"(torch\.(?:zeros|ones|empty))\(\(([^()]*[^(),]),?\)\)", r"\1(\2)", text)

    def computed(self, made: str, name: str, how: Any) -> str:
        """The statement that lets a module compute a weight."""
        path, *given = how
        arguments = [each.replace("'", '"') for each in given]
        return f"{self.named(path)}({', '.join([made, literal(name), *arguments])})"


_REQUIRED = inspect.Parameter.empty


def _defaults(path: str) -> tuple[dict[str, Any], set[str]]:
    """The parameters of a class or function, each with its default, and those given by name."""
    called = imported(path)
    classes = called.__mro__ if inspect.isclass(called) else (called,)
    for each in classes:
        parameters = inspect.signature(each).parameters
        if not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values()):
            by_name = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
            found = {name: p.default for name, p in parameters.items()}
            if each is not called:
                found.pop("mode", None)  # what a recurrent layer says to its base
            return found, by_name
    return {}, set()


def _is(term: Term, default: Any) -> bool:
    if not isinstance(term, Constant):
        return False
    value: Value = term.value
    return value == default and isinstance(value, bool) is isinstance(default, bool)
