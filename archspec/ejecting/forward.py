"""Parts of a template → the statements of `forward`, with variables as a person would name them.

The main chain is `x`, what it branches into `y` and `z`. A value that is read later again bears the
name of its node, where that is a word.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count

from archspec.ejecting.loops import Walk, header, walk
from archspec.ejecting.phrases import Phrase
from archspec.ejecting.terms import source
from archspec.folding.template import Entry, Loop, Op, Part
from archspec.folding.terms import Constant, Term
from archspec.folding.tree import INPUT, Edge
from archspec.record import Record

_GENERIC = re.compile(r"[xyz]|x\d+")
_PLACE = re.compile(r"(\{\{|\}\})|\{(\w+)\}")
_BOUND = r"(?:\w+\.shape\[\d+\])|[^\[\],:]*"
_SLICE = re.compile(rf"(?<=[\[ ])([^\[\],: ]+):({_BOUND}):1(?=[,\]])")
"""A slice that takes each element."""
_TAKEN = frozenset(("self", "torch", "nn", "F", "Tensor", "range", "enumerate", "zip", "getattr"))


class Line(Record):
    """A statement, how deep it stands in its method, and the shape of what it gives."""

    text: str
    depth: int = 0
    shape: str = ""


class Child(Record):
    """How `forward` reads a child, and whether it may be None where it is left out."""

    read: Callable[[Sequence[str]], str]
    may_be_none: bool = False


class Scope:
    """What a list of parts can see: its children, and how its terms are spelled."""

    def __init__(
        self,
        member: Callable[[Part, int, tuple[str, ...]], str],
        spell: Callable[[str], str],
        shape: Callable[[Entry], str],
        optional: Callable[[Entry], bool],
    ) -> None:
        self.member, self.spell, self.shape, self.optional = member, spell, shape, optional
        self.local: list[str] = []

    def spelled(self, name: str) -> str:
        """A name as `forward` reads it: those of loops are its own."""
        return name if name in self.local else self.spell(name)

    def source(self, term: Term, strength: int = 0) -> str:
        return source(term, self.spelled, strength)


class Writer:
    """Writes one list of parts: the whole `forward`, or what a loop repeats."""

    def __init__(
        self,
        parts: Sequence[Part],
        inputs: Mapping[int, str],
        outputs: Sequence[Edge],
        scope: Scope,
        busy: frozenset[str] = frozenset(),
        wanted: Mapping[Edge, str] | None = None,
    ) -> None:
        self.parts, self.scope, self.outputs = parts, scope, outputs
        self.values: dict[Edge, str] = {Edge(INPUT, i): name for i, name in inputs.items()}
        self.held: dict[str, Edge] = {name: edge for edge, name in self.values.items()}
        self.busy, self.wanted = busy, wanted or {}
        self.last: dict[Edge, int] = {}
        for position, part in enumerate(parts):
            for edge in part.reads:
                self.last[edge] = position
        self.last.update(dict.fromkeys(outputs, len(parts)))
        self.lines: list[Line] = []
        self.training = False

    def write(self, *, returns: bool) -> list[Line]:
        """The statements of all parts. The last one returns where it gives what the list gives."""
        for position, part in enumerate(self.parts):
            marks = part.marks if isinstance(part, Entry) else {}
            if marks.get("idle"):
                continue
            self._switch(bool(marks.get("training_only")))
            if isinstance(part, Loop):
                self._loop(position, part)
                continue
            last = returns and position == len(self.parts) - 1 and not self.training
            self._entry(position, part, last and self.outputs == (Edge(position),))
        self._switch(False)
        return self.lines

    def _switch(self, training: bool) -> None:
        if training and not self.training:
            self._line("if self.training:")
        self.training = training

    def _line(self, text: str, depth: int = 0, shape: str = "") -> None:
        inside = self.training and text != "if self.training:"
        self.lines.append(Line(text, depth + inside, shape))

    def _entry(self, position: int, entry: Entry, returns: bool) -> None:
        call = self._call(position, entry)
        if call == "{own}":
            self.values[Edge(position)] = self.scope.member(entry, position, ())
            return
        shape = self.scope.shape(entry)
        if returns and entry.when is None:
            self._line(f"return {call}", shape=shape)
            return
        targets = self._targets(position, entry)
        if entry.when is None:
            self._line(f"{', '.join(targets)} = {call}", shape=shape)
        else:
            (target,) = targets
            before = self.values[entry.reads[0]]
            condition = self._condition(position, entry)
            if target == before:
                self._line(f"if {condition}:")
                self._line(f"{target} = {call}", 1)
            else:
                self._line(f"{target} = {call} if {condition} else {before}")
        for output, target in enumerate(targets):
            self._bind(Edge(position, output), target)

    def _condition(self, position: int, entry: Entry) -> str:
        assert entry.when is not None
        if self.scope.optional(entry):
            return f"{self.scope.member(entry, position, ())} is not None"
        return self.scope.source(entry.when)

    def _call(self, position: int, entry: Entry) -> str:
        read = tuple([self.values[edge] for edge in entry.reads])
        if not isinstance(entry.content, Op):
            return f"{self.scope.member(entry, position, read)}({', '.join(read)})"
        phrase, arguments = Phrase.of(entry.content.kind), entry.content.arguments
        if phrase.call == "{own}":
            return phrase.call

        def placed(found: re.Match[str]) -> str:
            if found[1]:
                return found[1][0]
            if found[2] == "own":
                return self.scope.member(entry, position, read)
            if found[2].isdecimal():
                return read[int(found[2])]
            before = phrase.call[: found.start()].rstrip()[-1:]
            after = phrase.call[found.end() :].lstrip()[:1]
            stands_alone = before in "(,=[:" and after in "),]:"
            return self.scope.source(arguments[found[2]], 0 if stands_alone else 9)

        return _SLICE.sub(_sliced, _PLACE.sub(placed, phrase.call))

    # --- variables ----------------------------------------------------------------------------

    def _targets(self, position: int, entry: Entry) -> list[str]:
        found: list[str] = []
        for output in range(entry.outputs):
            found.append(self._target(Edge(position, output), position, entry, found))
        return found

    def _target(self, edge: Edge, position: int, entry: Entry, taken: Sequence[str]) -> str:
        def is_free(name: str) -> bool:
            held = self.held.get(name)
            done = held is None or self.last.get(held, -1) <= position
            return done and name not in self.busy and name not in taken

        if (wanted := self.wanted.get(edge)) and is_free(wanted):
            return wanted
        if entry.marks.get("size"):
            return next(n for n in _numbered("size") if is_free(n))
        if (
            edge.output == 0 == entry.outputs - 1
            and self._lives(edge, position)
            and (name := _word(entry.name))
            and is_free(name)
        ):
            return name
        for read in entry.reads:
            name = self.values[read]
            if _GENERIC.fullmatch(name) and is_free(name) and self.last[read] == position:
                return name
        if edge not in self.last and position < len(self.parts):
            return "_" if "_" not in taken else next(n for n in _numbered("_") if is_free(n))
        return next(name for name in _generic() if is_free(name))

    def _lives(self, edge: Edge, position: int) -> bool:
        """Whether a value is read later than by the next part."""
        return self.last.get(edge, -1) > position + 1

    def _bind(self, edge: Edge, name: str) -> None:
        self.values[edge] = name
        self.held[name] = edge

    # --- loops --------------------------------------------------------------------------------

    def _loop(self, position: int, loop: Loop) -> None:
        plain = walk(loop)
        if plain is Walk.SEQUENTIAL:
            read = tuple([self.values[edge] for edge in loop.reads])
            call = f"{self.scope.member(loop, position, read)}({', '.join(read)})"
            target = self._loop_target(position, loop, 0)
            self._line(f"{target} = {call}")
            self._bind(Edge(position), target)
            return
        carried = [self._carried(position, loop, number) for number in range(len(loop.reads))]
        inner = dict(enumerate(carried))
        alive = {n for n, e in self.held.items() if self.last.get(e, -1) > position}
        wanted = {edge: carried[k] for k, edge in enumerate(loop.outputs) if edge.node != INPUT}
        busy = self.busy | (alive - set(carried))
        self.scope.local += [loop.counter, *loop.lists]
        writer = Writer(loop.parts, inner, loop.outputs, self.scope, frozenset(busy), wanted)
        lines = writer.write(returns=False)
        given = [writer.values[edge] for edge in loop.outputs]
        left = [(name, value) for name, value in zip(carried, given, strict=False) if name != value]
        if left:
            lines.append(Line(f"{', '.join(n for n, _ in left)} = {', '.join(v for _, v in left)}"))
        self._line(header(loop, lines, self.scope.source))
        del self.scope.local[-1 - len(loop.lists) :]
        for line in lines:
            self._line(line.text, line.depth + 1, line.shape)
        for number, name in enumerate(carried[: len(loop.outputs)]):
            self._bind(Edge(position, number), name)

    def _loop_target(self, position: int, loop: Loop, output: int) -> str:
        named = Entry(loop.name, Op("||", {}), loop.reads, len(loop.outputs))
        return self._target(Edge(position, output), position, named, ())

    def _carried(self, position: int, loop: Loop, number: int) -> str:
        """The variable that a loop reads and gives: that of what it first reads, if it may."""
        read = loop.reads[number]
        name = self.values[read]
        is_given = number < len(loop.outputs)
        if not is_given or (self.last[read] == position and name not in self.busy):
            return name
        target = self._loop_target(position, loop, number)
        self._line(f"{target} = {name}")
        self._bind(Edge(position, number), target)
        return target


def _sliced(found: re.Match[str]) -> str:
    """A slice as formatters write it: with spaces where a bound is more than a word."""
    start, end = found[1] if found[1] != "0" else "", found[2]
    if all(re.fullmatch(r"-?\w*", bound) for bound in (start, end)):
        return f"{start}:{end}"
    return f"{start} : {end}".strip()


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(1):
        yield f"{name}{number}" if name != "_" else "_" * (number + 1)


def _generic() -> Iterator[str]:
    yield from "xyz"
    for number in count(1):
        yield f"x{number}"


def _word(name: Term | None) -> str:
    """The name of a node as a variable; an empty text where it is none."""
    if not isinstance(name, Constant):
        return ""
    word = str(name.value).rpartition(".")[2].replace("-", "_")
    fits = word.isidentifier() and word.islower() and not keyword.iskeyword(word)
    return word if fits and word not in _TAKEN and len(word) > 1 else ""
