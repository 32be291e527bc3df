"""The names in one class: those of its children, and of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from archspec.ejecting.channels import Running
from archspec.ejecting.constructors import Constructors
from archspec.ejecting.loops import is_sequence
from archspec.ejecting.members import Member, Members, Unsayable, is_plain, member
from archspec.ejecting.parts import class_word, is_weightless, moves, top_names, words
from archspec.ejecting.phrases import Phrase
from archspec.ejecting.terms import source
from archspec.folding.naming import Names
from archspec.folding.template import Call, Entry, Group, Loop, Op, Part, Template
from archspec.folding.terms import Constant
from archspec.folding.tree import Edge


class File(Protocol):
    """What the classes of a file share."""

    constructors: Constructors
    running: Mapping[int, Running]

    def spelled(self, template: Template) -> dict[str, str]: ...

    def name(self, template: Template) -> str: ...


class Naming:
    """The names of one class: its children, and the parameters that each method reads."""

    def __init__(self, file: File, template: Template, is_root: bool) -> None:
        self.classes, self.template = file, template
        self.spelled = file.spelled(template)
        self.stored: dict[str, str] = {}
        self.sequential = not is_root and self._is_sequential()
        self.members = Members([])
        self.found: dict[int, Member] = {}
        self.written: list[Member] = []
        if not self.sequential:
            self._find_members(template.parts, None)
            self.members = Members([(each, kind == "module") for each, kind in self.every])

    def _is_sequential(self) -> bool:
        parts = self.template.parts
        return (
            len(self.template.inputs) == 1
            and is_sequence(parts)
            and all(part.name is None for part in parts)
            and self.template.outputs == (Edge(len(parts) - 1),)
            and bool(parts)
        )

    # --- names ----------------------------------------------------------------------------------

    @property
    def every(self) -> list[tuple[Member, str]]:
        """All children, each as a "module", a "parameter" or a "buffer"."""
        return self._every

    def _find_members(self, parts: Sequence[Part], loop: Loop | None) -> None:
        if loop is None:
            self._every: list[tuple[Member, str]] = []
            self.weightless: dict[tuple[str, str], Member] = {}
            self.words = Names(top_names(parts))
        for position, part in enumerate(parts):
            if isinstance(part, Loop) and part.name is None:
                self._check_loop(part)
                self._find_members(part.parts, part)
                continue
            if isinstance(part, Entry) and part.marks.get("both_keys") and part.name is not None:
                self._every.append((member(part.name), "module"))
            kind = "module" if isinstance(part, Loop) else self.kind(part)
            if kind and is_weightless(part):
                self._name_weightless(part, loop)
            elif kind:
                name = part.name
                if name is None:
                    if loop is not None or any(moves(each) for each in parts[:position]):
                        raise Unsayable("the name of a child is its position, which is not known")
                    name = Constant(str(position))
                self.found[id(part)] = each = member(name)
                self._every.append((each, kind))

    def _name_weightless(self, part: Part, loop: Loop | None) -> None:
        """Names a module without weights, which has no key. Equal ones are one child."""
        assert isinstance(part, Entry)
        made = self.value(part.content)
        when = "" if part.when is None else source(part.when, self.spell)
        if loop is not None and {loop.counter, *loop.lists} & set(words(f"{made} {when}")):
            raise Unsayable("a module without weights that differs between iterations")
        key = (made, when)
        if key not in self.weightless:
            self.weightless[key] = each = Member((), Constant(self.words.new(class_word(made))))
            self._every.append((each, "module"))
        self.found[id(part)] = self.weightless[key]

    def _check_loop(self, loop: Loop) -> None:
        if loop.when is not None:
            raise Unsayable("a loop that may be left out")

    def kind(self, entry: Entry) -> str:
        """What an entry is in its class; an empty text for code alone."""
        if not isinstance(entry.content, Op):
            return "module"
        phrase = Phrase.of(entry.content.kind)
        if phrase.path:
            return "module" if self.classes.constructors.is_class(phrase.path) else "buffer"
        if not phrase.tensor:
            return ""
        return "parameter" if phrase.tensor.startswith("nn.Parameter(") else "buffer"

    def spell(self, name: str) -> str:
        """A parameter in the constructor."""
        return self.spelled.get(name, name)

    def stored_name(self, name: str) -> str:
        """A parameter in `forward`: an attribute, which the constructor sets."""
        if name not in self.stored:
            own = self.spell(name)
            while any(not each.holders and each.fixed == own for each, _ in self.every) or hasattr(
                self.classes.constructors.module, own
            ):
                own += "_"
            self.stored[name] = own
        return f"self.{self.stored[name]}"

    def value(self, content: Op | Call | Group) -> str:
        """Source of a new child."""
        raise NotImplementedError

    def is_optional(self, part: Part) -> bool:
        """Whether a child is None where it is left out."""
        own = self.found.get(id(part))
        return (
            part.when is not None
            and own is not None
            and not own.holders
            and own.fixed is not None
            and is_plain(own.fixed)
        )
