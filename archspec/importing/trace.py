"""What a run of a module was: its calls of torch functions, and the values that went through them.

A value is one version of a tensor: a call that writes into a tensor makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Source, Span, SpecError
from archspec.record import Record

BATCH = 1009
"""The batch size of a recorded run: a prime, so that a size divisible by it holds the batch."""

DATA, LEARNED, CONSTANT, DRAWN = "data", "learned", "constant", "drawn"
"""What a value depends on: an input; parameters, but no input; neither; random numbers alone."""


class Place(Record):
    """A line of the user's Python."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def span(self) -> Span:
        """The line with its text, as far as the file can be read."""
        try:
            with open(self.file, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            text = ""
        source = Source(self.file, text)
        line = source.line(self.line)
        start = len(line) - len(line.lstrip()) + 1
        return Span(source, self.line, start, self.line, max(len(line), 1) + 1)


class Refused(SpecError):
    """What a spec cannot say. `inside` is the call of a module that does it, where it is known."""

    inside: Invocation | None = None


def refused(refusal: Refusal, place: Place | None, inside: Invocation | None = None) -> Refused:
    """The error that a refusal becomes at a line of the user's Python."""
    error = Refused([Diagnostic.of(refusal, place.span if place is not None else None)])
    error.inside = inside
    return error


def cannot(message: str, *, help: str | None = None) -> Refusal:
    """The refusal of what a spec cannot say, by code that does not know the place."""
    return Refusal(message, code=Code.IMPORT, help=help)


class Invocation:
    """One call of a module: `path` is its own, `number` counts earlier calls of the same module."""

    __slots__ = ("module", "number", "parent", "path")

    def __init__(self, module: Any, path: str, number: int, parent: Invocation | None) -> None:
        self.module, self.path, self.number, self.parent = module, path, number, parent

    def chain(self) -> Iterator[Invocation]:
        """This call and those around it, outwards."""
        each: Invocation | None = self
        while each is not None:
            yield each
            each = each.parent

    def __repr__(self) -> str:
        return f"<call {self.number} of {self.path or 'the module'}>"


class Value:
    """A version of a tensor with its real shape, in which the batch is `BATCH`.

    `source` is the call that made it, and None for inputs, parameters and buffers. `name` is that
    of an input, or the first key of a parameter or buffer. `kind` is what it depends on.
    """

    __slots__ = ("dtype", "kind", "name", "shape", "source")

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, kind: str, name: str = "", source: Any = None
    ) -> None:
        self.shape, self.dtype, self.kind, self.name, self.source = shape, dtype, kind, name, source

    @property
    def dtype_name(self) -> str:
        """The type without torch's name before it: float32, int64."""
        return str(self.dtype).removeprefix("torch.")

    def __repr__(self) -> str:
        made = self.source.name if self.source is not None else self.name or "a tensor"
        return f"<{self.kind} {self.dtype_name}{list(self.shape)} of {made}>"


class Call:
    """One call of a torch function, or of a module that is recorded as a whole.

    `args`, `kwargs` and `results` have a `Value` in the place of each tensor, within any lists,
    tuples, dicts and slices. `written` are tensors that the call wrote into: each the value before
    and the value after. `module` is the called module where it is one.
    """

    __slots__ = ("args", "function", "inside", "kwargs", "module", "name", "place", "results",
                 "written")  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        inside: Invocation,
        place: Place,
        module: Any = None,
    ) -> None:
        self.function, self.name, self.args, self.kwargs = function, name, args, kwargs
        self.inside, self.place, self.module = inside, place, module
        self.results: Any = None
        self.written: tuple[tuple[Value, Value], ...] = ()

    @property
    def reads(self) -> list[Value]:
        return list(values_in((self.args, dict(self.kwargs))))

    @property
    def made(self) -> list[Value]:
        """Every value that it made, written ones first."""
        made = [after for _, after in self.written]
        made += [each for each in values_in(self.results) if each.source is self]
        return list(dict.fromkeys(made))

    def __repr__(self) -> str:
        return f"<{self.name} at {self.place}>"


class Trace:
    """A recorded run. `outputs` is what the module returned, with values for tensors.

    `tensors` are the parameters and buffers by every key of theirs; `real` are the numbers of
    constants that no call makes, and `initial` those of parameters.
    """

    def __init__(self, training: bool) -> None:
        self.training = training
        self.calls: list[Call] = []
        self.invocations: list[Invocation] = []
        self.inputs: dict[str, Value] = {}
        self.tensors: dict[str, Value] = {}
        self.real: dict[Value, Any] = {}
        self.initial: dict[Value, Any] = {}
        self.outputs: Any = None

    def needed(self) -> list[Call]:
        """The calls on which the outputs depend, in order."""
        wanted = set(values_in(self.outputs))
        kept: list[Call] = []
        for call in reversed(self.calls):
            if any(each in wanted for each in call.made):
                kept.append(call)
                wanted.update(call.reads)
        return kept[::-1]


def values_in(structure: Any) -> Iterator[Value]:
    """All values of nested lists, tuples, dicts and slices, in order."""
    if isinstance(structure, Value):
        yield structure
    elif isinstance(structure, dict):
        for each in structure.values():
            yield from values_in(each)
    elif isinstance(structure, tuple | list):
        for each in structure:
            yield from values_in(each)
    elif isinstance(structure, slice):
        yield from values_in((structure.start, structure.stop, structure.step))


def mapped(function: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with `function` applied to what is no list, tuple, dict or slice."""
    if isinstance(structure, dict):
        return {key: mapped(function, each) for key, each in structure.items()}
    if isinstance(structure, tuple):
        inner = [mapped(function, each) for each in structure]
        named = type(structure) is not tuple and hasattr(structure, "_fields")
        return type(structure)(*inner) if named else tuple(inner)
    if isinstance(structure, list):
        return [mapped(function, each) for each in structure]
    if isinstance(structure, slice):
        return slice(*(mapped(function, each) for each in _ends(structure)))
    return function(structure)


def _ends(piece: slice) -> tuple[Any, Any, Any]:
    return piece.start, piece.stop, piece.step
