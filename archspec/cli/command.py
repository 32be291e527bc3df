"""Commands and options as plain records: the parser and the completion scripts are made of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

from archspec.record import Record


class Arguments(SimpleNamespace):
    """What a call gives: a value for each option under its `field`, and the name of the `command`.

    `error` says how the command is used and what is wrong, and ends the program with status 2.
    """

    command: str
    error: Callable[[str], NoReturn]


class Option(Record):
    """An option of a command; or a word of it, where the name has no dashes.

    The fields are those of `argparse.add_argument`, with these differences. `type` returns None for
    a text that is not `expected`. `also` are further names, `group` is the title under which the
    help lists the option, and a call takes one only of the options that stand `alone`.
    """

    name: str
    help: str
    metavar: str | None = None
    type: Callable[[str], Any] | None = None
    expected: str = ""
    choices: tuple[str, ...] | None = None
    default: Any = None
    dest: str | None = None
    action: str | None = None
    const: Any = None
    nargs: str | None = None
    also: tuple[str, ...] = ()
    group: str | None = None
    alone: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.also)

    @property
    def field(self) -> str:
        return self.dest or self.name.lstrip("-").replace("-", "_")

    @property
    def is_word(self) -> bool:
        return not self.name.startswith("-")

    @property
    def is_switch(self) -> bool:
        return self.action in ("store_true", "store_const")

    @property
    def repeats(self) -> bool:
        return self.action == "append"


class Command(Record):
    """What the help says of a command, and what it takes. Its module has the command's name."""

    summary: str
    description: str
    examples: str
    options: tuple[Option, ...] = ()

    @property
    def flags(self) -> list[str]:
        """The names of all options."""
        return [name for option in self.options if not option.is_word for name in option.names]
