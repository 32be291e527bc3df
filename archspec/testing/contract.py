"""Strategies that draw calls of ops, and whole specs, for hypothesis, and checks of both.

For tests of archspec, and of ops that others add to it. Needs `hypothesis`, which the extra `dev`
installs. A whole property-based test of an op:

    from hypothesis import given
    from archspec import testing

    @given(testing.op_calls("layer_norm"))
    def test_layer_norm(call):
        testing.check_call(call)
"""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from itertools import product
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from torch import Tensor, nn

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.emit import namespace
from archspec.ir import tape as tapes
from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer, infer_types
from archspec.ir.op import REGISTRY, Example, Op, Weight
from archspec.ir.shape import N, Shape, concrete, is_batched
from archspec.ir.tape import Sizes, Storage, Tape
from archspec.ir.types import FLOAT, PRECISION, ValueType
from archspec.runtime.measure import as_weight, measure_macs, measure_saved_bytes, weights_of
from archspec.runtime.values import drawn, dtype_of, name_of

RULES = frozenset(
    {Code.DTYPE, Code.EMPTY, Code.LIMIT, Code.MIXES_BATCH, Code.SINGLE_VALUE, Code.UNBATCHED}
)
"""Codes of the documented rules, which may refuse what torch would run."""

BATCH_SIZES = (2, 3, 5)
"""The batch sizes at which every accepted call must run."""

FAILURES = (
    AssertionError,
    LookupError,
    Refusal,
    RuntimeError,
    TypeError,
    ValueError,
    ZeroDivisionError,
)
"""What torch raises where a module cannot be built or run, and what building raises."""


# Calls --------------------------------------------------------------------------------------------


class OpCase(NamedTuple):
    """An op with its arguments and the shapes that it is to read (`N` for the batch).

    Without `types` it reads floats.
    """

    op: Op
    inputs: tuple[Shape, ...]
    types: tuple[ValueType, ...] = ()

    @property
    def input_types(self) -> tuple[ValueType, ...]:
        """A type for each input."""
        return self.types or (FLOAT,) * len(self.inputs)


def op_calls(name: str | None = None) -> SearchStrategy[OpCase]:
    """Calls of the op `name` (of any op, where None), valid for its schema, legal or not.

    Arguments come from the op's fields and their limits, shapes from its examples: other sizes,
    other ranks, a missing batch axis. Equal sizes of an example mostly stay equal, so that ops
    which compare their inputs often accept.
    """
    names = st.sampled_from(sorted(REGISTRY)) if name is None else st.just(name)
    return names.flatmap(lambda chosen: _calls(REGISTRY[chosen]))


def examples(name: str) -> Iterator[OpCase]:
    """The op's own examples."""
    for example in REGISTRY[name].examples:
        yield OpCase(REGISTRY[name](**example.args), _shapes(example), example.input_types)


@st.composite
def _calls(draw: DrawFn, kind: type[Op]) -> OpCase:
    example = draw(st.sampled_from(kind.examples))
    inputs = draw(_similar_shapes(_shapes(example)))
    types = example.input_types
    if draw(st.integers(0, 3)) == 0:
        names = st.sampled_from(sorted(kind.takes))
        types = tuple([ValueType(draw(names)) for _ in types])
    made = kind(**example.args)
    if made.foreign is not None:  # its fields name code, which is not drawn
        return OpCase(made.reading(types, ()), inputs, types)
    with suppress(ArgumentsError):  # the fields are fine one by one, and not together
        made = kind(**draw(_arguments(kind, example)))
    wanted = 2 if made.arity is None else made.arity
    if made.variadic and len(inputs) < wanted:
        more = wanted - len(inputs)
        inputs, types = (*inputs, *inputs[-1:] * more), (*types, *types[-1:] * more)
    return OpCase(made, inputs[: made.arity], types[: made.arity])


def _shapes(example: Example) -> tuple[Shape, ...]:
    return tuple(tuple(N if dim == "N" else dim for dim in shape) for shape in example.inputs)


@st.composite
def _similar_shapes(draw: DrawFn, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    if draw(st.booleans()):
        sizes = {dim for shape in shapes for dim in shape if dim is not N and dim != 1}
        other = {size: draw(st.integers(1, 9)) for size in sorted(sizes)}
        shapes = tuple(tuple(other.get(dim, dim) for dim in shape) for shape in shapes)
    return tuple([draw(_similar_shape(shape)) for shape in shapes])


@st.composite
def _similar_shape(draw: DrawFn, shape: Shape) -> Shape:
    match draw(st.sampled_from(["as it is"] * 5 + ["size", "longer", "shorter", "no batch"])):
        case "size" if len(shape) > 1:
            position = draw(st.integers(1, len(shape) - 1))
            return (*shape[:position], draw(st.integers(1, 9)), *shape[position + 1 :])
        case "longer" if len(shape) < 5:
            return (*shape, draw(st.integers(1, 4)))
        case "shorter" if len(shape) > 1:
            return shape[:-1]
        case "no batch" if is_batched(shape):
            return (draw(st.integers(1, 3)), *shape[1:])
    return shape


def _arguments(kind: type[Op], example: Example) -> SearchStrategy[dict[str, Any]]:
    """The example's arguments, with some of the op's fields drawn anew, or all of them drawn."""
    fields = {name: _values(field.annotation) for name, field in kind.fields().items()}
    required = {name: fields[name] for name, field in kind.fields().items() if field.is_required}
    optional = {name: values for name, values in fields.items() if name not in required}
    some = st.fixed_dictionaries({}, optional=fields).map(lambda drawn: {**example.args, **drawn})
    return some | st.fixed_dictionaries(required, optional=optional)


def _values(annotation: Any, metadata: Sequence[Any] = ()) -> SearchStrategy[Any]:
    """Small values of a field's type, within its limits."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(parts[0], [*parts[1:], *metadata])
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(part, metadata) for part in parts))
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        if parts[-1] is Ellipsis:
            least = max((m.min_length for m in metadata if hasattr(m, "min_length")), default=0)
            return st.lists(_values(parts[0]), min_size=least, max_size=4).map(tuple)
        return st.tuples(*map(_values, parts))
    if annotation in (None, type(None)):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is str:  # an equation of axes with letters
        return st.text("hijn,->", max_size=12)
    if annotation is int:
        least, most = _range(metadata, -4, 6)
        return st.integers(math.ceil(least), math.floor(most))
    if annotation is float:
        least, most = _range(metadata, -2.0, 2.0)
        return st.sampled_from([least, most, 1.0, 0.5]) | st.floats(least, most, width=32)
    raise TypeError(f"cannot draw values of {annotation}; say how in archspec.testing")


def _range(metadata: Sequence[Any], least: float, most: float) -> tuple[float, float]:
    """The span from `least` to `most`, narrowed to the limits."""
    step = 1 if isinstance(least, int) else 2**-10
    for limit in metadata:
        said = {name: getattr(limit, name, None) for name in ("ge", "gt", "le", "lt")}
        least = max([least, *_known(said["ge"], 0), *_known(said["gt"], step)])
        most = min([most, *_known(said["le"], 0), *_known(said["lt"], -step)])
    return least, most


def _known(bound: float | None, step: float) -> list[float]:
    return [] if bound is None else [bound + step]


# Runs ---------------------------------------------------------------------------------------------

Layout: TypeAlias = Literal["row-major", "channels-last", "part"]
"""How an input lies in memory: plainly, with axis 1 innermost, or as half of a larger tensor."""


class SeenOutput(NamedTuple):
    """What is seen of an output: strides are 0 where a size is 1, for there they mean nothing.

    `input` is the position of the input whose storage it looks at, None where it has its own.
    """

    shape: Sizes
    type: str
    strides: Sizes
    requires_grad: bool
    input: int | None


class OnePass(NamedTuple):
    """One forward pass: its outputs, and the bytes that autograd saved in it.

    Parameters and buffers are no part of the saved bytes.
    """

    outputs: tuple[SeenOutput, ...]
    saved_bytes: int


def real_call(
    call: OpCase,
    batch: int,
    training: bool = True,
    layout: Layout = "row-major",
    requires_grad: bool = True,
    dtype: str = PRECISION,
    frozen: bool = False,
) -> OnePass:
    """Builds the op with torch and runs it on the CPU. Raises what torch raises."""
    shapes = [concrete(shape, batch) for shape in call.inputs]
    values = [
        _tensor(shape, layout, kind, dtype).requires_grad_(requires_grad and kind.is_float)
        for shape, kind in zip(shapes, call.input_types, strict=True)
    ]
    with _quiet():
        forward, owned = _built(call, training, dtype)
        for each in owned if frozen else ():
            each.requires_grad_(False)
        result, saved = measure_saved_bytes(lambda: forward(*values), owned)
    outputs = [result] if isinstance(result, Tensor) else result
    addresses = [value.untyped_storage().data_ptr() for value in values]
    return OnePass(tuple(_seen(output, addresses, dtype) for output in outputs), saved)


def recorded_call(
    call: OpCase,
    batch: int,
    training: bool = True,
    layout: Layout = "row-major",
    requires_grad: bool = True,
    dtype: str = PRECISION,
    frozen: bool = False,
) -> OnePass:
    """The same pass as the op records it on the tape, without torch's help."""
    tape = Tape(training, dtype)
    tape.frozen = frozen
    values = [
        _recorded_input(concrete(shape, batch), layout, kind, requires_grad, dtype)._replace(
            batched=is_batched(shape)
        )
        for shape, kind in zip(call.inputs, call.input_types, strict=True)
    ]
    result = call.op.record(tape, *values)
    outputs = result if isinstance(result, list) else [result]
    storages = [value.storage for value in values]
    return OnePass(
        tuple(
            SeenOutput(
                y.shape,
                y.type.name,
                _plain_strides(y.shape, y.strides),
                y.requires_grad,
                storages.index(y.storage) if y.storage in storages else None,
            )
            for y in outputs
        ),
        tape.saved_bytes,
    )


def real_macs(call: OpCase, batch: int, dtype: str = PRECISION) -> int:
    """Multiply-accumulates of the whole batch, as torch's counter counts them, in eval()."""
    values = drawn_inputs(call, batch, dtype)
    with _quiet():
        forward, _ = _built(call, False, dtype)
        return measure_macs(lambda: forward(*values))


def drawn_inputs(call: OpCase, batch: int, dtype: str = PRECISION) -> list[Tensor]:
    """Values that the call may read, row-major."""
    return [
        drawn(kind, concrete(shape, batch), precision=dtype)
        for shape, kind in zip(call.inputs, call.input_types, strict=True)
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence: torch warns of some ranks that it takes all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _built(call: OpCase, training: bool, dtype: str) -> tuple[Callable[..., Any], list[Tensor]]:
    """The op as a function of tensors, and the tensors that it owns."""
    built = _made(call, dtype)
    owned: list[Tensor] = []
    if isinstance(built, Tensor):
        owned = [built]
    elif built is not None:
        built.train(training)
        owned = [*built.parameters(), *built.buffers()]
    return applied(call, built), owned


def _made(call: OpCase, dtype: str) -> nn.Module | Tensor | None:
    """What the op builds, in a precision."""
    built = call.op.build(*call.inputs)
    if built is None or dtype == PRECISION:
        return built
    holder = nn.Module()
    if isinstance(built, nn.Module):
        holder.add_module("own", built)
    elif isinstance(built, nn.Parameter):
        holder.register_parameter("own", built)
    else:
        holder.register_buffer("own", built)
    made: nn.Module | Tensor = holder.to(dtype_of(FLOAT, dtype)).own
    return made


def applied(call: OpCase, built: nn.Module | Tensor | None) -> Callable[..., Any]:
    """The op as a function of its inputs; `built` is what its `build` returned."""
    names = [f"x{position}" for position in range(len(call.inputs))]
    if isinstance(built, Tensor) and call.op.gives_own:
        result = "own"
    else:
        result = call.op.source("own", names, call.inputs)
    given = ", ".join(["own", *names])
    source = f"from {namespace.__name__} import *\n\ndef forward({given}):\n    return {result}\n"
    return partial(_imported(f"archspec.testing.contract.{call.op.op_name}", source), built)


@lru_cache(maxsize=1000)
def _imported(name: str, source: str) -> Callable[..., Any]:
    """The `forward` of a module of this text. A contract runs the same text at many sizes."""
    spec = spec_from_loader(name, _Text(source))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    forward: Callable[..., Any] = module.forward
    return forward


class _Text(InspectLoader):
    """Imports a module from its text."""

    def __init__(self, source: str) -> None:
        self.source = source

    def get_source(self, fullname: str) -> str:
        return self.source


def _tensor(shape: Sizes, layout: Layout, kind: ValueType, dtype: str) -> Tensor:
    if layout == "channels-last" and len(shape) > 2:
        last = (shape[0], *shape[2:], shape[1])
        return drawn(kind, last, precision=dtype).movedim(-1, 1)
    if layout == "part" and len(shape) > 1:
        double = (shape[0], 2 * shape[1], *shape[2:])
        return drawn(kind, double, precision=dtype).chunk(2, dim=1)[1]
    return drawn(kind, shape, precision=dtype)


def _recorded_input(
    shape: Sizes, layout: Layout, kind: ValueType, requires_grad: bool, dtype: str
) -> tapes.Tensor:
    strides, numel = tapes.contiguous_strides(shape), math.prod(shape)
    if layout == "channels-last" and len(shape) > 2:
        n, *spatial, c = tapes.contiguous_strides((shape[0], *shape[2:], shape[1]))
        strides = (n, c, *spatial)
    if layout == "part" and len(shape) > 1:
        strides = tapes.contiguous_strides((shape[0], 2 * shape[1], *shape[2:]))
        numel *= 2
    storage = Storage(kind.itemsize(dtype) * numel)
    return tapes.Tensor(shape, strides, storage, requires_grad and kind.is_float, kind)


def _seen(y: Tensor, addresses: Sequence[int], dtype: str) -> SeenOutput:
    shape, address = tuple(y.shape), y.untyped_storage().data_ptr()
    source = addresses.index(address) if address in addresses else None
    strides = _plain_strides(shape, y.stride())
    return SeenOutput(shape, name_of(y.dtype, dtype), strides, y.requires_grad, source)


def _plain_strides(shape: Sizes, strides: Sizes) -> Sizes:
    return tuple(0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True))


# The contract -------------------------------------------------------------------------------------


def check_call(
    call: OpCase, *, layouts: Sequence[Layout] = ("row-major",), dtype: str = PRECISION
) -> bool:
    """Asserts that archspec and torch agree on the call; whether it is accepted.

    An accepted call runs at every batch size of `BATCH_SIZES`, in train() and eval(), with the
    inferred shapes and types, and with the layout, saved bytes, weights and MACs that the op
    states, in the precision `dtype`. A refused one fails in one of those runs, or is refused by
    one of `RULES`.
    """
    try:
        outputs = infer(call.op, call.inputs)
        types = infer_types(call.op, call.inputs, call.input_types, len(outputs))
    except Refusal as refusal:
        assert refusal.code in RULES or _fails(call, dtype), (
            f"torch runs {call}, refused: {refusal}"
        )
        return False
    assert len(outputs) == 1 or call.op.gives_several, f"{call} gives several values"
    frozen = (False, True) if call.op.weights(*call.inputs) else (False,)
    modes: Any
    for batch, *modes in product(
        BATCH_SIZES, (True, False), layouts, (True, False), (dtype,), frozen
    ):
        names = ("training", "layout", "requires_grad", "dtype", "frozen")
        how = f"{call} at N = {batch}, {dict(zip(names, modes, strict=True))}"
        real = real_call(call, batch, *modes)
        recorded = recorded_call(call, batch, *modes)
        assert [y.shape for y in real.outputs] == [concrete(y, batch) for y in outputs], how
        assert [y.type for y in real.outputs] == [kind.name for kind in types], how
        assert recorded == real, how
    assert stated_weights(call, dtype) == real_weights(call, dtype), call
    for batch in (2, 3):
        times = batch if any(map(is_batched, outputs)) else 1
        macs = call.op.macs(call.inputs, outputs)
        assert macs is None or macs * times == real_macs(call, batch, dtype), call
    return True


def stated_weights(call: OpCase, dtype: str = PRECISION) -> list[Weight]:
    """Parameters, then buffers, as the op states them."""
    return [
        weight._replace(type=weight.type.in_network(dtype))
        for weight in call.op.weights(*call.inputs)
    ]


def real_weights(call: OpCase, dtype: str = PRECISION) -> list[Weight]:
    """Parameters, then buffers, as torch's module has them in its state dict."""
    with _quiet():
        built = _made(call, dtype)
    if isinstance(built, Tensor):
        return [] if call.op.keyless else [as_weight("", built, dtype)]
    return [] if built is None else list(weights_of(built, dtype))


def _fails(call: OpCase, dtype: str) -> bool:
    for batch, training in product(BATCH_SIZES, (True, False)):
        try:
            real_call(call, batch, training, dtype=dtype)
        except FAILURES:
            return True
    return False
