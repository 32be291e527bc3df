"""Settings: annotated attributes of a class that say all there is to say of a value.

Annotations are read when the class is made, so modules that declare settings do not postpone them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args, get_origin

from archspec.expressions.arguments import describe
from archspec.ir.fields import Bounds, leaves
from archspec.record import Record

Count: TypeAlias = Annotated[int, Bounds(ge=1)]
Natural: TypeAlias = Annotated[int, Bounds(ge=0)]
Positive: TypeAlias = Annotated[float, Bounds(gt=0)]
NotNegative: TypeAlias = Annotated[float, Bounds(ge=0)]
Fraction: TypeAlias = Annotated[float, Bounds(ge=0, lt=1)]


class ChannelStatistics(Record):
    """Mean and standard deviation of each channel (or one for all), for pixels of 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[Positive, ...]


class Setting:
    """One field: its type with bounds, its default, and a line that says what it is.

    `metavar` stands for the value in the help of its option `flag`; a field that is true or false
    has none. `choices` are what it may name, and `entries` those of them that have fields of their
    own. `may_change` says that a resumed run may have another value.
    """

    __slots__ = (
        *("annotation", "choices", "default", "doc", "entries", "flag", "may_change", "metavar"),
        *("name", "section"),
    )

    def __init__(
        self,
        default: Any,
        doc: str,
        metavar: str | None,
        choices: Mapping[str, Any] | None,
        entries: Mapping[str, type["Choice"]],
        flag: str | None,
        may_change: bool,
    ) -> None:
        self.default, self.doc, self.metavar = default, doc, metavar
        self.choices, self.entries = choices, entries
        self.flag, self.may_change = flag or "", may_change

    def __set_name__(self, owner: type["Settings"], name: str) -> None:
        self.name, self.section = name, owner.section
        self.annotation = owner.__annotations__[name]
        if isinstance(self.annotation, str):
            raise TypeError(f"`{name}`: leave out `from __future__ import annotations` here")
        self.flag = self.flag or f"--{name.replace('_', '-')}"

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it may be, where it can be nothing else."""
        if self.choices is not None:
            return tuple(self.choices)
        kinds = tuple(leaves(self.annotation))
        is_word = all(get_origin(kind) is Literal for kind in kinds)
        return tuple(word for kind in kinds for word in get_args(kind)) if is_word else ()

    @property
    def expected(self) -> str:
        """What may be given, as messages and documents say it."""
        return f"one of {', '.join(self.words)}" if self.words else describe(self.annotation)


def setting(
    default: Any,
    doc: str,
    metavar: str | None = None,
    *,
    choices: Mapping[str, Any] | None = None,
    family: type["Choice"] | None = None,
    flag: str | None = None,
    may_change: bool = False,
) -> Any:
    """Declares a field in the body of a class. Typed as any value, as its attribute is one.

    It may name any of `choices`, or any entry of a `family`.
    """
    entries = family.entries if family else {}
    return Setting(default, doc, metavar, choices or entries or None, entries, flag, may_change)


class Settings:
    """A class whose fields are settings."""

    section: ClassVar[str] = "recipe"
    """The heading that its fields have in the help of the command line."""

    own: ClassVar[Mapping[str, Setting]] = {}
    """Its fields by name, those of its bases first."""

    def __init_subclass__(cls) -> None:
        cls.own = {
            name: value
            for base in reversed(cls.__mro__)
            for name, value in vars(base).items()
            if isinstance(value, Setting)
        }


class Choice(Settings):
    """An entry that a field may name, with fields that only it has.

    A family of entries is a class with `entries`; each of its subclasses with a name is one entry,
    and there is nothing else to write for it.
    """

    entries: ClassVar[dict[str, Any]]
    name: ClassVar[str]

    def __init_subclass__(cls, name: str | None = None) -> None:
        super().__init_subclass__()
        if name is None:
            return
        if name in cls.entries:
            raise ValueError(f"there is an entry {name!r} already")
        cls.name = name
        cls.entries[name] = cls

    def __init__(self, recipe: Any) -> None:
        for name in self.own:
            setattr(self, name, getattr(recipe, name))

    def conflict(self, recipe: Any) -> str | None:
        """What of the recipe does not go with this choice; None where all does."""
        return None
