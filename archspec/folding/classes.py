"""Folds all classes of a network, those inside others first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from archspec.folding.better_names import Renamed
from archspec.folding.building import Builder, given_of
from archspec.folding.class_scope import ClassScope, kind_of
from archspec.folding.columns import ABSENT, Column, Unalike, filled
from archspec.folding.counters import with_counters
from archspec.folding.loop_scope import LoopScope
from archspec.folding.naming import Names, is_size
from archspec.folding.order import in_order
from archspec.folding.patterns import LeafPattern, Pattern, RunPattern, Slot, unified
from archspec.folding.rows import (
    CallItem,
    Content,
    GroupItem,
    Item,
    LeafItem,
    Ready,
    Row,
    RunItem,
    item_of,
)
from archspec.folding.runs import with_runs
from archspec.folding.settling import settled, settled_together
from archspec.folding.substitution import substituted
from archspec.folding.template import Parameter, Part, Template
from archspec.folding.terms import Conditional, Constant, Name
from archspec.folding.tree import INPUT, Edge, Known, Leaf, List
from archspec.folding.words import weight, words_in, words_of

MOST_LISTS = 6
"""The most lists that a loop may walk together, as a table: fewer than it has rows."""


class Classes:
    """The classes of a network while they are folded. Those in `plain` are not."""

    def __init__(self, plain: Collection[str], known: Mapping[List, Known]) -> None:
        self.plain, self.known = plain, known
        self.names = Names()
        self.calls: dict[List, tuple[Ready, int]] = {}
        self.rows: dict[tuple[List, bool], Row] = {}
        blocks: dict[str, list[List]] = {}
        for each, call in known.items():
            blocks.setdefault(call.block, []).append(each)
        for members in blocks.values():
            ready = standard([known[each] for each in members])
            self.calls.update({each: (ready, i) for i, each in enumerate(members)})

    def root(self, root: List) -> Template:
        """The template of the whole network."""
        for members in in_order(root, self.known):
            self._fold(members)
        return self._best([root], root.of or "", root.of not in self.plain).template

    def _fold(self, members: list[List]) -> None:
        """One class: as one template, or as several where its instances are too different."""
        of = members[0].of or ""
        loops = of not in self.plain
        clusters = self._clusters(members) if loops else [[each] for each in members]
        for cluster in clusters:
            ready = self._best(cluster, self.names.new(of), loops)
            for number, each in enumerate(cluster):
                self.calls[each] = ready, number

    def _clusters(self, members: list[List]) -> list[list[List]]:
        """Instances that can be folded together, the most at once."""
        if self._fits(members):
            return [members]
        alike: dict[object, list[List]] = {}
        for each in members:
            alike.setdefault((self._row(each, True).shape, each.inputs), []).append(each)
        clusters: list[list[List]] = []
        for group in alike.values():
            parts = [group] if self._fits(group) else [[each] for each in group]
            for part in parts:
                home = next((c for c in clusters if self._fits([*c, *part])), None)
                if home is None:
                    clusters.append(list(part))
                else:
                    home += part
        return clusters

    def _fits(self, members: list[List]) -> bool:
        try:
            self._best(members, "", True)
        except ValueError:
            return False
        return True

    def _best(self, members: list[List], name: str, loops: bool) -> Ready:
        """The template with loops or without them, whichever takes fewer words."""
        found = []
        plain = [self._row(member, False) for member in members]
        variants: list[Sequence[Row]] = [plain]
        if loops:
            rows = [self._row(member, True) for member in members]
            variants = [
                settled_together(rows, worth),
                [settled(row, worth, staged) for row in rows],
                plain,
            ]
            if len(members) == 1:
                del variants[0]
        for variant in variants:
            with suppress(Unalike):
                found.append(self._template(members, variant, name))
        return min(found, key=words_of)

    def _template(self, members: Sequence[List], rows: Sequence[Row], name: str) -> Ready:
        """Raises `Unalike`."""
        first = members[0]
        if any((m.inputs, m.output_names) != (first.inputs, first.output_names) for m in members):
            raise Unalike
        pattern = unified(rows)
        given = given_of([each.given for each in members])
        known = given_of([each.known for each in members])
        scope = ClassScope(len(rows), given, known, given_of([each.gives for each in members]))
        builder = Builder()
        parts = builder.parts(pattern, scope)
        if len(rows) > 1 and any(_strains(slot, loop) for slot, loop in builder.loops):
            raise Unalike
        scope.close()
        better = Renamed(scope.params, list(scope.gives.values()), builder.walked())
        parameters, values = _parameters(scope, better)
        template = Template(
            name,
            tuple(parameters),
            tuple(sorted(scope.used)),
            first.inputs,
            substituted(parts, better.terms),
            pattern.outputs,
            first.output_names,
            first.notes,
        )
        passed = [each for each in parameters if not each.derived]
        defaults = {each.name: _default(each, len(rows)) for each in passed}
        return Ready(with_counters(template), values, defaults)

    # rows

    def _row(self, found: List, loops: bool) -> Row:
        if (found, loops) not in self.rows:
            items = tuple([item_of(n, self._content(n.content, loops)) for n in found.nodes])
            row = Row(items, found.outputs)
            self.rows[found, loops] = with_runs(row, worth) if loops else row
        return self.rows[found, loops]

    def _content(self, content: Leaf | List, loops: bool) -> Content:
        if isinstance(content, Leaf):
            return LeafItem(content.kind, content.values, content.defaults)
        if content.of is None and content not in self.known:
            return GroupItem(self._row(content, loops))
        return CallItem(*self.calls[content])


def _parameters(scope: ClassScope, better: Renamed) -> tuple[list[Parameter], dict[str, Column]]:
    """The parameters by their last names, and what each instance gives for those it may give."""
    made: list[Parameter] = []
    values: dict[str, Column] = {}
    listed = {each.name: name for name, lists in better.lists.items() for each in lists}
    for each in scope.params:
        if each.name in listed:
            name = listed[each.name]
            if name not in values:
                columns = [filled(other.column).values for other in better.lists[name]]
                values[name] = Column(zip(*columns, strict=True))
                made.append(Parameter(name, kind="list"))
            continue
        term = better.terms.get(each.name, Name(each.name))
        assert isinstance(term, Name)
        default = None if each.default is None else substituted(each.default, better.terms)
        made.append(Parameter(term.name, default, each.derived, kind_of(each.column)))
        if not each.derived:
            values[term.name] = each.column
    return made, values


def standard(calls: Sequence[Known]) -> Ready:
    """A block that the writer has, with all calls of it."""
    kinds = calls[0].kinds
    names = [name for name in kinds if any(name in call.values for call in calls)]
    values = {n: Column([call.values.get(n, ABSENT) for call in calls]) for n in names}
    defaults = {
        n: Column([call.values[n] if n in call.usual else ABSENT for call in calls]) for n in names
    }
    parameters = tuple([Parameter(name, kind=kind) for name, kind in kinds.items()])
    template = Template(calls[0].block, parameters, (), ("input",), (), (), None, (), True)
    return Ready(template, values, defaults)


def _default(parameter: Parameter, size: int) -> Column:
    """The default of a parameter over all instances."""
    if isinstance(parameter.default, Constant):
        return Column([parameter.default.value] * size)
    return Column([ABSENT] * size)


def _alone(run: RunItem) -> tuple[Builder, tuple[Part, ...]]:
    """A run as the only thing of a network. Raises `Unalike`."""
    times = len(run.iterations)
    builder = Builder()
    pattern = unified(run.iterations)
    rows = tuple([(0, t) for t in range(times)])
    slot = Slot(None, None, RunPattern(Column([times]), rows, pattern), 1, {}, {})
    return builder, builder.parts(Pattern(1, (slot,), ()), ClassScope(1, {}, {}))


def worth(run: RunItem) -> float:
    """The share of its text that a loop saves; -1 where it cannot be said."""
    times = len(run.iterations)
    try:
        builder, _ = _alone(run)
    except Unalike:
        return -1.0
    lists = builder.walked()
    choices = sum(
        isinstance(t, Conditional) for a in builder.arguments.values() for t in a.values()
    )
    if len(lists) > min(MOST_LISTS, max(2, times - 1)):
        return -1.0
    if times == 2 and (lists or choices > 1 or _is_plain(run.iterations[0])):
        return -0.5
    if times > 2 and not lists and choices < 2:
        return 1.0
    full = sum(map(weight, run.iterations))
    words = max(map(weight, run.iterations)) + 2 + 3 * choices + sum(1 + times for _ in lists)
    return 1 - words / full


def staged(run: RunItem) -> RunItem:
    """A long run as stages, each of iterations with one number of channels, if that is shorter."""
    try:
        builder, parts = _alone(run)
        ((_, loop), *inner) = builder.loops
        sizes = [column for name, column in loop.walked.items() if is_size(name)]
        if inner or not sizes:
            return run
        stages: list[list[Row]] = []
        for number, row in enumerate(run.iterations):
            if number == 0 or sizes[-1].keys[number] != sizes[-1].keys[number - 1]:
                stages.append([])
            stages[-1].append(row)
        item = [Item(None, RunItem(tuple(stage)), (Edge(INPUT),), 1) for stage in stages]
        outer = RunItem(tuple([Row((each,), (Edge(0),)) for each in item]))
        _, others = _alone(outer)
    except Unalike:
        return run
    return outer if worth(outer) > -1 and words_in(others) < words_in(parts) else run


def _strains(slot: Slot, loop: LoopScope) -> bool:
    """Whether a loop of two iterations walks lists: it reads worse than what it repeats."""
    assert isinstance(slot.content, RunPattern)
    if max(loop.times.values[i] for i in loop.times.present) > 2:
        return False
    leaves = all(isinstance(each.content, LeafPattern) for each in slot.content.inner.slots)
    return bool(loop.lists) or (leaves and loop.times.is_constant)


def _is_plain(row: Row) -> bool:
    """Whether a row has no lists of its own."""
    return all(isinstance(item.content, LeafItem) for item in row.items)
