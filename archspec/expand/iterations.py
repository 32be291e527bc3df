"""Iterations of loops that are read from outside: the scope then gives several values.

While a list is placed, each such value is one more output of the loop's step. When the list is
finished, it is known which of them are read, and the loop's graph is made anew with those.
"""

from __future__ import annotations

from archspec.expand.builder import Builder
from archspec.expand.lookup import Refs
from archspec.ir.graph import INPUT, Ref, Step

Moves = dict[int, dict[int, int]]
"""For each loop, by its step, which output each of its outputs becomes."""


def settled(b: Builder, outputs: Refs) -> Refs:
    """Gives the loops of a list the outputs that are read; the list's own outputs, as they move."""
    read = _read(b, outputs)
    moves: Moves = {}
    for owner in dict.fromkeys(_owner(b.steps, loop) for loop in b.taken):
        loops = [loop for loop in b.loops if _owner(b.steps, loop) == owner]
        _settle(b, loops, read, moves)
    for step in b.steps:
        step.inputs = _moved(step.inputs, moves)
    b.taken = {}
    return _moved(outputs, moves)


def _owner(steps: list[Step], index: int) -> int:
    shares = steps[index].shares
    return index if shares is None else shares


def _read(b: Builder, outputs: Refs) -> list[set[int]]:
    """Which outputs of each step are read, by what is read itself."""
    read: list[set[int]] = [set() for _ in b.steps]
    waiting = list(outputs)
    while waiting:
        ref = waiting.pop()
        if ref.step != INPUT and ref.output not in read[ref.step]:
            if not read[ref.step]:
                waiting += b.steps[ref.step].inputs
            read[ref.step].add(ref.output)
    return read


def _settle(b: Builder, loops: list[int], read: list[set[int]], moves: Moves) -> None:
    """Makes the graphs of one module's uses anew: each gives what any of them is read for."""
    count = len(b.loops[loops[0]].own)
    own = list(range(count))
    chosen: dict[tuple[int, int], None] = {}
    for loop in loops:
        for key, position in b.taken.get(loop, {}).items():
            if b.loop or count + position in read[loop]:
                chosen.setdefault(key)
    if chosen and not b.loop:
        own = [output for output in own if any(output in read[loop] for loop in loops)]
    for loop in loops:
        scope, step = b.loops[loop], b.steps[loop]
        inner = [scope.own[output] for output in own]
        inner += [scope.iterations[number][output] for number, output in chosen]
        graph, scope.unread = scope.finish(None, tuple(inner), None)
        graph.taken = len(chosen)
        step.body, step.outputs, step.types = graph, graph.output_shapes, graph.output_types
        moves[loop] = {output: position for position, output in enumerate(own)}
        for position, key in enumerate(chosen, start=len(own)):
            if (taken := b.taken.get(loop, {}).get(key)) is not None:
                moves[loop][count + taken] = position


def _moved(refs: Refs, moves: Moves) -> Refs:
    return tuple(
        [
            ref if ref.step not in moves else Ref(ref.step, moves[ref.step].get(ref.output, 0))
            for ref in refs
        ]
    )
