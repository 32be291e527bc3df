"""Loops of a template as Python loops."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from typing import Any

from archspec.ejecting.phrases import Phrase
from archspec.folding.template import Call, Loop, Op, Part
from archspec.folding.terms import Constant, Term
from archspec.folding.tree import Edge


class Walk(Enum):
    """How `forward` runs a loop: as one `nn.Sequential`, or step by step."""

    SEQUENTIAL = auto()
    STEPS = auto()


def walk(loop: Loop) -> Walk:
    """How `forward` runs a loop."""
    is_chain = loop.name is not None and is_sequence([loop._replace(reads=(Edge(-1),))])
    return Walk.SEQUENTIAL if is_chain else Walk.STEPS


def is_sequence(parts: Sequence[Part]) -> bool:
    """Whether parts are modules alone, each of which reads what the one before gives."""
    for position, part in enumerate(parts):
        if part.reads != (Edge(position - 1),):
            return False
        if isinstance(part, Loop):
            ends = part.outputs == (Edge(len(part.parts) - 1),)
            if not ends or not is_sequence(part.parts):
                return False
        elif part.links or part.outputs != 1 or part.marks.keys() - {"weightless"}:
            return False
        elif isinstance(part.content, Op):
            phrase = Phrase.of(part.content.kind)
            if not phrase.path or phrase.call != "{own}({0})":
                return False
        elif isinstance(part.content, Call) and len(part.content.template.inputs) != 1:
            return False
    return True


def header(loop: Loop, lines: Iterable[Any], say: Callable[[Term], str]) -> str:
    """`for index in range(4):`, `for width in widths:` or both, as far as the lines read them."""
    read = set(re.findall(r"[A-Za-z_]\w*", " ".join([line.text for line in lines])))
    return f"for {clause(loop, read, say)}:"


def clause(loop: Loop, read: Iterable[str], say: Callable[[Term], str]) -> str:
    """What stands between `for` and the colon."""
    used = {name: term for name, term in loop.lists.items() if name in read}
    counted = loop.counter in read
    if not used:
        times = loop.times or _length(loop)
        return f"{loop.counter if counted else '_'} in range({_times(times, loop, say)})"
    walked = ", ".join(map(say, used.values()))
    walked = walked if len(used) == 1 else f"zip({walked}, strict=True)"
    target = ", ".join(used)
    if counted:
        target = f"{loop.counter}, {target if len(used) == 1 else f'({target})'}"
        walked = f"enumerate({walked})"
    return f"{target} in {walked}"


def _length(loop: Loop) -> Term:
    return next(iter(loop.lists.values()))


def _times(times: Term, loop: Loop, say: Callable[[Term], str]) -> str:
    if loop.times is not None:
        return say(times)
    if isinstance(times, Constant) and isinstance(times.value, tuple):
        return str(len(times.value))
    return f"len({say(times)})"
