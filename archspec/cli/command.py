"""Commands and options as plain records: the parser and the completion scripts are made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.record import Record


class Option(Record):
    """An option of a command; or a word of it, where the name has no dashes.

    The fields are those of `argparse.add_argument`, but for `also`, further names, `group`, the
    title under which the help lists it, and `alone`: of those options a call takes one.
    """

    name: str
    help: str
    metavar: str | None = None
    type: Callable[[str], Any] | None = None
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
