"""The children of a class by name: how its constructor makes them, and how code reads them."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Sequence

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ejecting.terms import Spell, source, text_source
from archspec.emit.children import TAKEN
from archspec.folding.terms import Constant, Name, Term, Text
from archspec.record import Record


class Unsayable(Exception):
    """What a template says has no form in Python: its class, `of`, is written in full instead."""

    def __init__(self, message: str, of: str = "") -> None:
        super().__init__(message)
        self.of = of


class Member(Record):
    """A child by its name: the holders that it is in, and the last part of its path.

    `number` is the position where the last part is one: a text of digits, or a term.
    """

    holders: tuple[str, ...]
    last: Term

    @property
    def path(self) -> str:
        """The holder's path; an empty text for the class itself."""
        return ".".join(self.holders)

    @property
    def fixed(self) -> str | None:
        """The last part, where it is the same for every instance."""
        return str(self.last.value) if isinstance(self.last, Constant) else None

    @property
    def is_number(self) -> bool:
        """Whether it counts the modules of a list."""
        if self.fixed is not None:
            return self.fixed.isdecimal()
        return not isinstance(self.last, Text)


def member(name: Term) -> Member:
    """The child of this name, which may be a path."""
    parts: list[str | Term] = [str(name.value)] if isinstance(name, Constant) else []
    if isinstance(name, Text):
        parts = list(name.parts)
    elif not parts:
        parts = [name]
    holders: list[str] = []
    if isinstance(parts[0], str):
        *holders, parts[0] = parts[0].split(".")
    rest = [part for part in parts if part != ""]
    if any(isinstance(part, str) and "." in part for part in rest):
        raise Unsayable(f"a holder's name has a number in it: {name}")
    if len(rest) == 1:
        return Member(tuple(holders), Constant(rest[0]) if isinstance(rest[0], str) else rest[0])
    return Member(tuple(holders), Text(tuple(rest)))


class Members:
    """All children of one class. `lists` are the paths of holders that count their modules."""

    def __init__(self, every: Sequence[tuple[Member, bool]]) -> None:
        held: dict[str, list[tuple[Member, bool]]] = {}
        for each, is_module in every:
            held.setdefault(each.path, []).append((each, is_module))
        holders = {
            each.holders[:depth] for each, _ in every for depth in range(len(each.holders) + 1)
        }
        self.lists: Collection[str] = {
            path
            for path, inside in held.items()
            if path
            and all(is_module and each.is_number for each, is_module in inside)
            and _in_order([each for each, _ in inside])
            and not any(".".join(h[:-1]) == path for h in holders if h)
        }
        self.made: set[str] = set()

    def holder(self, path: Sequence[str]) -> str:
        """Source of a holder."""
        made, so_far = "self", ""
        for part in path:
            made = self._of(made, part, so_far, "_modules")
            so_far = f"{so_far}.{part}" if so_far else part
        return made

    def read(self, each: Member, spell: Spell, held: str = "_modules") -> str:
        """Source that reads a child."""
        of = self.holder(each.holders)
        if each.fixed is not None:
            return self._of(of, each.fixed, each.path, held)
        if each.path in self.lists:
            return f"{of}[{source(each.last, spell)}]"
        return f"getattr({of}, {_text(each.last, spell)})"

    def _of(self, of: str, name: str, path: str, held: str) -> str:
        if path in self.lists:
            return f"{of}[{name}]"
        if name in TAKEN:
            return f'{of}.{held}["{name}"]'
        return f"{of}.{name}" if is_plain(name) else f'getattr({of}, "{name}")'

    def new_holders(self, each: Member) -> list[str]:
        """Statements that make the holders of a child that are not there."""
        lines = []
        for depth in range(1, len(each.holders) + 1):
            path = ".".join(each.holders[:depth])
            if path not in self.made:
                self.made.add(path)
                kind = "nn.ModuleList()" if path in self.lists else "nn.Module()"
                lines.append(
                    self._set(each.holders[: depth - 1], Constant(each.holders[depth - 1]), kind)
                )
        return lines

    def write(self, each: Member, value: str, spell: Spell, kind: str, more: str = "") -> str:
        """The statement that registers a child: a "module", a "parameter" or a "buffer"."""
        of = self.holder(each.holders)
        if kind == "buffer":
            return f"{of}.register_buffer({_text(each.last, spell)}, {value}{more})"
        if each.path in self.lists:
            return f"{of}.append({value})"
        return self._set(each.holders, each.last, value, spell, kind)

    def _set(
        self,
        holders: Sequence[str],
        last: Term,
        value: str,
        spell: Spell = str,
        kind: str = "module",
    ) -> str:
        of = self.holder(holders)
        name = str(last.value) if isinstance(last, Constant) else None
        if name in TAKEN:
            _check_taken(name or "")
        if name is not None and is_plain(name):
            return f"{of}.{name} = {value}"
        call = "add_module" if kind == "module" else "register_parameter"
        return f"{of}.{call}({_text(last, spell)}, {value})"


def is_plain(name: str) -> bool:
    """Whether it can be written as an attribute."""
    return name.isidentifier() and not keyword.iskeyword(name)


def _check_taken(name: str) -> None:
    if name.startswith("_") or name in ("training", "call_super_init", "dump_patches"):
        raise Refusal(
            f"torch keeps an attribute of its own under the name {name!r} of a node",
            code=Code.STRUCTURE,
            help="give the node another name",
        )


def _in_order(inside: Sequence[Member]) -> bool:
    """Whether they are appended as they are numbered."""
    place: int | None = 0
    for each in inside:
        if each.fixed is not None:
            if place is not None and int(each.fixed) != place:
                return False
            place = None if place is None else place + 1
        elif place == 0 and isinstance(each.last, Name):
            place = None
        else:
            return False
    return True


def _text(term: Term, spell: Spell) -> str:
    if isinstance(term, Constant):
        return f'"{term.value}"'
    return f'f"{text_source(term if isinstance(term, Text) else Text((term,)), spell)}"'
