"""The arguments that an op's class declares, and what may be given for them.

A class declares them as a dataclass does: annotations, with or without a default. pydantic
validates what is given (strict types, finite numbers, no unknown names), but importing it takes
longer than compiling a large network. So values that plainly fit are accepted here, and pydantic
is asked about all others. A property-based test holds that pydantic accepts the same values.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterator, Mapping
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from archspec.record import Record
from archspec.sizes.size import WHOLE, Ratio, Size, everywhere, known, plain

if TYPE_CHECKING:
    from pydantic import BaseModel

K = TypeVar("K", bound=type)
T = TypeVar("T")

REQUIRED: Final = object()
"""The default of an argument that must be given."""

MISFIT: Final = object()
"""What a `Converter` returns for a value that does not plainly fit."""

Converter: TypeAlias = Callable[[Any], Any]
"""Returns a value as the op will hold it, or `MISFIT`."""


class Bounds:
    """Bounds of a number, or the least length of a list, in `Annotated`.

    pydantic and hypothesis read it as metadata of the package `annotated_types` (it is a
    `GroupedMetadata`).
    """

    __is_annotated_types_grouped_metadata__ = True
    __slots__ = ("ge", "gt", "le", "lt", "min_length")

    def __init__(
        self,
        *,
        gt: float | None = None,
        ge: float | None = None,
        le: float | None = None,
        lt: float | None = None,
        min_length: int | None = None,
    ) -> None:
        self.gt, self.ge, self.le, self.lt, self.min_length = gt, ge, le, lt, min_length

    def __repr__(self) -> str:
        said = {name: getattr(self, name) for name in self.__slots__}
        return f"Bounds({', '.join(f'{k}={v}' for k, v in said.items() if v is not None)})"

    def __iter__(self) -> Iterator[Any]:
        import annotated_types

        yield annotated_types.Interval(gt=self.gt, ge=self.ge, le=self.le, lt=self.lt)
        if self.min_length is not None:
            yield annotated_types.MinLen(self.min_length)

    def hold(self, value: Any) -> bool:
        """Whether a value of the right type is within the bounds."""
        if self.min_length is not None:
            return len(value) >= self.min_length
        return (
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


class Field(Record):
    """One argument: its annotation (with `Annotated`), and its default or `REQUIRED`.

    `leaves` are the types and literals within the annotation.
    """

    annotation: Any
    default: Any
    take: Converter
    leaves: tuple[Any, ...]

    @property
    def is_required(self) -> bool:
        return self.default is REQUIRED


ProblemKind: TypeAlias = Literal["missing", "unknown", "wrong", "rule"]


class Problem(Record):
    """One thing that is wrong with the arguments of an op.

    `kind` is missing, unknown, wrong (the value is not of the argument's type) or rule (the op
    itself refuses it). `argument` is empty where a rule concerns several.
    """

    kind: ProblemKind
    argument: str
    message: str


class ArgumentsError(ValueError):
    """The arguments of an op are wrong; `problems` says in what."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.argument or 'arguments'}: {p.message}" for p in problems))
        self.problems = problems


def once(function: Callable[[K], T]) -> Callable[[K], T]:
    """`functools.cache` for a function of a class: mypy does not count classes as hashable."""
    known: dict[K, T] = {}

    def cached(kind: K) -> T:
        if kind not in known:
            known[kind] = function(kind)
        return known[kind]

    return cached


@once
def fields_of(kind: type) -> Mapping[str, Field]:
    """The arguments that a class and its bases declare, those of the bases first."""
    # The last annotation of a name counts. Those that a subclass replaces are not evaluated.
    declared: dict[str, tuple[str, Any]] = {}
    for base in reversed(kind.__mro__[:-1]):
        said = base.__annotations__.items()
        declared.update({name: (base.__module__, each) for name, each in said})
    facts = {name for name, (_, said) in declared.items() if _is_fact(said)}
    evaluated: dict[str, Any] = {}
    for module in {module for module, _ in declared.values()}:
        own = {n: said for n, (m, said) in declared.items() if m == module and n not in facts}
        evaluated.update(_evaluated(module, own))
    return {
        name: _field(evaluated[name], getattr(kind, name, REQUIRED))
        for name in declared
        if name not in facts and get_origin(evaluated[name]) is not ClassVar
    }


def _is_fact(said: Any) -> bool:
    """Whether an annotation is one of a class, and declares no argument."""
    return isinstance(said, str) and said.startswith("ClassVar[")


def _field(annotation: Any, default: Any) -> Field:
    parts = tuple(leaves(annotation))
    return Field(annotation, default, _accepting(annotation, parts), parts)


def _evaluated(module: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluates annotations in the module that contains them."""
    known = _EVALUATED.setdefault(module, {})
    new = {n: said for n, said in own.items() if not isinstance(said, str) or said not in known}
    hints: dict[str, Any] = {}
    if new:
        unread = type("Unread", (), {"__module__": module, "__annotations__": new})
        hints = get_type_hints(unread, include_extras=True)
        known.update({new[n]: hint for n, hint in hints.items() if isinstance(new[n], str)})
    return {n: hints[n] if n in hints else known[said] for n, said in own.items()}


_EVALUATED: dict[str, dict[str, Any]] = {}
"""Evaluated annotations by their text, for each module: many arguments are declared alike."""


def leaves(annotation: Any) -> Iterator[Any]:
    """The types and literals within an annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from leaves(get_args(annotation)[0])
    elif origin in (Union, types.UnionType, tuple, Mapping):
        for part in get_args(annotation):
            if part is not Ellipsis:
                yield from leaves(part)
    else:
        yield annotation


def taken(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all arguments, defaults included. Raises `ArgumentsError`."""
    fields = fields_of(kind)
    values: dict[str, Any] = {}
    fitting = 0
    for name, field in fields.items():
        if name not in given:
            values[name] = field.default
            plain = field.default is not REQUIRED
        else:
            values[name] = field.take(given[name])
            plain = values[name] is not MISFIT
            fitting += 1
        if not plain:
            return _validated(kind, given)
    return values if fitting == len(given) else _validated(kind, given)


# --- what plainly fits ---------------------------------------------------------------------------


def converter(annotation: Any) -> Converter:
    """A function that accepts values of a type. It may leave fitting values to pydantic."""
    return _accepting(annotation, tuple(leaves(annotation)))


def _accepting(annotation: Any, parts: tuple[Any, ...]) -> Converter:
    exact = _converter(annotation, False)
    if float not in parts:
        return exact
    widening = _converter(annotation, True)

    def take(value: Any) -> Any:
        # In a union, an exact type comes before one that an int would be widened to.
        found = exact(value)
        return widening(value) if found is MISFIT else found

    return take


def _converter(annotation: Any, widening: bool) -> Converter:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(_converter(parts[0], widening), parts[1:])
    if origin is Literal:
        return _one_of(parts)
    if origin in (Union, types.UnionType):
        return _first([_converter(part, widening) for part in parts])
    if origin is tuple:
        if len(parts) == 2 and parts[1] is Ellipsis:
            return _all(_converter(parts[0], widening))
        return _each([_converter(part, widening) for part in parts])
    if annotation is float:
        return _widened if widening else _finite
    if annotation is int:
        return lambda value: value if value.__class__ in WHOLE else MISFIT
    if annotation in (bool, str, type(None)):
        return lambda value: value if value.__class__ is annotation else MISFIT
    return lambda value: MISFIT


def _finite(value: Any) -> Any:
    if value.__class__ is Ratio:
        value = plain(value)
    return value if value.__class__ is float and math.isfinite(value) else MISFIT


def _widened(value: Any) -> Any:
    if value.__class__ is Size:
        value = plain(value)
    if value.__class__ is int and abs(value) <= 2**53:
        return float(value)
    return _finite(value)


def _bounded(take: Converter, metadata: tuple[Any, ...]) -> Converter:
    """Accepts values within the limits. Metadata of other packages is left to pydantic."""
    if len(metadata) != 1 or not isinstance(metadata[0], Bounds):
        return lambda value: MISFIT
    hold = metadata[0].hold

    def bounded(value: Any) -> Any:
        found = take(value)
        return found if found is not MISFIT and hold(found) else MISFIT

    return bounded


def _one_of(literals: tuple[Any, ...]) -> Converter:
    known = {(literal.__class__, literal) for literal in literals}

    def take(value: Any) -> Any:
        kind = value.__class__
        return value if kind in (int, bool, str) and (kind, value) in known else MISFIT

    return take


def _first(converters: list[Converter]) -> Converter:
    def take(value: Any) -> Any:
        for each in converters:
            if (found := each(value)) is not MISFIT:
                return found
        return MISFIT

    return take


def _all(take_one: Converter) -> Converter:
    def take(value: Any) -> Any:
        if value.__class__ is not tuple:
            return MISFIT
        found = tuple([take_one(item) for item in value])
        return MISFIT if MISFIT in found else found

    return take


def _each(converters: list[Converter]) -> Converter:
    def take(value: Any) -> Any:
        if value.__class__ is not tuple or len(value) != len(converters):
            return MISFIT
        found = tuple([each(item) for each, item in zip(converters, value, strict=True)])
        return MISFIT if MISFIT in found else found

    return take


# --- pydantic ------------------------------------------------------------------------------------


@once
def model(kind: type) -> type[BaseModel]:
    """The pydantic model of a class's arguments. Its JSON Schema is made from it too."""
    from pydantic import ConfigDict, create_model

    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
    fields: dict[str, Any] = {
        name: (field.annotation, ... if field.is_required else field.default)
        for name, field in fields_of(kind).items()
    }
    return create_model(kind.__name__, __config__=config, **fields)


_WRONG: Final = "wrong"
_KINDS: dict[str, ProblemKind] = {"missing": "missing", "extra_forbidden": "unknown"}
"""What pydantic calls mistakes that are not about a value."""


def _validated(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    from pydantic import ValidationError

    try:
        # pydantic knows only plain numbers.
        made = dict(model(kind)(**everywhere(known, given)))
    except ValidationError as error:
        problems: dict[str, Problem] = {}  # for a union it names each member in turn
        for each in error.errors(include_url=False, include_context=False):
            name = str(each["loc"][0])
            alone = len(each["loc"]) == 1  # and no part of the value
            said = _KINDS.get(each["type"], _WRONG) if alone else _WRONG
            before = f"{problems[name].message}; or: " if name in problems else ""
            problems[name] = Problem(said, name, f"{before}{each['msg']}")
        raise ArgumentsError(tuple(problems.values())) from None
    everywhere(plain, given)
    return made
