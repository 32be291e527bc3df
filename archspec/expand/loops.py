"""What a loop binds in each of its iterations."""

from __future__ import annotations

from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.records import Repeat
from archspec.expressions.arguments import found_value
from archspec.expressions.evaluate import Env
from archspec.sizes.size import plain
from archspec.text.limits import Limits


def bindings(repeat: Repeat, env: Env, limits: Limits) -> list[dict[str, Any]]:
    """`index`, and what each loop variable is, an iteration an entry. Raises `Refusal`."""
    if repeat.times is not None:
        times = plain(repeat.times.value(env))
        _check_times(times, repeat.times.evaluate is None, repeat.word, limits)
        env.budget.count(times)
        return [{"index": index} for index in range(times)]
    lists: dict[str, Any] = {}
    for name, argument in repeat.variables:
        value = plain(argument.value(env))
        if value.__class__ is int:
            _check_times(value, argument.evaluate is None, repeat.word, limits)
            value = tuple(range(value))
        if not isinstance(value, tuple):
            raise Refusal(
                f"{name!r} walks a list, got {found_value(value)}",
                code=Code.REPEAT,
                expected="a list, or a count",
            )
        lists[name] = value
    count = _common_length(lists)
    limits.check("repeat", count, "the number of iterations")
    env.budget.count(count * (1 + len(lists)))
    return [
        {"index": index, **{name: value[index] for name, value in lists.items()}}
        for index in range(count)
    ]


def _common_length(lists: dict[str, tuple[Any, ...]]) -> int:
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        raise Refusal(
            "lists that are walked together have one length",
            code=Code.REPEAT,
            found=", ".join(f"{name} has {length}" for name, length in lengths.items()),
        )
    return next(iter(lengths.values()))


def _check_times(times: Any, literal: bool, word: str, limits: Limits) -> None:
    if times.__class__ is not int:
        is_list = isinstance(times, tuple)
        raise Refusal(
            f"a {word} counts in whole numbers, got {found_value(times)}",
            code=Code.REPEAT,
            help=f"name its elements: `{word}: {{item: …}}`"
            if is_list
            else "divide with // to stay with whole numbers"
            if times.__class__ is float
            else None,
        )
    if times < 0 or (times == 0 and literal):
        raise Refusal(
            f"a {word} of {times}",
            code=Code.REPEAT,
            expected="at least 1 (an expression may give 0: then the node passes its input on)",
            help="leave a node out with `when: false`",
        )
    limits.check("repeat", times, "the number of iterations")
