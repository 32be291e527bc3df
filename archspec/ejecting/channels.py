"""The channels of each value as a term, so that a constructor can be told what its module reads.

In a spec every node knows `in_channels`, the channels of what it reads. In Python somebody must say
them: they follow from the arguments of what made the value, or a variable counts them along a loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from archspec.ejecting.members import Unsayable
from archspec.ejecting.phrases import Phrase
from archspec.ejecting.terms import names
from archspec.ejecting.unrolling import replaced
from archspec.folding.template import Call, Entry, Group, Loop, Op, Parameter, Part, Template
from archspec.folding.terms import Binary, Conditional, Constant, Name, Term, Text
from archspec.folding.terms import Sequence as Items
from archspec.folding.tree import INPUT, Edge
from archspec.record import Record

IN_CHANNELS = "in_channels"
_OTHERS = re.compile(
    r"torch\.nn\.(Flatten|Unflatten|Linear|Bilinear|Embedding|Pixel\w+|Fold|Unfold|LSTM|GRU|RNN|Upsample\w+"
    r"|MultiheadAttention|Channel\w+|Softmax\w*|Zero\w*|Constant\w*|Circular\w*|Re\w+Pad\w*)\Z"
)
"""Modules whose results may have other channels than what they read, or another axis there."""
_SUM = re.compile(r"\{0\}(?: [-+*/] \{\d+\})+\Z")
_CAT = re.compile(r"torch\.cat\(\((?:\{\d+\}, )+\{\d+\}\), dim=\{dim\}\)\Z")


def follows(kind: str, arguments: Mapping[str, Any]) -> str | None:
    """How the channels of a node's value follow.

    They are its argument of this name, "same" as those of the first value that it reads, "sum" of
    those of all; None where they do not follow.
    """
    phrase = Phrase.of(kind)
    if phrase.path:
        if phrase.call != "{own}({0})":
            return None
        if "out_channels" in arguments:
            return "out_channels"
        return None if _OTHERS.match(phrase.path) or not _is_known(phrase.path) else "same"
    if phrase.tensor:
        return None
    if _SUM.match(phrase.call):
        return "same"
    one = arguments.get("dim")
    is_one = one == 1 or (isinstance(one, Constant) and one.value == 1)
    return "sum" if _CAT.match(phrase.call) and is_one else None


def _is_known(path: str) -> bool:
    return path.startswith("torch.nn.") or path.endswith((".StochasticDepth", "NormOver"))


LOST = Text(("",))
"""The channels of a value that do follow, but by no names that a constructor has."""


class Running(Record):
    """A variable that counts channels along a loop: before it, and after each iteration."""

    name: str
    start: Term
    update: Term


class Channels:
    """Gives templates whose calls say `in_channels`, from `start`, those of the network's input.

    `running` are variables of loops, by the identity of the loop.
    """

    def __init__(self, start: int) -> None:
        self.running: dict[int, Running] = {}
        self.kept: list[Loop] = []
        self.known: dict[int, tuple[Template, Template, Term | None]] = {}
        self.start = Constant(start)
        # Variables in which the loops within a loop count on.
        self.merged: set[str] = set()

    def root(self, template: Template) -> Template:
        """The template of the network."""
        return self._template(template, self.start)[0]

    def called(self, template: Template) -> tuple[Template, Term | None]:
        """A template that is called, and the channels of what it gives, by its own names."""
        if id(template) not in self.known:
            changed, out = self._template(template, Name(IN_CHANNELS))
            given = {each.name for each in changed.parameters}
            asks = IN_CHANNELS in _all_names(changed.parts, bound=False)
            asks |= any(IN_CHANNELS in names(start) for start in self._starts(changed.parts))
            asks |= any(IN_CHANNELS in names(p.default) for p in changed.parameters if p.default)
            if asks and IN_CHANNELS not in given:
                first = Parameter(IN_CHANNELS)
                changed = changed._replace(parameters=(first, *changed.parameters))
            self.known[id(template)] = template, changed, out
        _, changed, out = self.known[id(template)]
        return changed, out

    def _starts(self, parts: Sequence[Part]) -> Iterator[Term]:
        """What the variables of loops begin with."""
        for part in parts:
            if isinstance(part, Loop):
                if id(part) in self.running:
                    yield self.running[id(part)].start
                yield from self._starts(part.parts)
            elif isinstance(part.content, Group):
                yield from self._starts(part.content.parts)

    def _template(self, template: Template, start: Term) -> tuple[Template, Term | None]:
        derived: list[Parameter] = []
        outer, self.merged = self.merged, set()
        try:
            writer = _List(self, template, start, start, derived)
            parts = tuple([writer.part(number, part) for number, part in enumerate(template.parts)])
        except Unsayable as error:
            raise error if error.of else Unsayable(str(error), template.name) from error
        out = writer.of(template.outputs[0]) if len(template.outputs) == 1 else None
        self.merged = outer
        read = _all_names(parts).union(*map(names, self._starts(parts)))
        kept = [each for each in derived if each.name in read]
        if out is not None:
            for each in reversed(derived):
                assert each.default is not None
                out = replaced(out, {each.name: each.default})
        own = [each for each in template.parameters if each.name not in writer.aliases]
        return template._replace(parts=parts, parameters=(*own, *kept)), out


class _List:
    """The channels of each value of one list."""

    def __init__(
        self,
        channels: Channels,
        template: Template,
        start: Term | None,
        own: Term | None,
        derived: list[Parameter],
    ) -> None:
        self.channels, self.template = channels, template
        self.own, self.derived = own, derived
        self.variables: dict[int, str] = {}
        # Parameters that are but another name for something.
        self.aliases: Mapping[str, Term] = {
            each.name: start_of(each.default, own)
            for each in template.parameters
            if each.derived and isinstance(each.default, Name)
        }
        self.terms: dict[Edge, Term | None] = {Edge(INPUT): start}

    def _inside(self, start: Term | None) -> _List:
        made = _List(self.channels, self.template, start, self.own, self.derived)
        made.variables = self.variables
        return made

    def of(self, edge: Edge) -> Term | None:
        """The channels of a value; None where they do not follow."""
        return self.terms.get(edge)

    def part(self, number: int, part: Part) -> Part:
        """The part with its numbers, and notes what it gives."""
        read = self.of(part.reads[0]) if part.reads else None
        here = self.own if read is None else read
        if isinstance(part, Loop):
            return self._loop(number, part, here)
        values = {**self.aliases} if here is None else {**self.aliases, IN_CHANNELS: here}
        if read is LOST:
            del values[IN_CHANNELS]
            if IN_CHANNELS in _all_names([part]):
                raise Unsayable("the channels of what a node reads are not known")
        when = part.when and replaced(part.when, values)
        content, out = self._content(part, values, read)
        if LOST in (out, read):
            out = out and LOST
        if when is not None and out not in (None, LOST) and read is not None and out != read:
            out = self._named(Conditional(when, out, read))
        if part.outputs == 1:
            self.terms[Edge(number)] = out
        return part._replace(when=when, content=content)

    def _named(self, term: Term) -> Term:
        """A name for a term that is read several times, where the constructor knows its names."""
        known = {each.name for each in self.template.parameters} | {IN_CHANNELS}
        if not names(term) <= known:
            return term
        taken = known | _all_names(self.template.parts) | {each.name for each in self.derived}
        found = next((each for each in self.derived if each.default == term), None)
        if found is None:
            name = next(name for name in ("hidden", "width", "widened") if name not in taken)
            found = Parameter(name, term, derived=True)
            self.derived.append(found)
        return Name(found.name)

    def _content(
        self, entry: Entry, values: Mapping[str, Term], read: Term | None
    ) -> tuple[Op | Call | Group, Term | None]:
        content = entry.content
        if isinstance(content, Group):
            inner = self._inside(read)
            parts = tuple([inner.part(number, part) for number, part in enumerate(content.parts)])
            return Group(parts, content.outputs), inner.of(content.outputs[0])
        arguments = {key: replaced(term, values) for key, term in content.arguments.items()}
        if isinstance(content, Op):
            return Op(content.kind, arguments), self._given(entry, arguments, read)
        template, out = self.channels.called(content.template)
        is_asked = any(each.name == IN_CHANNELS for each in template.parameters)
        if is_asked and IN_CHANNELS not in arguments:
            if IN_CHANNELS not in values:
                raise Unsayable("the channels of what a block reads are not known")
            arguments = {IN_CHANNELS: values[IN_CHANNELS], **arguments}
        call = Call(template, arguments)
        return call, None if read is None or out is None else _within(out, call, read)

    def _given(self, entry: Entry, arguments: Mapping[str, Term], read: Term | None) -> Term | None:
        assert isinstance(entry.content, Op)
        how = follows(entry.content.kind, arguments)
        if how == "sum":
            terms = [self.of(edge) for edge in entry.reads]
            if LOST in terms:
                return LOST
            return None if None in terms else _sum([t for t in terms if t is not None])
        if how == "same":
            return read
        return arguments[how] if how is not None and read is not None else None

    def _loop(self, number: int, loop: Loop, start: Term | None) -> Loop:
        tracked = self.of(loop.reads[0]) if loop.reads else None
        if tracked in (None, LOST) or len(loop.reads) != 1 or len(loop.outputs) != 1:
            return self._untracked(number, loop)
        assert tracked is not None
        run = Name(self._variable(loop, tracked))
        parts, update = self._walked(loop, run)
        if update is not None and self._may_merge(parts, run, update):
            self.channels.merged.add(run.name)
            parts, update = self._walked(loop, run)
        outer = {loop.counter, *loop.lists}
        if update in (None, LOST):
            return self._untracked(number, loop)
        assert update is not None
        found: Term
        merged = run.name in self.channels.merged
        if update in (run, tracked) and not merged:
            found = out = tracked
        elif not names(update) & {*outer, run.name, *self.variables.values()}:
            first = Binary("==", Name(loop.counter), Constant(0))
            found, out = Conditional(first, tracked, update), update
        else:
            found, out = run, self._after(loop, update, run, tracked)
        if found is not run:
            parts, _ = self._walked(loop, found)
        changed = self._with_values(loop._replace(parts=parts), start)
        if found is run:
            self.channels.kept.append(changed)
            self.channels.running[id(changed)] = Running(run.name, tracked, update)
        self.terms[Edge(number)] = out
        return changed

    def _untracked(self, number: int, loop: Loop) -> Loop:
        """A loop whose variables are not counted: nothing in it may ask for channels."""
        follow = any(self.of(edge) is not None for edge in loop.reads)
        inner = self._inside(None)
        if follow:
            inner.own = None
            inner.terms = {Edge(INPUT, place): LOST for place in range(len(loop.reads))}
        parts = [inner.part(place, part) for place, part in enumerate(loop.parts)]
        for place, edge in enumerate(loop.outputs):
            self.terms[Edge(number, place)] = inner.of(edge)
        return self._with_values(loop._replace(parts=tuple(parts)), None)

    def _with_values(self, loop: Loop, start: Term | None) -> Loop:
        """The loop with what its own terms read."""
        values = {**self.aliases} if start is None else {**self.aliases, IN_CHANNELS: start}
        when, times = loop.when, loop.times
        return loop._replace(
            when=when and replaced(when, values),
            times=times and replaced(times, values),
            lists={key: replaced(each, values) for key, each in loop.lists.items()},
        )

    def _walked(self, loop: Loop, start: Term) -> tuple[tuple[Part, ...], Term | None]:
        inner = self._inside(start)
        parts = tuple([inner.part(place, part) for place, part in enumerate(loop.parts)])
        return parts, inner.of(loop.outputs[0])

    def _after(self, loop: Loop, update: Term, run: Name, start: Term) -> Term:
        """The channels after a loop, by names that are known outside."""
        inside = {loop.counter, *loop.lists}
        if isinstance(update, Binary) and update.operator == "+" and update.left == run:
            grown = update.right
            if loop.times is not None and not names(grown) & {*inside, run.name}:
                return _sum([start, _product(loop.times, grown)])
        lists: dict[str, Term] = {}
        for name, term in loop.lists.items():
            value: Any = term.value if isinstance(term, Constant) else None
            if isinstance(value, tuple):
                lists[name] = Constant(value[-1])
                lists[loop.counter] = Constant(len(value) - 1)
            elif isinstance(term, Items):
                lists[name] = term.items[-1]
                lists[loop.counter] = Constant(len(term.items) - 1)
        times: Any = loop.times.value if isinstance(loop.times, Constant) else None
        if times is not None:
            lists[loop.counter] = Constant(times - 1)
        found = replaced(update, lists)
        return run if names(found) & {*inside, run.name} else found

    def _variable(self, loop: Loop, start: Term) -> str:
        """The variable of a loop: its own, or that of the loop around it where both are merged."""
        if isinstance(start, Name) and start.name in self.channels.merged:
            return start.name
        if id(loop) not in self.variables:
            taken = {each.name for each in self.template.parameters}
            taken |= _all_names(self.template.parts) | {each.name for each in self.derived}
            taken |= {IN_CHANNELS, *self.variables.values()}
            if self.own == self.channels.start:  # the network is given no channels
                taken -= {IN_CHANNELS} - set(self.variables.values())
            self.variables[id(loop)] = next(name for name in _wanted() if name not in taken)
        return self.variables[id(loop)]

    def _may_merge(self, parts: Sequence[Part], run: Name, update: Term) -> bool:
        """Whether a loop in a loop may count on in the variable of the other.

        It begins with it and ends the iteration with its own, and nobody reads the other after it.
        """
        for position, part in enumerate(parts):
            inner = self.channels.running.get(id(part))
            if inner is not None and inner.start == run and update == Name(inner.name):
                return run.name not in _all_names(parts[position + 1 :])
        return False


def _wanted() -> Iterator[str]:
    yield from (IN_CHANNELS, "channels", "features", "num_features", "num_channels")
    for number in count(2):
        yield f"channels_{number}"


def start_of(term: Term, own: Term | None) -> Term:
    """The channels of a list's own input, where that is what a term names."""
    return own if own is not None and term == Name(IN_CHANNELS) else term


def _within(out: Term, call: Call, read: Term) -> Term | None:
    """What a called template gives, by the names of its caller."""
    values: dict[str, Term] = {IN_CHANNELS: read}
    for each in call.template.parameters:
        if each.name in call.arguments:
            values[each.name] = call.arguments[each.name]
        elif each.default is not None:
            values[each.name] = replaced(each.default, values)
    return replaced(out, values) if names(out) <= values.keys() else LOST


def _sum(terms: Sequence[Term]) -> Term:
    """The sum of terms: `2 * width` for two equal ones."""
    if len(terms) > 1 and all(term == terms[0] for term in terms):
        return _product(Constant(len(terms)), terms[0])
    total = terms[0]
    for term in terms[1:]:
        total = replaced(Binary("+", total, term), _NONE)
    return total


def _product(a: Term, b: Term) -> Term:
    return replaced(Binary("*", a, b), _NONE)


_NONE: Mapping[str, Term] = {"": Constant(None)}
"""Replaces nothing, and computes what is a number."""


def _all_names(parts: Sequence[Part], bound: bool = True) -> set[str]:
    """All names that parts read, and with `bound` those that loops give."""
    found: set[str] = set()

    def add(term: Term | None) -> None:
        if term is not None:
            found.update(names(term))

    for part in parts:
        add(part.name)
        add(part.when)
        if isinstance(part, Loop):
            add(part.times)
            for term in part.lists.values():
                add(term)
            inside = _all_names(part.parts, bound)
            found |= inside | ({part.counter, *part.lists} if bound else set())
        elif isinstance(part.content, Group):
            found |= _all_names(part.content.parts, bound)
        else:
            for term in part.content.arguments.values():
                add(term)
    return found
