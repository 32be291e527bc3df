"""Tensors that are not learned: literals, and numbers that a rule gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.computed import parts
from archspec.ir.fields import Bounds, Problem
from archspec.ir.op import MAX_FLOAT, MAX_SIZE, Example, PositiveInt, ProductFree, Weight, Weights
from archspec.ir.shape import Dim, Shape
from archspec.ir.tape import Storage, Tape, Tensor, contiguous_strides
from archspec.ir.types import EVERY, ValueType
from archspec.ops.parameter import expanded
from archspec.sizes.size import everywhere, known, plain

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

Number: TypeAlias = int | float
One: TypeAlias = Number | bool
Nested: TypeAlias = (
    One | tuple[One | tuple[One | tuple[One | tuple[One, ...], ...], ...], ...]  # up to four axes
)
Sizes: TypeAlias = PositiveInt | tuple[PositiveInt, PositiveInt]

_RULES = ("arange", "eye", "tril", "linspace", "full")
_BITS = {"int64": 63, "int32": 31}


class Constant(ProductFree, name="constant", primary="value"):
    """A tensor that nothing learns and that has no batch axis: a literal, or one of five rules.

    `value` is a number, or lists of them within each other, up to four axes deep. Instead of it may
    stand `arange` (an end, or start, end and step), `linspace` (first, last, how many), `eye` and
    `tril` (one size or two; ones on the diagonal, or on and below the diagonal number `diagonal`),
    or `full` (a list of sizes, filled with `value`).

    `dtype` is that of the numbers where it is not given: `bool`, `int64` or `float`, the network's
    own precision; `eye`, `tril` and `linspace` give `float`. Rules are computed when the network
    runs, so sizes that they take from values follow the tensor. A constant has no key in the state
    dict, unless it is `persistent`: then it is a buffer. With `batch: true` it has the batch axis
    first, expanded and not copied.
    """

    value: Nested | None = None
    arange: Number | tuple[Number, Number] | tuple[Number, Number, Number] | None = None
    linspace: tuple[Number, Number, PositiveInt] | None = None
    eye: Sizes | None = None
    tril: Sizes | None = None
    diagonal: Annotated[int, Bounds(ge=-MAX_SIZE, le=MAX_SIZE)] = 0
    full: tuple[PositiveInt, ...] | None = None
    dtype: Literal["float", "int64", "int32", "bool"] | None = None
    persistent: bool = False
    batch: bool = False

    since = "0.2"
    num_inputs = 0
    takes = EVERY
    follows = True
    examples = (
        Example({"value": 2}),
        Example({"value": ((0.5, 1.0), (2.0, -1.0)), "persistent": True}),
        Example({"value": (True, False), "batch": True}, inputs=[("N", 4)]),
        Example({"arange": 5}),
        Example({"arange": (1, 8, 3), "dtype": "float", "batch": True}, inputs=[("N", 4)]),
        Example({"linspace": (0, 1, 5)}),
        Example({"eye": (2, 3), "persistent": True}),
        Example({"tril": 3, "diagonal": -1, "dtype": "bool"}),
        Example({"full": (2, 3), "value": -1, "dtype": "int32"}),
    )

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        own = vars(self)
        if self.dtype is None:
            own["dtype"] = self._natural()
        if not self.is_computed:
            own.update(everywhere(plain, dict(own)))

    @property
    def arity(self) -> int:
        return int(self.batch)

    @property
    def is_computed(self) -> bool:
        """Whether code computes it when the network runs."""
        return self.rule is not None and not self.persistent

    @property
    def gives_own(self) -> bool:
        return not (self.batch or self.is_computed)

    @property
    def keyless(self) -> bool:
        return not self.persistent

    @property
    def rule(self) -> str | None:
        """The rule that gives its numbers; None for a literal."""
        return next((name for name in _RULES if getattr(self, name) is not None), None)

    def _natural(self) -> str:
        """The type of its numbers, as torch sees them."""
        if self.rule in ("eye", "tril", "linspace"):
            return "float"
        numbers = tuple(parts(self.arange if self.rule == "arange" else self.value))
        if all(number.__class__ is bool for number in numbers):
            return "bool"
        return "float" if any(number.__class__ is float for number in numbers) else "int64"

    # What is wrong with the arguments

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        rules = [name for name in _RULES if getattr(self, name) is not None]
        if len(rules) > 1:
            yield Problem("rule", rules[1], f"`{rules[0]}` says the numbers already")
        elif self.value is None and (not rules or self.full is not None):
            what = "the number that fills it" if rules else f"`value`, or {', '.join(_RULES)}"
            yield Problem("rule", "", f"give `value`, {what}" if rules else f"give {what}")
        elif self.value is not None and rules and self.full is None:
            yield Problem("rule", "value", f"`{rules[0]}` says the numbers already")
        elif self.full is not None and self.value.__class__ is tuple:
            yield Problem("rule", "value", "`full` is filled with one number")
        else:
            yield from self._problems_of_numbers(given)

    def _problems_of_numbers(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if "diagonal" in given and self.tril is None:
            yield Problem("rule", "diagonal", "`tril` alone has a diagonal to count")
        if self.value is not None and self.full is None and _shape_of(self.value) is None:
            yield Problem("rule", "value", "its lists differ in length: they make no tensor")
        kind = self.dtype or self._natural()
        if self.linspace is not None and kind != "float":
            yield Problem("rule", "dtype", "`linspace` gives floats")
        if self.arange is not None:
            if self._range()[2] == 0:
                yield Problem("rule", "arange", "its step is 0")
            if kind == "bool":
                yield Problem("rule", "dtype", "`arange` gives numbers")
        for number in map(known, parts(tuple(getattr(self, n) for n in _NUMBERS))):
            if number is not None and (said := _unfit(number, kind)):
                yield Problem("rule", "", said)
                return

    # Shape and type

    def infer(self, *inputs: Shape) -> Shape:
        shape = self._own_shape()
        return (inputs[0][0], *shape) if self.batch else shape

    def _own_shape(self) -> Shape:
        if self.arange is not None:
            return (_count(*self._range()),)
        if self.linspace is not None:
            return (self.linspace[2],)
        square = self.eye if self.eye is not None else self.tril
        if square is not None:
            return square if isinstance(square, tuple) else (square, square)
        return self.full if self.full is not None else _shape_of(self.value) or ()

    def _range(self) -> tuple[Any, Any, Any]:
        """Start, end and step of `arange`."""
        stated = self.arange if isinstance(self.arange, tuple) else (0, self.arange)
        return (*stated, 1)[:3]

    def result_type(self, *types: ValueType) -> ValueType:
        assert self.dtype is not None
        return ValueType(self.dtype, self._below() if self.dtype in _BITS else None)

    def _below(self) -> int | None:
        """The number above all of them; None where one is below 0."""
        if self.arange is not None:
            start, end, step = self._range()
            if {start.__class__, end.__class__, step.__class__} & {float}:
                return None
            last = start + (_count(start, end, step) - 1) * step
            least, most = (start, last) if step > 0 else (last, start)
        elif self.eye is not None or self.tril is not None:
            return 2
        else:
            numbers = [int(n) if n.__class__ is float else n for n in parts(self.value)]
            least, most = min(numbers), max(numbers)
        return None if least < 0 else most + 1

    def weights(self, *inputs: Shape) -> Weights:
        if not self.persistent:
            return ()
        kind = self.result_type()._replace(below=None)
        return (Weight("", self._own_shape(), buffer=True, type=kind),)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        shape, kind = self._own_shape(), self.result_type()
        if self.is_computed:
            own = tape.new(shape, requires_grad=False, type=kind)
        else:
            kept = Storage(0, is_weight=True)
            own = Tensor(shape, contiguous_strides(shape), kept, requires_grad=False, type=kind)
        return tapes.spread(own, inputs[0].shape[0]) if self.batch else own

    # The tensor

    def build(self, *inputs: Shape) -> TorchTensor:
        import torch

        from archspec.runtime.values import dtype_of

        dtype = torch.get_default_dtype() if self.dtype == "float" else dtype_of(self.result_type())
        if self.is_computed:
            return torch.empty(0, dtype=dtype)  # code asks it for its type and device
        if self.rule is None:
            return torch.tensor(self.value, dtype=dtype)
        name, arguments = self._made()
        make: Callable[..., TorchTensor] = getattr(torch, name)
        made = make(*arguments, dtype=dtype)
        return made.tril(self.diagonal) if self.tril is not None else made

    def _made(self) -> tuple[str, Sequence[Any]]:
        """A function of torch and what it is called with."""
        if self.arange is not None:
            start, end, step = self._range()
            return "arange", (end,) if (start, step) == (0, 1) else (start, end, step)
        if self.linspace is not None:
            return "linspace", self.linspace
        if self.full is not None:
            return "full", (self.full, self.value)
        return ("eye" if self.eye is not None else "ones"), self._own_shape()

    def tensor_source(self) -> str:
        # Without a type it is torch's default one, as for all floats of a network.
        dtype = "torch.get_default_dtype()" if self.dtype == "float" else f"torch.{self.dtype}"
        if self.is_computed:
            return f"torch.empty(0, dtype={dtype})"
        if self.rule is None:
            return f"torch.tensor({_source(self.value)}, dtype={dtype})"
        name, arguments = self._made()
        made = f"torch.{name}({', '.join(map(_source, arguments))}, dtype={dtype})"
        return f"{made}.tril({self.diagonal or ''})" if self.tril is not None else made

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        made = own
        if self.is_computed:
            name, arguments = self._made()
            said = ", ".join(map(_source, arguments))
            made = f"torch.{name}({said}, dtype={own}.dtype, device={own}.device)"
            if self.tril is not None:
                made += f".tril({self.diagonal or ''})"
        return expanded(made, values[0], len(self._own_shape())) if self.batch else made


_NUMBERS = ("value", "arange", "linspace")


def _shape_of(value: Any) -> Shape | None:
    """The shape of lists within each other; None where they make no tensor."""
    if value.__class__ is not tuple:
        return ()
    inner = {_shape_of(item) for item in value}
    if len(inner) != 1:
        return None if inner else (0,)
    (shape,) = inner
    return None if shape is None else (len(value), *shape)


def _count(start: Any, end: Any, step: Any) -> Dim:
    """How many numbers `arange` gives, by torch's rule."""
    if float in (start.__class__, end.__class__, step.__class__):
        count = (plain(end) - plain(start)) / plain(step)
        if math.isinf(count):
            raise Refusal(
                f"a step of {plain(step)} makes more numbers of `arange` than can be counted",
                code=Code.LIMIT,
            )
        return cast(Dim, math.ceil(count))
    if step < 0:
        start, end, step = -start, -end, -step
    return cast(Dim, -(-(end - start) // step))


def _unfit(number: Any, kind: str) -> str | None:
    """Why a number is none of a type; None where it is."""
    if kind in _BITS:
        whole = number.__class__ is not float or number.is_integer()
        bits = _BITS[kind]
        if whole and -(2**bits) <= number < 2**bits:
            return None
        return f"{number} is no whole number that {kind} can hold"
    if kind == "bool":
        return None if number in (0, 1) else f"{number} is no truth value"
    return None if abs(number) <= MAX_FLOAT else f"{number} is more than float32 can hold"


def _source(value: Any) -> str:
    """A number or a tuple of numbers as code: one that code computes shows its own source."""
    if value.__class__ is tuple:
        return f"({', '.join(map(_source, value))}{',' * (len(value) == 1)})"
    return repr(value)
